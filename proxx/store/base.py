"""The interface of a store: small objects, each created once and never replaced or deleted.

The first creator of a key wins; everyone else gets the bytes that exist. An object that was seen once stays, so a
stale listing on shared storage can make a reader refuse, but never proceed wrongly.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from proxx.s3.incidents import IncidentJournal
from proxx.store.keys import is_key


class Store(Protocol):
    """A place for objects. Folders end with `/`; "" is the whole store. Every method may raise StoreUnavailable."""

    @property
    def uri(self) -> str:
        """The URI that opens this store."""

    @property
    def journal(self) -> IncidentJournal:
        """Incidents while talking to this store: requests that were sent again, slow answers."""

    def create(self, key: str, data: bytes) -> bytes | None:
        """Creates an object, exclusively and durably.

        Returns None if this call created it, else the bytes of the object that already exists.
        """

    def read(self, key: str) -> bytes | None:
        """Returns the whole object, or None if absent."""

    def list(self, folder: str) -> tuple[str, ...]:
        """Returns the full keys of all objects below `folder`, sorted."""

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        """Yields the same keys in the same order, without holding them all. after: skip keys up to this text."""

    def children(self, folder: str) -> tuple[str, ...]:
        """Returns the names of the objects and folders directly below `folder`, sorted."""


class MemoryStore:
    """A store in memory, for tests and for work whose record is not kept."""

    uri = "memory:"

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.journal = IncidentJournal()

    def create(self, key: str, data: bytes) -> bytes | None:
        check_key(key)
        with self._lock:
            existing = self._objects.get(key)
            if existing is None:
                self._objects[key] = bytes(data)
            return existing

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
    """Raises ValueError if `key` is not a key."""
    if not is_key(key):
        raise ValueError(f"{key!r} is not a key")


def check_folder(folder: str) -> None:
    """Raises ValueError if `folder` is neither "" nor a key with a final `/`."""
    if folder and not (folder.endswith("/") and is_key(folder[:-1])):
        raise ValueError(f"{folder!r} is not a folder of a store")
