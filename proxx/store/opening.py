"""Opens a store by its URL, reads its identity, and initializes a new one at a writer's first use."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxx.contracts.canonical import Json, canonical_bytes
from proxx.contracts.errors import StoreDamaged, StoreMismatch, StoreRefused
from proxx.contracts.output_names import bucket_name_problem
from proxx.contracts.uri import InvalidFileUri, file_path, without_secrets
from proxx.s3.transport import RESENDS, Transport
from proxx.store.base import MemoryStore, Store
from proxx.store.file import FileStore
from proxx.store.keys import STORE_KEY, is_key
from proxx.store.parsing import parse_record
from proxx.store.s3 import S3Store

SCHEMA: Final = "proxx.store/1"
LAYOUT: Final = 1


def open_store(url: str, wire: Transport | None = None) -> Store:
    """Returns the store at a path, a `file:///` URL, `s3://bucket/prefix` or `memory:`. Reads and writes nothing yet.

    wire: the connection to object storage, if not the standard one. Raises StoreRefused.
    """
    if url == "memory:":
        return MemoryStore()
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if not scheme:
        if not url:
            raise StoreRefused(message="the store's name is empty")
        return FileStore(_expand_home(url).absolute())
    name = scheme[1].lower()
    if name == "file":
        try:
            return FileStore(Path(file_path(url)))
        except InvalidFileUri as error:
            raise StoreRefused(message="a file: store is written file:///absolute/path", detail=str(error)) from error
    if name == "s3":
        return _in_bucket(url, wire)
    raise StoreRefused(
        message=f"a store of kind {name}: is not supported by this version", detail=without_secrets(url)
    )


def _expand_home(path: str) -> Path:
    """Returns the path with `~` or `~user` replaced by that home folder. Raises StoreRefused if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        user = path.partition("/")[0].removeprefix("~")
        problem = f"this machine has no user {user}" if user else "this user has no home folder"
        raise StoreRefused(
            message=f"the store's path begins with ~{user}, but {problem}: write the full path", detail=path
        ) from error


def _in_bucket(url: str, wire: Transport | None) -> Store:
    """Returns the store in a bucket. Raises StoreRefused, without the URL, which may hold a password."""
    bucket, _, prefix = url[len("s3://") :].partition("/")
    prefix = prefix.rstrip("/")
    if not url.startswith("s3://") or bucket_name_problem(bucket) or (prefix and not is_key(prefix)):
        raise StoreRefused(
            message="a store in object storage is written s3://bucket/prefix, the prefix in lower-case letters, "
            "digits, `.`, `_`, `-` and `/`; credentials and endpoint come from the environment, a profile or a role"
        )
    return S3Store(bucket, prefix, wire)


@dataclass(frozen=True)
class StoreIdentity:
    """store.json. A dispatched job carries the uuid, so no worker runs it on another store.

    resends: how often a request to object storage may be sent again.
    """

    uuid: str
    layout: int
    resends: int


def store_identity(store: Store) -> StoreIdentity | None:
    """Returns the identity of the store, or None if it is not initialized. Raises StoreDamaged, StoreRefused."""
    data = store.read(STORE_KEY)
    return None if data is None else _parse_identity(data)


def initialize_store(store: Store, *, resends: int = RESENDS) -> StoreIdentity:
    """Returns the identity of the store, after creating it if this is the first writer's first use.

    resends: for a new store only, how often a request may be sent again; 0 is allowed. The record of an existing
    store never changes. Raises StoreDamaged if there are jobs but no store.json.
    """
    # List before reading store.json: it is created before any job is registered.
    inhabited = {"jobs", "claims", "index"} & set(store.children(""))
    if known := store_identity(store):
        return known
    if inhabited:
        raise StoreDamaged(message="the store has jobs but no store.json")
    record: dict[str, Json] = {"schema": SCHEMA, "uuid": str(uuid.uuid4()), "layout": LAYOUT, "resends": resends}
    data = canonical_bytes(record)
    return _parse_identity(store.create(STORE_KEY, data) or data)


def require_store(store: Store, expected: str) -> StoreIdentity:
    """Returns the store's identity; creates nothing. Raises StoreMismatch if its uuid is not `expected`."""
    known = store_identity(store)
    if known is None or known.uuid != expected:
        actual = "no store exists here" if known is None else f"this is store {known.uuid}"
        raise StoreMismatch(message=f"the job belongs to store {expected}", detail=f"{actual}: {store.uri}")
    return known


def _parse_identity(data: bytes) -> StoreIdentity:
    match parse_record(data, STORE_KEY):
        case {"schema": "proxx.store/1", "uuid": str(name), "layout": int(layout), "resends": int(resends)}:
            if layout != LAYOUT:
                raise StoreRefused(message=f"the store has layout {layout}; this version supports layout {LAYOUT}")
            return StoreIdentity(name, layout, resends)
        case {"schema": str(schema)} if schema != SCHEMA:
            raise StoreRefused(message=f"the store has schema {schema}; this version supports {SCHEMA}")
        case _:
            raise StoreDamaged(message="store.json is not the record of a store")
