"""Whether the places a worker needs are here: its roots, what it must be able to read, and where it must write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flows.sharing import places_here
from proxx import doctor
from proxx.bucket import Bucket
from proxx.discover import given_spot
from proxx.doctor import Finding
from proxx.errors import Problem, RootsInvalid
from proxx.places import Places
from proxx.preflight import problem, try_writing
from proxx.reach import InBucket, OutOfReach, Spot
from proxx.wire import Wire
from proxx.wirefault import Cause, WireFault

RESENDS: Final = 1  # a wrong machine is told soon
ARCHIVED: Final = "InvalidObjectState"  # there, and kept where nothing can read it at once
_ELSEWHERE: Final = "Name a place below a root of this machine, or set its roots (PROXX_ROOTS)."


def storage(reads: tuple[str, ...], writes: tuple[str, ...], wire: Wire) -> Iterator[Finding]:
    """Every root of PROXX_ROOTS, then each place to read and each to write, as people write places."""
    try:
        places = places_here(wire)
    except RootsInvalid as why:
        said = "; ".join(f"{wrong.path} {wrong.message.rstrip('.')}" for wrong in why.problems)
        yield Finding("roots", False, f"{why.code}: {why.message.rstrip('.')}: {said}.", why.remedy)
        return
    for root in places.roots.roots:
        yield from _seen(f"root {root.name}", places.spot(f"{root.name}:/"), places)
    for said in reads:
        yield from _meant("folder", said, places, write=False)
    for said in writes:
        yield from _meant("output", said, places, write=True)


def _meant(area: str, said: str, places: Places, *, write: bool) -> Iterator[Finding]:
    try:
        spot = given_spot(said, places)
        places.roots.name(spot)  # no job could use what is below none of the roots
    except OutOfReach as why:
        yield Finding(area, False, f"{said}: {why}.", _ELSEWHERE)
        return
    if not write:
        yield from _seen(area, spot, places, must_hold=True)
    elif isinstance(spot, InBucket):
        yield _writable(area, places.bucket(spot), spot.key)
    else:
        yield from (finding for finding in doctor.output(spot.path) if finding.area != "leftovers")


def _seen(area: str, spot: Spot, places: Places, *, must_hold: bool = False) -> Iterator[Finding]:
    """It is there and can be listed. must_hold: something that can be read; a prefix with nothing below is none."""
    if isinstance(spot, InBucket):
        yield _listed(area, places.bucket(spot), spot.key, must_hold=must_hold)
    else:
        yield readable(area, spot.path)


def readable(area: str, folder: Path) -> Finding:
    """It is there and can be listed; a share that went away answers with an error, or an empty place is left."""
    try:
        with os.scandir(folder) as entries:
            empty = next(entries, None) is None
    except OSError as why:
        return Finding(area, False, f"{folder}: {why.strerror}.", "Mount the share, and let this user read it.")
    return Finding(area, True, f"{folder} can be read{', and is empty' if empty else ''}.")


def _listed(area: str, bucket: Bucket, key: str, *, must_hold: bool) -> Finding:
    prefix = f"{key.rstrip('/')}/" if key else ""
    place = bucket.place(prefix)
    try:
        objects, _ = next(iter(bucket.pages(prefix)))
        if objects and must_hold:
            _touch(bucket, objects[0].key)
    except WireFault as fault:
        return _failed(area, problem(place, fault))
    if not objects and must_hold:
        return Finding(area, False, f"{place}: there is nothing below it.", "Check bucket and prefix.")
    what = "read" if must_hold else "listed"
    return Finding(area, True, f"{place} can be {what}{'' if objects else ', and is empty'}.")


def _touch(bucket: Bucket, key: str) -> None:
    """Who may list may not always read."""
    try:
        bucket.touch(key)
    except WireFault as fault:
        if fault.cause is Cause.DENIED and fault.code != ARCHIVED:
            raise


def _writable(area: str, bucket: Bucket, key: str) -> Finding:
    for wrong in try_writing(bucket, key.rstrip("/")):
        return _failed(area, wrong)
    return Finding(area, True, f"{bucket.place(key)}: proxies can be published.")


def _failed(area: str, wrong: Problem) -> Finding:
    return Finding(area, False, f"{wrong.path}: {wrong.code}: {wrong.message}", wrong.remedy)
