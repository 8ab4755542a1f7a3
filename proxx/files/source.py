"""Checks a source on disk during a job: it exists, can be read, and is byte for byte the file the job names.

A sequential reader computes the sha256 while ffmpeg runs (0.84 CPU-seconds per GB, measured: 0.3 % of a ProRes
encode), always to the end of the file. Its result is reported before the encoder's, because a changed source explains
every other failure.

The reader is far ahead of ffmpeg, so a later write to the file would not show in the sha256. Therefore inode, size
and modification time must also be the same after the encode as before it.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from proxx.contracts.errors import Interrupted, SourceChanged, SourceMissing, SourceUnreadable
from proxx.contracts.fingerprint import CHUNK, Digester
from proxx.contracts.recipe import SourceFile
from proxx.files.background import BackgroundWork, in_background
from proxx.files.places import leads_out
from proxx.files.roots import OnDisk

TICK: Final = 0.2  # seconds between checks for a stop request


MISSING: Final = "The source is not where the spec says it is."
UNOPENED: Final = "The source cannot be opened."
UNREAD: Final = "The source could not be read to its end."
OTHER_SIZE: Final = "The source has a different size than the file the job was created for."
OTHER_BYTES: Final = "The source is not the file the job was created for: its sha256 differs."


_FileState: TypeAlias = tuple[int, int, int]


def require_source_file(spot: OnDisk, file: SourceFile) -> Path:
    """Checks that the source exists, can be read and has its size in bytes; returns its path.

    Raises SourceMissing, SourceUnreadable or SourceChanged.
    """
    path = spot.path
    try:
        if leads_out(spot):
            raise SourceUnreadable(message="A link leads the source out of its root.", stage="source")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe could block forever
            raise SourceUnreadable(message="The source is not a regular file.", stage="source")
        path.open("rb").close()
    except FileNotFoundError as error:
        raise SourceMissing(message=MISSING, stage="source") from error
    except OSError as error:
        raise SourceUnreadable(message=UNOPENED, stage="source", detail=error.strerror or str(error)) from error
    if status.st_size != file.size:
        raise SourceChanged(
            message=OTHER_SIZE,
            stage="source",
            detail=f"{status.st_size} bytes, not {file.size}",
        )
    return path


@dataclass(frozen=True)
class _Reading:
    """A file that is read in the background. work: returns its sha256, None if cancelled."""

    work: BackgroundWork[str | None]
    cancelled: threading.Event


class SourceReader:
    """Hashes one file in the background. `settle` waits for the end of the file and compares."""

    def __init__(self, path: Path, file: SourceFile, before: _FileState | None, reading: _Reading) -> None:
        self._path, self._file, self._before, self._reading = path, file, before, reading

    def settle(self, should_stop: Callable[[], bool]) -> None:
        """Waits for the end of the file. Raises SourceChanged, SourceUnreadable, or Interrupted on a stop request."""
        while not self._reading.work.wait(TICK):
            if should_stop():
                self._reading.cancelled.set()
        try:
            digest = self._reading.work.result()
        except OSError as error:
            raise SourceUnreadable(message=UNREAD, stage="source", detail=error.strerror or str(error)) from error
        if digest is None:
            raise Interrupted(message="The job was stopped while the source was read.", stage="source")
        if digest != self._file.digest:
            raise SourceChanged(message=OTHER_BYTES, stage="source")
        if _file_state(self._path) != self._before:
            raise SourceChanged(message="The source was written to or replaced while it was read.", stage="source")


def _file_state(path: Path) -> _FileState | None:
    """Returns inode, size and modification time, one of which changes with the content; None if absent."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def read_beside(path: Path, file: SourceFile) -> Iterator[SourceReader]:
    """Yields a reader that runs while the block does. It has ended when the block has, also after an exception."""
    before, cancelled = _file_state(path), threading.Event()

    def read() -> str | None:
        digester = Digester()
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                if cancelled.is_set():
                    return None
                digester.update(chunk)
        return digester.digest

    with in_background(read) as work:
        try:
            yield SourceReader(path, file, before, _Reading(work, cancelled))
        finally:
            cancelled.set()
