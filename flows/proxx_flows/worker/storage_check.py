"""Whether the places a worker needs are here: its roots, what it must be able to read, and where it must write.

Roots and trials of writing are `proxx doctor`'s own looks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxx.contracts.errors import RootsInvalid
from proxx.create.discover import locate_argument
from proxx.doctor import storage as doctor_storage
from proxx.doctor.finding import Finding
from proxx.files.places import Places
from proxx.files.preflight import storage_problem
from proxx.files.roots import InBucket, OutOfReach
from proxx.s3.bucket import Bucket
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import Transport
from proxx_flows.common.shared_store import places_here

RESENDS: Final = 1  # a wrong machine is told soon
ARCHIVED: Final = "InvalidObjectState"  # there, and kept where nothing can read it at once


def check_storage(reads: tuple[str, ...], writes: tuple[str, ...], wire: Transport) -> Iterator[Finding]:
    """Every root of PROXX_ROOTS, then each place to read and each to write, as people write places."""
    try:
        places = places_here(wire)
    except RootsInvalid as why:
        said = "; ".join(f"{wrong.path} {wrong.message.rstrip('.')}" for wrong in why.problems)
        yield Finding("roots", False, f"{why.code}: {why.message.rstrip('.')}: {said}.", why.remedy)
        return
    yield from doctor_storage.check_roots(places)
    for said in reads:
        yield _readable(said, places)
    for said in writes:
        yield from (found for found in doctor_storage.check_output(said, places) if found.area != "leftovers")


def _readable(said: str, places: Places) -> Finding:
    try:
        spot = locate_argument(said, places)
    except OutOfReach as why:
        return Finding("folder", False, f"{why}.", "Name a place of this machine.")
    return _listed(places.bucket(spot), spot.key) if isinstance(spot, InBucket) else _folder(spot.path)


def _folder(folder: Path) -> Finding:
    """It is there and can be listed; a share that went away answers with an error, or an empty place is left."""
    try:
        with os.scandir(folder) as entries:
            empty = next(entries, None) is None
    except OSError as why:
        return Finding("folder", False, f"{folder}: {why.strerror}.", "Mount the share, and let this user read it.")
    return Finding("folder", True, f"{folder} can be read{', and is empty' if empty else ''}.")


def _listed(bucket: Bucket, key: str) -> Finding:
    """There is something below the prefix, which has no other way of being there, and it can be read."""
    prefix = f"{key.rstrip('/')}/".lstrip("/")
    place = bucket.place(prefix)
    try:
        objects, _ = next(bucket.pages(prefix))
        if objects:
            _touch(bucket, objects[0].key)
    except StorageFault as fault:
        wrong = storage_problem(place, fault)
        return Finding("folder", False, f"{place}: {wrong.message}", wrong.remedy)
    if not objects:
        return Finding("folder", False, f"{place}: there is nothing below it.", "Check bucket and prefix.")
    return Finding("folder", True, f"{place} can be read.")


def _touch(bucket: Bucket, key: str) -> None:
    """Who may list may not always read."""
    try:
        bucket.touch(key)
    except StorageFault as fault:
        if fault.cause is Cause.DENIED and fault.code != ARCHIVED:
            raise
