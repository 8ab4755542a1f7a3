"""Copies a source from object storage to the job's working directory, hashes it on the way, refuses a mismatch.

The copy belongs to the job and is removed when the clip has ended. Failures have the same messages as those of a
file on disk.
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

LONGEST_ENDING: Final = 32  # bytes; a longer one means nothing and may exceed what a file system allows
SPARE: Final = 64 << 20  # bytes that must stay free beside the copy: the proxy grows next to it


def require_object(places: Places, spot: InBucket, file: SourceFile) -> None:
    """Checks that the object exists with its size in bytes.

    Raises SourceMissing, SourceUnreadable or SourceChanged.
    """
    try:
        existing = places.bucket(spot).head(spot.key)
    except StorageFault as fault:
        raise SourceUnreadable(message=UNOPENED, stage="source", detail=fault.detail) from fault
    if existing is None:
        raise SourceMissing(message=MISSING, stage="source")
    if existing.size != file.size:
        raise SourceChanged(message=OTHER_SIZE, stage="source", detail=f"{existing.size} bytes, not {file.size}")


def copy_name(stem: str, name: str) -> str:
    """Returns the file name for the copy of an object: `stem` with the object's extension, which ffmpeg may need."""
    ending = PurePosixPath(name).suffix
    return stem + (ending if len(ending.encode()) <= LONGEST_ENDING else "")


@contextmanager
def fetched(places: Places, spot: InBucket, file: SourceFile, copy: Path, should_stop: Stop) -> Iterator[Path]:
    """Provides the object as the file `copy` while the block runs.

    Raises DiskFull, WorkUnusable, Interrupted, SourceMissing, SourceUnreadable or SourceChanged.
    """
    free = free_bytes(copy.parent)
    if free < file.size + SPARE:
        raise DiskFull(
            message="There is no space left for the working directory.",
            stage="work",
            detail=f"the copy of the source needs {file.size} bytes, {free} are free: {copy.parent}",
        )
    try:
        digest = copy_object(places, spot, copy, should_stop)
        if digest != file.digest:
            raise SourceChanged(message=OTHER_BYTES, stage="source")
        yield copy
    finally:
        with suppress(OSError):
            copy.unlink()


def copy_object(
    places: Places, spot: InBucket, copy: Path, should_stop: Stop, on_read: Callable[[int], None] = lambda _: None
) -> str:
    """Copies an object to a new file and returns the sha256 of the copy.

    on_read: called with the number of bytes copied so far. Raises Interrupted, SourceMissing, SourceUnreadable,
    DiskFull or WorkUnusable.
    """
    with copy.open("xb") as out:
        sink = _Sink(out, on_read)
        try:
            exists = places.bucket(spot).read(spot.key, sink.restart, should_stop)
        except StorageFault as fault:
            if fault.cause is Cause.STOPPED:
                raise Interrupted(message="The job was stopped while the source was read.", stage="source") from fault
            raise SourceUnreadable(message=UNREAD, stage="source", detail=fault.detail) from fault
    if not exists:
        raise SourceMissing(message=MISSING, stage="source")
    return sink.digest


class _Sink:
    """Writes and hashes an object, from the beginning again if the request is resent."""

    def __init__(self, out: BinaryIO, on_read: Callable[[int], None]) -> None:
        self._out, self._on_read = out, on_read
        self._digester = Digester()

    @property
    def digest(self) -> str:
        return self._digester.digest

    def restart(self) -> Callable[[bytes], None]:
        self._out.seek(0)
        self._out.truncate()
        self._digester = Digester()
        return self._take

    def _take(self, chunk: bytes) -> None:
        try:
            self._out.write(chunk)
        except OSError as error:  # names no file and is not a fault of object storage
            raise unusable(error, "The source cannot be copied to the working directory.") from error
        self._digester.update(chunk)
        self._on_read(self._digester.size)
