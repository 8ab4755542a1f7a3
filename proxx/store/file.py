"""A store on a file system, local or shared: hard links make creation exclusive."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxx.contracts.errors import StoreRefused, StoreUnavailable
from proxx.files.durable import sync_folder, write_new_file
from proxx.s3.incidents import IncidentJournal
from proxx.store.base import check_folder, check_key
from proxx.store.keys import is_key

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class FileStore:
    """A store in a folder of a local or shared file system that has hard links.

    An object is written whole to a dot file in its folder, synced, and linked to its name: on every such file system
    a link is exclusive. A killed writer leaves at most a dot file, which is never listed.
    The parent of the store's folder must exist, so that a share that is not mounted does not become a new, empty
    store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = IncidentJournal()
        self._durable: set[Path] = set()  # folders whose entry in their parent this process has synced

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    def create(self, key: str, data: bytes) -> bytes | None:
        check_key(key)
        target = self.root / key
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            self._make_durable(target.parent)
            try:
                write_new_file(temporary, data)
                existing = _link(temporary, target)
            finally:
                with suppress(OSError):  # a leftover is harmless and never listed
                    temporary.unlink()
            # Also for an object that already existed: its writer may have been killed before it synced the folder,
            # and the caller is about to rely on the object.
            sync_folder(target.parent)
        except OSError as error:
            raise StoreUnavailable(
                message="the store could not create an object", detail=f"{key}: {error}"
            ) from error
        return existing

    def read(self, key: str) -> bytes | None:
        check_key(key)
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(message="the store could not read an object", detail=f"{key}: {error}") from error

    def list(self, folder: str) -> tuple[str, ...]:
        return tuple(self.walk(folder))

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        # The name of a folder with its slash sorts where the keys below it sort.
        entries = self._scan(folder)
        for name in sorted(f"{folder}{name}/" if is_folder else f"{folder}{name}" for name, is_folder in entries):
            if name.endswith("/"):
                if name > after or after.startswith(name):
                    yield from self.walk(name, after)
            elif name > after:
                yield name

    def children(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, _ in self._scan(folder)))

    def _scan(self, folder: str) -> tuple[tuple[str, bool], ...]:
        """Returns name and whether it is a folder for each entry; none if `folder` does not exist."""
        check_folder(folder)
        try:
            with os.scandir(self.root / folder) as entries:
                return tuple((e.name, e.is_dir(follow_symlinks=False)) for e in entries if is_key(e.name))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreUnavailable(
                message="the store could not list a folder", detail=f"{folder}: {error}"
            ) from error

    def _make_durable(self, folder: Path) -> None:
        """Makes `folder` and syncs its parent, also if another process made the folder and may have been killed."""
        if folder in self._durable:
            return
        if folder == self.root:
            made = not folder.is_dir()
            if made:
                with suppress(FileExistsError):
                    folder.mkdir()
        else:
            self._make_durable(folder.parent)
            made = True
            with suppress(FileExistsError):
                folder.mkdir()
        if made:
            sync_folder(folder.parent)
        self._durable.add(folder)


def _link(temporary: Path, target: Path) -> bytes | None:
    """Links without replacing. Returns None if this call made the link, else the bytes of the existing file."""
    try:
        os.link(temporary, target)
    except OSError as error:
        # On NFS an answer can be lost after the link was made, and the request, sent again, then answers "exists".
        # If both names are the same inode, the link is ours. On file systems with unreliable inode numbers the
        # caller gets its own bytes back.
        try:
            if temporary.samefile(target):
                return None
            return target.read_bytes()
        except FileNotFoundError:
            pass
        if error.errno in _NO_LINKS:
            raise StoreRefused(
                message="this file system has no hard links, so a file store cannot create exclusively on it",
                detail=str(error),
            ) from error
        raise
    return None
