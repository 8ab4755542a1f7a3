"""Which store: opened by its URL, known by its record, made at a writer's first use. Other kinds are refused."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxx.contracts.canonical import Json, NotCanonical, canonical_bytes, read_json
from proxx.contracts.errors import StoreDamaged, StoreMismatch, StoreRefused
from proxx.contracts.naming import bucket_name_problem
from proxx.contracts.uri import InvalidFileUri, file_path, without_secrets
from proxx.s3.transport import RESENDS, Transport
from proxx.store.base import MemoryStore, Store
from proxx.store.file import FileStore
from proxx.store.keys import STORE_KEY, is_key
from proxx.store.s3 import S3Store

SCHEMA: Final = "proxx.store/1"
LAYOUT: Final = 1


def open_store(url: str, wire: Transport | None = None) -> Store:
    """The store at a path, a `file:///` URL, `s3://bucket/prefix` or `memory:`. Touches nothing yet.

    wire: how object storage is reached, where not in the standard way. Raises StoreRefused.
    """
    if url == "memory:":
        return MemoryStore()
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if not scheme:
        if not url:
            raise StoreRefused(message="the store's name is empty")
        return FileStore(Path(url).expanduser().absolute())
    name = scheme[1].lower()
    if name == "file":
        try:
            return FileStore(Path(file_path(url)))
        except InvalidFileUri as why:
            raise StoreRefused(message="a file: store is written file:///absolute/path", detail=str(why)) from why
    if name == "s3":
        return _in_bucket(url, wire)
    raise StoreRefused(
        message=f"a store of kind {name}: is not supported by this version", detail=without_secrets(url)
    )


def _in_bucket(url: str, wire: Transport | None) -> Store:
    """Raises StoreRefused; the URL is not shown then, it may hold a password."""
    bucket, _, prefix = url[len("s3://") :].partition("/")
    prefix = prefix.rstrip("/")
    if not url.startswith("s3://") or bucket_name_problem(bucket) or (prefix and not is_key(prefix)):
        raise StoreRefused(
            message="a store in object storage is written s3://bucket/prefix, the prefix in small letters, digits, "
            "`.`, `_`, `-` and `/`; credentials and endpoint come from the environment, a profile or a role"
        )
    return S3Store(bucket, prefix, wire)


@dataclass(frozen=True)
class StoreIdentity:
    """Which store this is. A dispatched job carries the uuid, so that no worker runs it on another store."""

    uuid: str
    layout: int
    resends: int


def store_identity(store: Store) -> StoreIdentity | None:
    """Who the store is; None where there is none yet (readers never make one)."""
    data = store.read(STORE_KEY)
    return None if data is None else _parse_identity(data)


def initialize_store(store: Store, *, resends: int = RESENDS) -> StoreIdentity:
    """Who the store is; makes it at a writer's first use. resends: for a new one, how often a request may be sent
    again; 0 is allowed, and what stands in the record of a store that is there is never changed.
    """
    # The listing first: whoever makes jobs has made store.json before.
    inhabited = {"jobs", "claims", "index"} & set(store.children(""))
    if known := store_identity(store):
        return known
    if inhabited:
        raise StoreDamaged(message="the store has jobs but no store.json")
    record: dict[str, Json] = {"schema": SCHEMA, "uuid": str(uuid.uuid4()), "layout": LAYOUT, "resends": resends}
    data = canonical_bytes(record)
    return _parse_identity(store.create(STORE_KEY, data) or data)


def require_store(store: Store, expected: str) -> StoreIdentity:
    """The store, when it is the one with uuid `expected`; makes nothing. Raises StoreMismatch."""
    known = store_identity(store)
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
