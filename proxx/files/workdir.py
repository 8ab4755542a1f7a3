"""The working directory of an attempt, the failures it can cause, and free space.

Every attempt has a directory with a name of its own, which is removed however the attempt ends. A directory left by a
killed worker is harmless: nothing reads it again, and `proxx doctor` lists it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxx.contracts.error_bases import JobStopped
from proxx.contracts.errors import DiskFull, WorkUnusable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NAME: Final = re.compile(r"proxx-(?P<job>[0-9a-f]{8})-(?P<attempt>\d+)-\w+")


@dataclass(frozen=True)
class Leftover:
    """A working directory whose process is gone. job: the first 8 digits of its id. size: bytes of its files."""

    path: Path
    job: str
    attempt: int
    size: int


@contextlib.contextmanager
def work_directory(parent: Path | None, job_id: str, attempt: int) -> Iterator[Path]:
    """Creates a folder for this user only, and removes it when the block ends.

    parent: where, the system's temporary folder if None. Raises WorkUnusable or DiskFull.
    """
    folder = parent if parent is not None else default_parent()
    try:
        work = Path(tempfile.mkdtemp(prefix=f"proxx-{job_id[:8]}-{attempt}-", dir=folder.absolute()))
    except OSError as error:
        raise unusable(error, "The working directory cannot be created.") from error
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)  # a completed job does not fail for this
        stack.enter_context(_held(work))
        yield work


@contextlib.contextmanager
def working_in(work: Path) -> Iterator[None]:
    """Turns errors of the system in the folder `work` into WorkUnusable or DiskFull while the block runs.

    Errors in any other place are raised unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL or Path(str(error.filename)).is_relative_to(work):
            raise unusable(error, "The working directory cannot be used any more.") from error
        raise


def default_parent() -> Path:
    """Returns the system's temporary folder."""
    return Path(tempfile.gettempdir())


def free_bytes(path: Path) -> int:
    """Returns the bytes this user can still write at `path`, or in its nearest folder that exists."""
    folder = path.absolute()
    while True:
        try:
            status = os.statvfs(folder)
        except (FileNotFoundError, NotADirectoryError):
            if folder == folder.parent:
                raise
            folder = folder.parent
        else:
            return status.f_bavail * status.f_frsize


def abandoned_directories(parent: Path) -> tuple[Leftover, ...]:
    """Returns the working directories of processes that are gone, sorted by path."""
    leftovers = []
    with contextlib.suppress(OSError):
        for path in sorted(parent.iterdir()):
            named = _NAME.fullmatch(path.name)
            if named and path.is_dir() and not path.is_symlink() and not _is_held(path):
                leftovers.append(Leftover(path, named["job"], int(named["attempt"]), _size(path)))
    return tuple(leftovers)


@contextlib.contextmanager
def _held(work: Path) -> Iterator[None]:
    """Marks the folder as in use while the block runs and the process lives; see `abandoned_directories`."""
    descriptor = os.open(work, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_held(work: Path) -> bool:
    try:
        descriptor = os.open(work, os.O_RDONLY)
    except OSError:
        return True  # belongs to another user: it may be in use
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _size(work: Path) -> int:
    total = 0
    for path in work.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def unusable(error: OSError, message: str) -> JobStopped:
    """Returns the failure for an error of the system in the working directory: DiskFull or WorkUnusable."""
    detail = f"{error.strerror}: {error.filename or ''}"
    if error.errno in _FULL:
        return DiskFull(message="There is no space left for the working directory.", stage="work", detail=detail)
    return WorkUnusable(message=message, stage="work", detail=detail)
