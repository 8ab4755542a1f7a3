"""The four kinds of store that the same tests run on, and how to put an object into each without the store.

On a server every store is a new prefix in one bucket of the session, reached by one connected transport: hundreds of
stores cost little.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from proxx.s3 import bucket as product
from proxx.s3.transport import Transport, TransportTiming
from proxx.store.base import MemoryStore, Store
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store, open_store
from tests.objects.endpoint import Bucket, Endpoint

NewStore: TypeAlias = Callable[[], Store]
KINDS: Final = ("memory", "file", "moto", "rgw")
SHORT: Final = TransportTiming(patience=2.0, pauses=(0.01,))  # for tests with a broken connection
_NUMBERS: Final = itertools.count(1)


@contextmanager
def speaking_to(endpoint: Endpoint) -> Iterator[None]:
    """Sets the environment of this process to use this server as this user while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in endpoint.environment.items():
            patch.setenv(name, value)
        yield


def connected(bucket: Bucket, wire: Transport | None = None) -> Transport:
    """Returns a transport that has looked up its server and credentials and no longer needs the environment."""
    wire = wire or Transport()
    with speaking_to(bucket.endpoint):
        product.Bucket(wire, bucket.name).head("nothing")
    return wire


@dataclass
class Kind:
    """One kind of store. bucket, wire: set if it is on a server."""

    name: str
    folder: Path
    bucket: Bucket | None = None
    wire: Transport | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def on_a_server(self) -> bool:
        return self.bucket is not None

    def bare(self) -> Store:
        """Returns a store that is not initialized."""
        number = next(_NUMBERS)
        if self.bucket is not None:
            return open_store(f"{self.bucket.url}/{os.getpid()}-{number}", self.wire)
        return MemoryStore() if self.name == "memory" else FileStore(self.folder / f"store-{number}")

    def new(self) -> Store:
        """Returns a new store, with its store.json."""
        store = self.bare()
        initialize_store(store)
        return store

    def again(self, store: Store) -> Store:
        """Returns the store as another process opens it; a store in memory is only itself."""
        return store if self.name == "memory" else open_store(store.uri, self.wire)

    def put(self, store: Store, key: str, data: bytes) -> None:
        """Puts an object without the store, which would refuse it; in memory and on disk through the store."""
        if self.bucket is None:
            store.create(key, data)
            return
        prefix = store.uri.removeprefix(f"{self.bucket.url}/")
        self.bucket.put(f"{prefix}/{key}", data)


def turns(kind: Kind, *, memory: int, file: int, server: int) -> int:
    """Returns how often a test repeats, depending on how fast the kind of store is."""
    return {"memory": memory, "file": file}.get(kind.name, server)
