"""A store on a file system: exclusive create by hard links, on local disks and shared ones."""

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
    """A folder on a local or shared file system that has hard links.

    An object is written whole to a dot file beside its place, synced, and linked to its name: the link is
    exclusive on every such file system, and a killed writer leaves at most a dot file, which nobody lists.
    The folder's own parent must exist: a share that is not mounted must not turn into a new, empty store.
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
            self._make(target.parent)
            try:
                write_new_file(temporary, data)
                there = _link(temporary, target)
            finally:
                with suppress(OSError):  # a leftover is harmless and never listed
                    temporary.unlink()
            # Also when it was there before: its writer may have been killed before this step, and the caller
            # is about to build on it.
            sync_folder(target.parent)
        except OSError as why:
            raise StoreUnavailable(message="the store did not take an object", detail=f"{key}: {why}") from why
        return there

    def read(self, key: str) -> bytes | None:
        check_key(key)
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as why:
            raise StoreUnavailable(message="the store did not give an object", detail=f"{key}: {why}") from why

    def list(self, folder: str) -> tuple[str, ...]:
        return tuple(self.walk(folder))

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        # A folder's name with its slash sorts as its keys do.
        found = self._scan(folder)
        for name in sorted(f"{folder}{name}/" if is_folder else f"{folder}{name}" for name, is_folder in found):
            if name.endswith("/"):
                if name > after or after.startswith(name):
                    yield from self.walk(name, after)
            elif name > after:
                yield name

    def children(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, _ in self._scan(folder)))

    def _scan(self, folder: str) -> tuple[tuple[str, bool], ...]:
        check_folder(folder)
        try:
            with os.scandir(self.root / folder) as entries:
                return tuple((e.name, e.is_dir(follow_symlinks=False)) for e in entries if is_key(e.name))
        except FileNotFoundError:
            return ()
        except OSError as why:
            raise StoreUnavailable(message="the store did not list a folder", detail=f"{folder}: {why}") from why

    def _make(self, folder: Path) -> None:
        """Make `folder` and sync it into its parent, also where another process made it and was killed."""
        if folder in self._durable:
            return
        if folder == self.root:
            made = not folder.is_dir()
            if made:
                with suppress(FileExistsError):
                    folder.mkdir()
        else:
            self._make(folder.parent)
            made = True
            with suppress(FileExistsError):
                folder.mkdir()
        if made:
            sync_folder(folder.parent)
        self._durable.add(folder)


def _link(temporary: Path, target: Path) -> bytes | None:
    """Link without replacing. None: done by this call; else what stands there."""
    try:
        os.link(temporary, target)
    except OSError as why:
        # A lost answer hides a link that was made, and the resent request then says "exists" (NFS): one and the
        # same inode is ours. Where inode numbers lie, the caller finds its own bytes returned.
        try:
            if temporary.samefile(target):
                return None
            return target.read_bytes()
        except FileNotFoundError:
            pass
        if why.errno in _NO_LINKS:
            raise StoreRefused(
                message="this file system has no hard links, so a file store cannot create exclusively on it",
                detail=str(why),
            ) from why
        raise
    return None
