"""From a verified file to its final name on a file system: staged beside the target, linked there, never replacing.

A reader sees nothing under the final name, or the whole file. A killed worker leaves at most a hidden
`.proxx-….partial`. What stands at a target, also a folder or a link that leads nowhere, is never followed,
changed or replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import DiskFull, OutputUnwritable, WorkUnusable
from proxx.contracts.fingerprint import digest_stream

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})  # some network file systems leave it to the server
_MOUNTS: Final = re.compile(r"/(mnt|media(/[^/]+)?|run/media(/[^/]+)?|Volumes)")
_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1


@dataclass(frozen=True)
class Absent:
    """Nothing has the name."""


@dataclass(frozen=True)
class Present:
    """Something has the name. sha256: of a regular file that may be read, else None (folder, link, pipe …)."""

    sha256: str | None


@dataclass(frozen=True)
class Published:
    """This call gave the file its name, durably."""


Standing: TypeAlias = Absent | Present


@dataclass(frozen=True)
class Content:
    """What a file holds: its sha256 (`sha256:<hex>`) and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Staged:
    """A whole, durable file beside its target. sha256, size: of the bytes at `path`."""

    path: Path
    sha256: str
    size: int


def existing_file(target: Path) -> Standing:
    """What stands at `target` itself. Raises OutputUnwritable where that cannot be found out."""
    try:
        if not stat.S_ISREG(os.lstat(target).st_mode):
            return Present(None)
        with _open_for_reading(target) as stream:
            return Present(digest_stream(stream).digest)
    except (FileNotFoundError, NotADirectoryError):
        return Absent()
    except OSError as why:
        if why.errno in (errno.EACCES, errno.EPERM, errno.ELOOP) and os.path.lexists(target):
            return Present(None)
        raise _refused(why, "What stands at the output's place cannot be looked at.") from why


def stage_path(target: Path, nonce: str) -> Path:
    """Where the bytes for `target` wait: hidden, short enough for any file system, in the same folder."""
    return target.with_name(f".proxx-{nonce}.partial")


def content_of(made: Path) -> Content:
    """Sync `made` to its disk and read all of it. Raises WorkUnusable or DiskFull."""
    try:
        with made.open("rb") as stream:
            os.fsync(stream.fileno())
            return _content(stream)
    except OSError as why:
        if why.errno in _FULL:
            raise DiskFull(message="There is no room for the proxy that was made.", stage="verify") from why
        message = "The proxy that was made cannot be read back from the working directory."
        raise WorkUnusable(message=message, stage="verify", detail=str(why)) from why


@contextlib.contextmanager
def staged(made: Path, target: Path, content: Content | None = None, nonce: str | None = None) -> Iterator[Staged]:
    """`made` beside its target while the block runs. Afterwards `made` and the staged name are gone.

    content: of `made`, where it has been read already. nonce: 32 random hex digits where None. Raises
    OutputUnwritable, DiskFull or WorkUnusable.
    """
    path = stage_path(target, nonce or uuid.uuid4().hex)
    try:
        yield stage(made, path, content or content_of(made))
    finally:
        with contextlib.suppress(OSError):  # a leftover is harmless, and `proxx doctor` lists it
            path.unlink()


def stage(made: Path, path: Path, content: Content) -> Staged:
    """Bring `made` to `path`, durably, with exactly `content`.

    On the same file system it is a rename of the file that was read. Else a copy, which is read back from storage
    and has to be the same: a bad cable or share must not become a published proxy with a matching checksum.
    """
    make_folder(path.parent)
    try:
        back = content if _renamed(made, path) else _copied(made, path)
    except OSError as why:
        raise _refused(why, "The proxy cannot be written beside its output.") from why
    if back != content:
        raise OutputUnwritable(
            message="The output's storage gave back other bytes than were written to it.",
            stage="publish",
            detail=f"{back.sha256} instead of {content.sha256} at {path}",
        )
    with contextlib.suppress(OSError):  # of a copy; the working directory goes anyway
        made.unlink()
    return Staged(path, content.sha256, content.size)


def publish(whole: Staged, target: Path) -> Published | Present:
    """Give the staged file its final name, unless the name is taken: then say what has it, untouched."""
    try:
        taken = _link(whole.path, target)
        sync_folder(target.parent)
    except OSError as why:
        raise _refused(why, "The output cannot be given its name.") from why
    if not taken:
        return Published()
    there = existing_file(target)
    return there if isinstance(there, Present) else Present(None)  # gone again: it was somebody's all the same


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents, durably. Nothing is made where mounts belong: that share is not mounted."""
    try:
        if folder.is_dir():
            return
        if _is_for_mounts(folder.parent):
            raise OutputUnwritable(
                message="The output folder is not there: its volume seems not to be mounted.",
                stage="publish",
                detail=str(folder),
            )
        make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        sync_folder(folder.parent)
    except OSError as why:
        raise _refused(why, "The output folder cannot be made.") from why


def _is_for_mounts(folder: Path) -> bool:
    return str(folder) == "/" or (_MOUNTS.fullmatch(str(folder)) is not None and not folder.is_mount())


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as why:
        if why.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def abandoned_stages(folder: Path) -> tuple[Path, ...]:
    """Staged files in `folder` that a killed worker left, or that one is publishing just now."""
    with contextlib.suppress(OSError):
        return tuple(sorted(folder.glob(".proxx-*.partial")))
    return ()


# --- one system call each --------------------------------------------------------------------------------


def _link(path: Path, target: Path) -> bool:
    """Name the file at `path` also `target`. True: the name was taken already, and still is what it was."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as why:
        # NFS may lose the answer of a link that was made and report the resent request as "exists", or not at all:
        # one and the same inode is ours.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(path), os.lstat(target)):
                return False
        if isinstance(why, FileExistsError):
            return True
        if why.errno in _NO_LINKS:
            return _rename_without_replacing(path, target, why)
        raise
    return False


def _rename_without_replacing(path: Path, target: Path, why_not_linked: OSError) -> bool:
    """For file systems without hard links (exFAT, some SMB shares). Linux only; else it is refused."""
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        raise _no_links(why_not_linked)
    done = rename(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_RENAME_NOREPLACE))
    number = 0 if done == 0 else ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise _no_links(why_not_linked)
    if number not in (0, errno.EEXIST):
        raise OSError(number, os.strerror(number), str(target))
    return number == errno.EEXIST


def _no_links(why: OSError) -> OutputUnwritable:
    return OutputUnwritable(
        message="The output's file system can neither link nor rename without replacing, so nothing is published "
        "there: choose an output folder on another file system.",
        stage="publish",
        detail=str(why),
    )


def _renamed(made: Path, path: Path) -> bool:
    try:
        made.rename(path)
    except OSError as why:
        if why.errno == errno.EXDEV:
            return False
        raise
    return True


def _copied(made: Path, path: Path) -> Content:
    """Copy to a file that must not exist; what its storage then holds, not what the cache remembers."""
    with path.open("x+b") as out, made.open("rb") as stream:
        shutil.copyfileobj(stream, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        out.seek(0)
        return _content(out)


def _open_for_reading(path: Path) -> BinaryIO:
    """A regular file, or an error: never a link's target, and no waiting for the other end of a pipe."""
    return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _content(stream: BinaryIO) -> Content:
    size, digest = digest_stream(stream)
    return Content(digest, size)


def _refused(why: OSError, message: str) -> ProxxError:
    """The failure for an error of the system; its words vary with the machine and stay out of the message."""
    detail = f"{why.strerror}: {why.filename2 or why.filename or ''}"
    if why.errno in _FULL:
        return DiskFull(message="There is no space left for the output.", stage="publish", detail=detail)
    return OutputUnwritable(message=message, stage="publish", detail=detail)
