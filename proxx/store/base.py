"""What Proxx needs of a store: small objects that are created once, and never replaced or deleted.

Whoever creates a key first has it; everyone else is given the bytes that stand there. What was once seen stays
true, so a stale listing on shared storage can only make a reader refuse, never let it go ahead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from proxx.s3.incidents import IncidentJournal
from proxx.store.keys import is_key


class Store(Protocol):
    """What Proxx needs of storage. Folders end with `/`; "" is the whole store. Failures: StoreUnavailable."""

    @property
    def uri(self) -> str:
        """How to open this store again."""

    @property
    def journal(self) -> IncidentJournal:
        """What happened on the way to this store: requests that were sent again, slow answers."""

    def create(self, key: str, data: bytes) -> bytes | None:
        """Create exclusively and durably. None: this call created it; else the bytes that stand there."""

    def read(self, key: str) -> bytes | None:
        """The whole object, or None where there is none."""

    def list(self, folder: str) -> tuple[str, ...]:
        """All keys below `folder`, in full, sorted."""

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        """The same one by one, in the same order, without holding all. after: only those behind this text."""

    def children(self, folder: str) -> tuple[str, ...]:
        """The names directly below `folder`, of objects and folders, sorted."""


class MemoryStore:
    """A store that ends with its process: for tests and for trying things out."""

    uri = "memory:"

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.journal = IncidentJournal()

    def create(self, key: str, data: bytes) -> bytes | None:
        check_key(key)
        with self._lock:
            there = self._objects.get(key)
            if there is None:
                self._objects[key] = bytes(data)
            return there

    def read(self, key: str) -> bytes | None:
        check_key(key)
        with self._lock:
            return self._objects.get(key)

    def list(self, folder: str) -> tuple[str, ...]:
        check_folder(folder)
        with self._lock:
            return tuple(sorted(key for key in self._objects if key.startswith(folder)))

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        return (key for key in self.list(folder) if key > after)

    def children(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted({key[len(folder) :].split("/", 1)[0] for key in self.list(folder)}))


def check_key(key: str) -> None:
    if not is_key(key):
        raise ValueError(f"{key!r} is not a key")


def check_folder(folder: str) -> None:
    if folder and not (folder.endswith("/") and is_key(folder[:-1])):
        raise ValueError(f"{folder!r} is not a folder of a store")
