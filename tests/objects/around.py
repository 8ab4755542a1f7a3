"""A store that delegates to another one: a test overrides the method that is to fail, on any kind of store."""

from __future__ import annotations

from collections.abc import Iterator

from proxx.s3.incidents import IncidentJournal
from proxx.store.base import Store


class Around:
    """Delegates every call to `inner`."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def uri(self) -> str:
        return self.inner.uri

    @property
    def journal(self) -> IncidentJournal:
        return self.inner.journal

    def create(self, key: str, data: bytes) -> bytes | None:
        return self.inner.create(key, data)

    def read(self, key: str) -> bytes | None:
        return self.inner.read(key)

    def list(self, folder: str) -> tuple[str, ...]:
        return self.inner.list(folder)

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        return self.inner.walk(folder, after)

    def children(self, folder: str) -> tuple[str, ...]:
        return self.inner.children(folder)
