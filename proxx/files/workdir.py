"""The attempt's own working directory, what goes wrong in it, and how much room there is.

Each has a name of its own, so no two attempts ever share one, and is removed however the attempt ends. What a
killed worker leaves is harmless: nothing ever reads it again, and `proxx doctor` lists it.
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
    """A working directory that nobody holds. job: the first 8 digits of its id. size: bytes of its files."""

    path: Path
    job: str
    attempt: int
    size: int


@contextlib.contextmanager
def work_directory(parent: Path | None, job_id: str, attempt: int) -> Iterator[Path]:
    """A new folder in `parent` (the system's temporary folder where None), only for this user, gone afterwards.

    Raises WorkUnusable or DiskFull.
    """
    folder = parent if parent is not None else default_parent()
    try:
        work = Path(tempfile.mkdtemp(prefix=f"proxx-{job_id[:8]}-{attempt}-", dir=folder.absolute()))
    except OSError as why:
        raise unusable(why, "The working directory cannot be made.") from why
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)  # a job that is done does not fail for this
        stack.enter_context(_held(work))
        yield work


@contextlib.contextmanager
def working_in(work: Path) -> Iterator[None]:
    """What the system refuses in the folder `work` while the block runs, as the failure it is.

    Raises WorkUnusable or DiskFull; errors of any other place stay what they are.
    """
    try:
        yield
    except OSError as why:
        if why.errno in _FULL or Path(str(why.filename)).is_relative_to(work):
            raise unusable(why, "The working directory cannot be used any more.") from why
        raise


def default_parent() -> Path:
    """The system's temporary folder."""
    return Path(tempfile.gettempdir())


def free_bytes(path: Path) -> int:
    """Bytes this user may still write where `path` is, or will be: its nearest folder that exists."""
    place = path.absolute()
    while True:
        try:
            found = os.statvfs(place)
        except (FileNotFoundError, NotADirectoryError):
            if place == place.parent:
                raise
            place = place.parent
        else:
            return found.f_bavail * found.f_frsize


def abandoned_directories(parent: Path) -> tuple[Leftover, ...]:
    """Working directories of processes that are gone, sorted by path. Those in use are not among them."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(parent.iterdir()):
            named = _NAME.fullmatch(path.name)
            if named and path.is_dir() and not path.is_symlink() and not _is_held(path):
                found.append(Leftover(path, named["job"], int(named["attempt"]), _size(path)))
    return tuple(found)


@contextlib.contextmanager
def _held(work: Path) -> Iterator[None]:
    """Mark the folder as in use until the process ends, for `leftovers` only; nothing else asks."""
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
        return True  # another user's: not for this one to judge
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


def unusable(why: OSError, message: str) -> JobStopped:
    """What stops the job where the system refuses something in its working directory: DiskFull or WorkUnusable."""
    detail = f"{why.strerror}: {why.filename or ''}"
    if why.errno in _FULL:
        return DiskFull(message="There is no space left for the working directory.", stage="work", detail=detail)
    return WorkUnusable(message=message, stage="work", detail=detail)
