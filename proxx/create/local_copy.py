"""A source as a local file that can be examined: the file itself if it is on disk, a temporary copy of an object."""

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
    """Yields a file with the candidate's bytes and ending; a copy is removed afterwards.

    work: the folder for copies, or None for the system's temporary folder. on_read: called with (bytes copied, size).
    Raises SourceMissing or SourceUnreadable if the object cannot be read, DiskFull if the copy would not fit.
    """
    spot = candidate.spot
    if isinstance(spot, OnDisk):
        yield candidate.path
        return
    folder = work or default_parent()
    try:
        existing = places.bucket(spot).head(spot.key)
    except StorageFault as fault:
        raise SourceUnreadable(message=f"The object cannot be read: {fault.sentence}.", stage="examine") from fault
    if existing is None:
        raise SourceMissing(message="There is no such object.", stage="examine")
    size, free = existing.size, free_bytes(folder)
    if free < size + SPARE:
        raise DiskFull(
            message="There is not enough space for a copy of the source.",
            stage="examine",
            detail=f"{candidate.given} has {size} bytes, {folder} has {free} free",
        )
    with tempfile.TemporaryDirectory(prefix="proxx-create-", dir=folder) as copies:
        copy = Path(copies) / copy_name("source", candidate.path.name)
        copy_object(places, spot, copy, never, lambda copied: on_read(copied, size))
        yield copy
