"""Checks that a job's object storage can be read and written and never replaces an object, before the job begins.

Problems that can be known before the first encode are reported before it, for all buckets at once. A trial object of
one byte is created beside the outputs, the server must refuse a second one of the same name, and it is deleted again.
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
FOLDERS: Final = 10  # of a job's output folders that are tried, with three requests each
REPLACES: Final = "this storage replaces an object in spite of the condition If-None-Match"


def require_storage(spec: JobSpec, places: Places) -> None:
    """Raises StorageRefused with every bucket or folder of the job that cannot be used.

    Sends nothing if the job has no place in object storage.
    """
    problems: list[Problem] = []
    for bucket, key in _sources(spec, places):
        problems += _readable(bucket, key)
    unusable: set[str] = set()  # buckets with a problem that is not one of a single folder
    for bucket, prefix in islice(_folders(spec, places), FOLDERS):
        if bucket.name not in unusable:
            write_problems = tuple(try_writing(bucket, prefix))
            unusable |= {bucket.name for problem in write_problems if problem.code != Cause.DENIED}
            problems += write_problems
    if problems:
        raise StorageRefused(message="The job's storage cannot be used.", problems=tuple(problems))


def _sources(spec: JobSpec, places: Places) -> Iterator[tuple[Bucket, str]]:
    """Yields the first key of each bucket the job reads."""
    seen: set[str] = set()
    for uri in (file.uri for clip in spec.clips for file in clip.source.files):
        spot = places.spot(uri)
        if isinstance(spot, InBucket) and spot.bucket not in seen:
            seen.add(spot.bucket)
            yield places.bucket(spot), spot.key


def _folders(spec: JobSpec, places: Places) -> Iterator[tuple[Bucket, str]]:
    """Yields each folder of the job's outputs once: a policy can allow some and deny others."""
    seen: set[tuple[str, str]] = set()
    for uri in (output.uri for clip in spec.clips for output in clip.outputs):
        spot = places.spot(uri)
        if isinstance(spot, InBucket):
            prefix = spot.key[: spot.key.rfind("/") + 1]
            if (spot.bucket, prefix) not in seen:
                seen.add((spot.bucket, prefix))
                yield places.bucket(spot), prefix


def _readable(bucket: Bucket, key: str) -> Iterator[Problem]:
    """Yields a problem if the bucket cannot be read. A missing or denied source is the failure of its clip."""
    try:
        bucket.touch(key)
    except StorageFault as fault:
        if fault.cause is not Cause.DENIED:
            yield storage_problem(bucket.place(), fault)


def try_writing(bucket: Bucket, prefix: str) -> Iterator[Problem]:
    """Publishes trial objects below `prefix` and yields what is wrong with it."""
    key, place = f"{prefix}{TRIAL}{uuid4().hex}", bucket.place(prefix.rstrip("/"))
    try:
        first = _create(bucket, key)
        if first is not None and first.cause is not Cause.EXISTS:  # the name is random: EXISTS means a lost answer
            yield storage_problem(place, first)
            if not first.uncertain:
                key = ""
            return
        second = _create(bucket, key)
        if second is None:
            yield Problem(bucket.place(), StorageRefused.code, f"{REPLACES}.", "Use storage that honours it.")
        elif second.cause is not Cause.EXISTS:
            yield storage_problem(place, second)
    finally:
        if key:
            with suppress(StorageFault):  # without the right to delete, one byte with a telling name is left
                bucket.remove_own(key)


def _create(bucket: Bucket, key: str) -> StorageFault | None:
    try:
        bucket.create(key, b"-", uuid4().hex)
    except StorageFault as fault:
        return fault
    return None


def storage_problem(place: str, fault: StorageFault) -> Problem:
    """Returns the problem of a bucket or folder. It contains no credential."""
    sentence = fault.sentence[:1].upper() + fault.sentence[1:]
    code = f" ({fault.code})" if fault.code else ""
    return Problem(place, fault.cause.value, f"{sentence}{code}.", fault.remedy)
