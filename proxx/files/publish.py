"""Publishes a verified file under its final name on a file system: it is staged beside the target, then linked.

A reader sees either nothing under the final name or the whole file. A killed worker leaves at most a hidden
`.proxx-….partial`. Whatever exists at a target, even a folder or a dangling link, is never followed, changed or
replaced.
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
from proxx.files.durable import sync_folder

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_MOUNTS: Final = re.compile(r"/(mnt|media(/[^/]+)?|run/media(/[^/]+)?|Volumes)")
_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1


@dataclass(frozen=True)
class Absent:
    """The name is free."""


@dataclass(frozen=True)
class Present:
    """The name is taken. sha256: of a regular file that can be read, else None (folder, link, pipe …)."""

    sha256: str | None


@dataclass(frozen=True)
class Published:
    """This call gave the file its name durably."""


Standing: TypeAlias = Absent | Present


@dataclass(frozen=True)
class Content:
    """The sha256 (`sha256:<hex>`) and the size in bytes of a file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Staged:
    """A whole, durable file beside its target. sha256, size: of the bytes at `path`."""

    path: Path
    sha256: str
    size: int


def existing_file(target: Path) -> Standing:
    """Returns what is at `target` itself. Raises OutputUnwritable if that cannot be determined."""
    try:
        if not stat.S_ISREG(os.lstat(target).st_mode):
            return Present(None)
        with _open_for_reading(target) as stream:
            return Present(digest_stream(stream).digest)
    except (FileNotFoundError, NotADirectoryError):
        return Absent()
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP) and os.path.lexists(target):
            return Present(None)
        raise _publish_failure(error, "The place of the output cannot be checked.") from error


def stage_path(target: Path, nonce: str) -> Path:
    """Returns the staging path for `target`: hidden, in the same folder, short enough for any file system."""
    return target.with_name(f".proxx-{nonce}.partial")


def content_of(made: Path) -> Content:
    """Syncs `made` to disk and returns its content, read to its end. Raises WorkUnusable or DiskFull."""
    try:
        with made.open("rb") as stream:
            os.fsync(stream.fileno())
            return _content(stream)
    except OSError as error:
        if error.errno in _FULL:
            message = "There is no space left for the proxy in the working directory."
            raise DiskFull(message=message, stage="verify") from error
        message = "The proxy cannot be read back from the working directory."
        raise WorkUnusable(message=message, stage="verify", detail=str(error)) from error


@contextlib.contextmanager
def staged(made: Path, target: Path, content: Content | None = None, nonce: str | None = None) -> Iterator[Staged]:
    """Stages `made` beside its target while the block runs. Afterwards `made` and the staged name are gone.

    content: of `made`, if already read. nonce: 32 hex digits, random if None. Raises OutputUnwritable, DiskFull or
    WorkUnusable.
    """
    path = stage_path(target, nonce or uuid.uuid4().hex)
    try:
        yield stage(made, path, content or content_of(made))
    finally:
        with contextlib.suppress(OSError):  # a leftover is harmless, and `proxx doctor` lists it
            path.unlink()


def stage(made: Path, path: Path, content: Content) -> Staged:
    """Moves `made` to `path` durably and checks that it has exactly `content` there.

    On the same file system this renames the file. On another one it copies it and reads the copy back from storage:
    a bad cable or share must not lead to a published proxy with a matching checksum.
    """
    make_folder(path.parent)
    try:
        staged_content = content if _renamed(made, path) else _copied(made, path)
    except OSError as error:
        raise _publish_failure(error, "The proxy cannot be written to the output folder.") from error
    if staged_content != content:
        raise OutputUnwritable(
            message="The storage of the output returned other bytes than were written to it.",
            stage="publish",
            detail=f"{staged_content.sha256} instead of {content.sha256} at {path}",
        )
    with contextlib.suppress(OSError):  # after a copy; the working directory is removed anyway
        made.unlink()
    return Staged(path, content.sha256, content.size)


def publish(whole: Staged, target: Path) -> Published | Present:
    """Gives the staged file its final name. If the name is taken, leaves it untouched and returns what has it."""
    try:
        taken = _link(whole.path, target)
        sync_folder(target.parent)
    except OSError as error:
        raise _publish_failure(error, "The output cannot be given its name.") from error
    if not taken:
        return Published()
    existing = existing_file(target)
    return existing if isinstance(existing, Present) else Present(None)  # deleted since; it was someone else's


def make_folder(folder: Path) -> None:
    """Creates `folder` and its parents durably.

    Creates nothing directly in a folder of mount points (`/mnt`, `/Volumes` …): the volume is not mounted. Raises
    OutputUnwritable or DiskFull.
    """
    try:
        if folder.is_dir():
            return
        if _is_for_mounts(folder.parent):
            raise OutputUnwritable(
                message="The output folder does not exist: its volume seems not to be mounted.",
                stage="publish",
                detail=str(folder),
            )
        make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        sync_folder(folder.parent)
    except OSError as error:
        raise _publish_failure(error, "The output folder cannot be created.") from error


def _is_for_mounts(folder: Path) -> bool:
    return str(folder) == "/" or (_MOUNTS.fullmatch(str(folder)) is not None and not folder.is_mount())


def abandoned_stages(folder: Path) -> tuple[Path, ...]:
    """Returns staged files in `folder`: left by a killed worker, or of a worker that is publishing at this moment."""
    with contextlib.suppress(OSError):
        return tuple(sorted(folder.glob(".proxx-*.partial")))
    return ()


# --- one system call each --------------------------------------------------------------------------------


def _link(path: Path, target: Path) -> bool:
    """Links the file at `path` to `target`. Returns True if the name was taken, which leaves it as it was."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        # NFS can lose the answer of a successful link and report the resent request as "exists", or as another
        # error. If both names have the same inode, the link is this one.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(path), os.lstat(target)):
                return False
        if isinstance(error, FileExistsError):
            return True
        if error.errno in _NO_LINKS:
            return _rename_without_replacing(path, target, error)
        raise
    return False


def _rename_without_replacing(path: Path, target: Path, link_error: OSError) -> bool:
    """Renames on a file system without hard links (exFAT, some SMB shares). Returns True if the name was taken.

    Raises OutputUnwritable if the system or the file system cannot rename without replacing (Linux only).
    """
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        raise _no_links(link_error)
    status = rename(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_RENAME_NOREPLACE))
    number = 0 if status == 0 else ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise _no_links(link_error)
    if number not in (0, errno.EEXIST):
        raise OSError(number, os.strerror(number), str(target))
    return number == errno.EEXIST


def _no_links(error: OSError) -> OutputUnwritable:
    return OutputUnwritable(
        message="The file system of the output can neither link nor rename without replacing, so nothing is "
        "published there: choose an output folder on another file system.",
        stage="publish",
        detail=str(error),
    )


def _renamed(made: Path, path: Path) -> bool:
    try:
        made.rename(path)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    return True


def _copied(made: Path, path: Path) -> Content:
    """Copies to a new file and returns the content that its storage holds, read past the page cache."""
    with path.open("x+b") as out, made.open("rb") as stream:
        shutil.copyfileobj(stream, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        out.seek(0)
        return _content(out)


def _open_for_reading(path: Path) -> BinaryIO:
    """Opens a file without following a link and without waiting for the other end of a pipe."""
    return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _content(stream: BinaryIO) -> Content:
    size, digest = digest_stream(stream)
    return Content(digest, size)


def _publish_failure(error: OSError, message: str) -> ProxxError:
    """Returns the failure for an error of the system, whose text varies between machines and goes to the detail."""
    detail = f"{error.strerror}: {error.filename2 or error.filename or ''}"
    if error.errno in _FULL:
        return DiskFull(message="There is no space left for the output.", stage="publish", detail=detail)
    return OutputUnwritable(message=message, stage="publish", detail=detail)
