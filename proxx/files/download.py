"""A source in object storage: copied to the job's own working directory, hashed on the way, refused on mismatch.

The copy is the job's own and goes when the clip has ended. What it says in failing is what a file on disk says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from proxx.contracts.errors import DiskFull, Interrupted, SourceChanged, SourceMissing, SourceUnreadable
from proxx.contracts.fingerprint import Digester
from proxx.contracts.recipe import SourceFile
from proxx.files.places import Places
from proxx.files.roots import InBucket
from proxx.files.source import MISSING, OTHER_BYTES, OTHER_SIZE, UNOPENED, UNREAD
from proxx.files.workdir import free_bytes, unusable
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import Stop

LONGEST_ENDING: Final = 32  # bytes; a longer one means nothing, and may be longer than a file system takes
SPARE: Final = 64 << 20  # bytes that have to stay free beside the copy: the proxy grows next to it


def require_object(places: Places, spot: InBucket, file: SourceFile) -> None:
    """See that the object is there with its size in bytes. Raises what the clip fails with."""
    try:
        found = places.bucket(spot).head(spot.key)
    except StorageFault as fault:
        raise SourceUnreadable(message=UNOPENED, stage="source", detail=fault.detail) from fault
    if found is None:
        raise SourceMissing(message=MISSING, stage="source")
    if found.size != file.size:
        raise SourceChanged(message=OTHER_SIZE, stage="source", detail=f"{found.size} bytes, not {file.size}")


def copy_name(stem: str, name: str) -> str:
    """What the copy of an object is called: by its ending, which says something to who reads it."""
    ending = PurePosixPath(name).suffix
    return stem + (ending if len(ending.encode()) <= LONGEST_ENDING else "")


@contextmanager
def fetched(places: Places, spot: InBucket, file: SourceFile, copy: Path, should_stop: Stop) -> Iterator[Path]:
    """The object as the file `copy` while the block runs. Raises DiskFull, Interrupted, what the clip fails with."""
    room = free_bytes(copy.parent)
    if room < file.size + SPARE:
        raise DiskFull(
            message="There is no space left for the working directory.",
            stage="work",
            detail=f"the copy of the source needs {file.size} bytes, {room} are free: {copy.parent}",
        )
    try:
        digest = bring(places, spot, copy, should_stop)
        if digest != file.digest:
            raise SourceChanged(message=OTHER_BYTES, stage="source")
        yield copy
    finally:
        with suppress(OSError):
            copy.unlink()


def bring(
    places: Places, spot: InBucket, copy: Path, should_stop: Stop, on_read: Callable[[int], None] = lambda _: None
) -> str:
    """Copy an object to a new file; returns the sha256 of what came. on_read: told bytes so far.

    Raises Interrupted, SourceMissing, SourceUnreadable.
    """
    with copy.open("xb") as out:
        sink = _Sink(out, on_read)
        try:
            there = places.bucket(spot).read(spot.key, sink.anew, should_stop)
        except StorageFault as fault:
            if fault.cause is Cause.STOPPED:
                raise Interrupted(message="The job was stopped while the source was read.", stage="source") from fault
            raise SourceUnreadable(message=UNREAD, stage="source", detail=fault.detail) from fault
    if not there:
        raise SourceMissing(message=MISSING, stage="source")
    return sink.digest


class _Sink:
    """Where an object goes: from the start again where it has to be sent again."""

    def __init__(self, out: BinaryIO, on_read: Callable[[int], None]) -> None:
        self._out, self._on_read = out, on_read
        self._digester = Digester()

    @property
    def digest(self) -> str:
        return self._digester.digest

    def anew(self) -> Callable[[bytes], None]:
        self._out.seek(0)
        self._out.truncate()
        self._digester = Digester()
        return self._take

    def _take(self, chunk: bytes) -> None:
        try:
            self._out.write(chunk)
        except OSError as why:  # it names no file, and is nothing that storage did
            raise unusable(why, "The source cannot be copied to the working directory.") from why
        self._digester.update(chunk)
        self._on_read(self._digester.size)
