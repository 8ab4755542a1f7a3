"""Object storage looked at before a job begins: may it be read there, may it be written there, is nothing replaced?

What can be known before an encode is said before it, for all buckets at once. A trial object of no bytes is created
beside the outputs, a second one of its name has to be refused, and it is taken away again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Final
from uuid import uuid4

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import StorageRefused
from proxx.contracts.job import JobSpec
from proxx.files.places import Places
from proxx.files.roots import InBucket
from proxx.s3.bucket import Bucket
from proxx.s3.faults import Cause, StorageFault

TRIAL: Final = ".proxx-trial-"
FOLDERS: Final = 10  # of a job's outputs that are tried: three requests each
REPLACES: Final = "this storage replaces an object although it was told not to (If-None-Match)"


def require_storage(spec: JobSpec, places: Places) -> None:
    """Raises StorageRefused with all of the job's storage that cannot be used. Looks at none where there is none."""
    problems: list[Problem] = []
    for bucket, key in _sources(spec, places):
        problems += _readable(bucket, key)
    hopeless: set[str] = set()  # buckets whose trouble is not one folder's
    for bucket, prefix in islice(_folders(spec, places), FOLDERS):
        if bucket.name not in hopeless:
            found = tuple(try_writing(bucket, prefix))
            hopeless |= {bucket.name for one in found if one.code != Cause.DENIED}
            problems += found
    if problems:
        raise StorageRefused(message="The job's storage cannot be used.", problems=tuple(problems))


def _sources(spec: JobSpec, places: Places) -> Iterator[tuple[Bucket, str]]:
    """The first key of each bucket the job reads."""
    seen: set[str] = set()
    for uri in (file.uri for clip in spec.clips for file in clip.source.files):
        spot = places.spot(uri)
        if isinstance(spot, InBucket) and spot.bucket not in seen:
            seen.add(spot.bucket)
            yield places.bucket(spot), spot.key


def _folders(spec: JobSpec, places: Places) -> Iterator[tuple[Bucket, str]]:
    """What the keys of the job's outputs begin with, each once: a policy may allow some and deny others."""
    seen: set[tuple[str, str]] = set()
    for uri in (output.uri for clip in spec.clips for output in clip.outputs):
        spot = places.spot(uri)
        if isinstance(spot, InBucket):
            prefix = spot.key[: spot.key.rfind("/") + 1]
            if (spot.bucket, prefix) not in seen:
                seen.add((spot.bucket, prefix))
                yield places.bucket(spot), prefix


def _readable(bucket: Bucket, key: str) -> Iterator[Problem]:
    """Whether anything can be asked there. A source that is missing, or may not be read, is its clip's failure."""
    try:
        bucket.touch(key)
    except StorageFault as fault:
        if fault.cause is not Cause.DENIED:
            yield storage_problem(bucket.place(), fault)


def try_writing(bucket: Bucket, prefix: str) -> Iterator[Problem]:
    """What is wrong with publishing keys that begin with `prefix`, by doing it."""
    key, place = f"{prefix}{TRIAL}{uuid4().hex}", bucket.place(prefix.rstrip("/"))
    try:
        first = _create(bucket, key)
        if first is not None and first.cause is not Cause.EXISTS:  # nobody else has the name: an answer was lost
            yield storage_problem(place, first)
            if not first.uncertain:
                key = ""
            return
        second = _create(bucket, key)
        if second is None:
            yield Problem(bucket.place(), StorageRefused.code, f"{REPLACES}.", "Publish to storage that honours it.")
        elif second.cause is not Cause.EXISTS:
            yield storage_problem(place, second)
    finally:
        if key:
            with suppress(
                StorageFault
            ):  # who may not delete leaves a trial of one byte, named so that anyone knows it
                bucket.remove_own(key)


def _create(bucket: Bucket, key: str) -> StorageFault | None:
    try:
        bucket.create(key, b"-", uuid4().hex)
    except StorageFault as fault:
        return fault
    return None


def storage_problem(place: str, fault: StorageFault) -> Problem:
    """One bucket's trouble, in words without any credential."""
    said = fault.sentence[:1].upper() + fault.sentence[1:]
    code = f" ({fault.code})" if fault.code else ""
    return Problem(place, fault.cause.value, f"{said}{code}.", fault.remedy)
