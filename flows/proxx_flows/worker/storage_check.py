"""Checks the storage that a worker needs: its roots, the folders it must read, and the folders it must write.

The checks of roots and of writing are those of `proxx doctor`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxx.contracts.errors import RootsInvalid
from proxx.create.discover import locate_argument
from proxx.doctor import storage
from proxx.doctor.finding import Finding
from proxx.files.places import Places
from proxx.files.preflight import storage_problem
from proxx.files.roots import InBucket, OutOfReach
from proxx.s3.bucket import Bucket
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import Transport
from proxx_flows.common.shared_store import places_from_environment

RESENDS: Final = 1  # few, so that the check fails soon
ARCHIVED: Final = "InvalidObjectState"  # the object exists, in a storage class that cannot be read at once


def check_storage(reads: tuple[str, ...], writes: tuple[str, ...], wire: Transport) -> Iterator[Finding]:
    """Checks every root of PROXX_ROOTS, then each place to read and each to write, as written on a command line."""
    try:
        places = places_from_environment(wire)
    except RootsInvalid as error:
        problems = "; ".join(f"{problem.path} {problem.message.rstrip('.')}" for problem in error.problems)
        yield Finding("roots", False, f"{error.code}: {error.message.rstrip('.')}: {problems}.", error.remedy)
        return
    yield from storage.check_roots(places)
    for argument in reads:
        yield _check_readable(argument, places)
    for argument in writes:
        yield from (finding for finding in storage.check_output(argument, places) if finding.area != "leftovers")


def _check_readable(argument: str, places: Places) -> Finding:
    try:
        spot = locate_argument(argument, places)
    except OutOfReach as error:
        return Finding("folder", False, f"{error}.", "Name a place that this machine has.")
    return _check_prefix(places.bucket(spot), spot.key) if isinstance(spot, InBucket) else _check_folder(spot.path)


def _check_folder(folder: Path) -> Finding:
    """Checks that the folder can be listed. A lost share gives an error, or leaves an empty mount point."""
    try:
        with os.scandir(folder) as entries:
            empty = next(entries, None) is None
    except OSError as error:
        remedy = "Mount the share, and let this user read it."
        return Finding("folder", False, f"{folder}: {error.strerror}.", remedy)
    return Finding("folder", True, f"{folder} can be read{', and is empty' if empty else ''}.")


def _check_prefix(bucket: Bucket, key: str) -> Finding:
    """Checks that there are objects below the prefix, without which it does not exist, and that one can be read."""
    prefix = f"{key.rstrip('/')}/".lstrip("/")
    place = bucket.place(prefix)
    try:
        objects, _ = next(bucket.pages(prefix))
        if objects:
            _check_object(bucket, objects[0].key)
    except StorageFault as fault:
        problem = storage_problem(place, fault)
        return Finding("folder", False, f"{place}: {problem.message}", problem.remedy)
    if not objects:
        return Finding("folder", False, f"{place}: there is nothing below it.", "Check bucket and prefix.")
    return Finding("folder", True, f"{place} can be read.")


def _check_object(bucket: Bucket, key: str) -> None:
    """Raises StorageFault if the object cannot be read: credentials that may list do not always allow to read."""
    try:
        bucket.touch(key)
    except StorageFault as fault:
        if fault.cause is Cause.DENIED and fault.code != ARCHIVED:
            raise
