"""The store of small objects that are created once and never replaced or deleted: the only coordination there is.

Whoever creates a key first has it; everyone else is given the bytes that stand there. What was once seen stays
true, so a stale listing on shared storage can only make a reader refuse, never let it go ahead.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from proxx.canonical import Json, NotCanonical, canonical_bytes, read_json
from proxx.errors import StoreDamaged, StoreMismatch, StoreRefused, StoreUnavailable
from proxx.layout import STORE_KEY, is_key

SCHEMA: Final = "proxx.store/1"
LAYOUT: Final = 1
RESENDS: Final = 0  # a file store has no requests to send again

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})


class Store(Protocol):
    """What Proxx needs of storage. Folders end with `/`; "" is the whole store. Failures: StoreUnavailable."""

    @property
    def uri(self) -> str:
        """How to open this store again."""

    def create(self, key: str, data: bytes) -> bytes | None:
        """Create exclusively and durably. None: this call created it; else the bytes that stand there."""

    def read(self, key: str) -> bytes | None:
        """The whole object, or None where there is none."""

    def list(self, folder: str) -> tuple[str, ...]:
        """All keys below `folder`, in full, sorted."""

    def children(self, folder: str) -> tuple[str, ...]:
        """The names directly below `folder`, of objects and folders, sorted."""


class MemoryStore:
    """A store that ends with its process: for tests and for trying things out."""

    uri = "memory:"

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def create(self, key: str, data: bytes) -> bytes | None:
        _check_key(key)
        with self._lock:
            there = self._objects.get(key)
            if there is None:
                self._objects[key] = bytes(data)
            return there

    def read(self, key: str) -> bytes | None:
        _check_key(key)
        with self._lock:
            return self._objects.get(key)

    def list(self, folder: str) -> tuple[str, ...]:
        _check_folder(folder)
        with self._lock:
            return tuple(sorted(key for key in self._objects if key.startswith(folder)))

    def children(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted({key[len(folder) :].split("/", 1)[0] for key in self.list(folder)}))


class FileStore:
    """A folder on a local or shared file system that has hard links.

    An object is written whole to a dot file beside its place, synced, and linked to its name: the link is
    exclusive on every such file system, and a killed writer leaves at most a dot file, which nobody lists.
    The folder's own parent must exist: a share that is not mounted must not turn into a new, empty store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[Path] = set()  # folders whose entry in their parent this process has synced

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    def create(self, key: str, data: bytes) -> bytes | None:
        _check_key(key)
        target = self.root / key
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            self._make(target.parent)
            try:
                _write(temporary, data)
                there = _link(temporary, target)
            finally:
                with suppress(OSError):  # a leftover is harmless and never listed
                    temporary.unlink()
            # Also when it was there before: its writer may have been killed before this step, and the caller
            # is about to build on it.
            _sync_folder(target.parent)
        except OSError as why:
            raise StoreUnavailable(message="the store did not take an object", detail=f"{key}: {why}") from why
        return there

    def read(self, key: str) -> bytes | None:
        _check_key(key)
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as why:
            raise StoreUnavailable(message="the store did not give an object", detail=f"{key}: {why}") from why

    def list(self, folder: str) -> tuple[str, ...]:
        keys: list[str] = []
        for name, is_folder in self._scan(folder):
            keys.extend(self.list(f"{folder}{name}/") if is_folder else (f"{folder}{name}",))
        return tuple(sorted(keys))

    def children(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, _ in self._scan(folder)))

    def _scan(self, folder: str) -> tuple[tuple[str, bool], ...]:
        _check_folder(folder)
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
            _sync_folder(folder.parent)
        self._durable.add(folder)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # the umask decides who may read
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as why:
        if why.errno not in _NO_FOLDER_SYNC:  # some network file systems leave this to their server
            raise
    finally:
        os.close(descriptor)


def _check_key(key: str) -> None:
    if not is_key(key):
        raise ValueError(f"{key!r} is not a key")


def _check_folder(folder: str) -> None:
    if folder and not (folder.endswith("/") and is_key(folder[:-1])):
        raise ValueError(f"{folder!r} is not a folder of a store")


def open_store(url: str) -> Store:
    """The store at a path, a `file:///` URL or `memory:`. Touches nothing yet. Raises StoreRefused."""
    if url == "memory:":
        return MemoryStore()
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if not scheme:
        if not url:
            raise StoreRefused(message="the store's name is empty")
        return FileStore(Path(url).expanduser().absolute())
    name = scheme[1].lower()
    if name == "file":
        parts = urlsplit(url)
        path = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not path.is_absolute():
            raise StoreRefused(message="a file: store is written file:///absolute/path", detail=url)
        return FileStore(path)
    raise StoreRefused(message=f"a store of kind {name}: is not supported by this version", detail=url)


@dataclass(frozen=True)
class StoreIdentity:
    """Which store this is. A dispatched job carries the uuid, so that no worker runs it on another store."""

    uuid: str
    layout: int
    resends: int


def identity(store: Store) -> StoreIdentity | None:
    """Who the store is; None where there is none yet (readers never make one)."""
    data = store.read(STORE_KEY)
    return None if data is None else _parse_identity(data)


def init(store: Store) -> StoreIdentity:
    """Who the store is; makes it at a writer's first use."""
    # The listing first: whoever makes jobs has made store.json before.
    inhabited = {"jobs", "claims", "index"} & set(store.children(""))
    if known := identity(store):
        return known
    if inhabited:
        raise StoreDamaged(message="the store has jobs but no store.json")
    record: dict[str, Json] = {"schema": SCHEMA, "uuid": str(uuid.uuid4()), "layout": LAYOUT, "resends": RESENDS}
    data = canonical_bytes(record)
    return _parse_identity(store.create(STORE_KEY, data) or data)


def admit(store: Store, expected: str) -> StoreIdentity:
    """The store, when it is the one with uuid `expected`; makes nothing. Raises StoreMismatch."""
    known = identity(store)
    if known is None or known.uuid != expected:
        found = "there is no store here" if known is None else f"this is store {known.uuid}"
        raise StoreMismatch(message=f"the job belongs to store {expected}", detail=f"{found}: {store.uri}")
    return known


def _parse_identity(data: bytes) -> StoreIdentity:
    try:
        record = read_json(data)
    except NotCanonical as why:
        raise StoreDamaged(message="store.json cannot be read", detail=str(why)) from why
    match record:
        case {"schema": "proxx.store/1", "uuid": str(name), "layout": int(layout), "resends": int(resends)}:
            if layout != LAYOUT:
                raise StoreRefused(message=f"the store has layout {layout}; this version knows layout {LAYOUT}")
            return StoreIdentity(name, layout, resends)
        case {"schema": str(schema)} if schema != SCHEMA:
            raise StoreRefused(message=f"the store is of kind {schema}; this version knows {SCHEMA}")
        case _:
            raise StoreDamaged(message="store.json is not a store's record")
