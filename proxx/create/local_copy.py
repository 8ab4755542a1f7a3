"""A source as a file, for looking at it: where it is on disk, or a copy of an object that goes afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from proxx.contracts.errors import DiskFull, SourceMissing, SourceUnreadable
from proxx.create.discover import Candidate
from proxx.files.download import SPARE, copy_name, copy_object
from proxx.files.places import Places
from proxx.files.roots import OnDisk
from proxx.files.workdir import default_parent, free_bytes
from proxx.s3.faults import StorageFault
from proxx.s3.transport import never


@contextmanager
def local_file(
    candidate: Candidate, places: Places, work: Path | None, on_read: Callable[[int, int], None]
) -> Iterator[Path]:
    """A file of the candidate's bytes and ending. work: the folder for copies. on_read: told (bytes come, size).

    Raises SourceMissing, SourceUnreadable, and DiskFull where the copy would not fit.
    """
    spot = candidate.spot
    if isinstance(spot, OnDisk):
        yield candidate.path
        return
    folder = work or default_parent()
    try:
        found = places.bucket(spot).head(spot.key)
    except StorageFault as fault:
        raise SourceUnreadable(message=f"It cannot be looked at: {fault.sentence}.", stage="examine") from fault
    if found is None:
        raise SourceMissing(message="There is no such object.", stage="examine")
    size, room = found.size, free_bytes(folder)
    if room < size + SPARE:
        raise DiskFull(
            message="There is no space for a copy of a source.",
            stage="examine",
            detail=f"{candidate.given} has {size} bytes, {room} are free: {folder}",
        )
    with tempfile.TemporaryDirectory(prefix="proxx-create-", dir=folder) as own:
        copy = Path(own) / copy_name("source", candidate.path.name)
        copy_object(places, spot, copy, never, lambda done: on_read(done, size))
        yield copy
