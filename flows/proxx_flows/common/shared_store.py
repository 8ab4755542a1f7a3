"""Opens the store and the roots that all machines of a pool share."""

from __future__ import annotations

import os
from pathlib import Path

from proxx.console.settings import DEFAULT_STORE, ROOTS_VARIABLE, STORE_VARIABLE
from proxx.files.places import Places, require_apart
from proxx.files.roots import parse_roots
from proxx.s3.transport import Transport
from proxx.store.base import MemoryStore, Store
from proxx.store.opening import open_store, require_store
from proxx_flows.common.errors import StoreNotShared
from proxx_flows.common.reference import JobReference


def open_shared_store(url: str | None, wire: Transport | None = None) -> Store:
    """Returns the store at this URL or folder, or the store in PROXX_STORE if url is None or empty.

    wire: the connection to object storage, if it is not the default one. Raises StoreNotShared if no store is named,
    or if other machines cannot reach it: the store in the home folder, or one in memory.
    """
    chosen = url or os.environ.get(STORE_VARIABLE)
    if not chosen:
        raise StoreNotShared(message="No store is named, and the default store is only on this machine.")
    store = open_store(chosen, wire)
    if isinstance(store, MemoryStore):
        raise StoreNotShared(message="A store in memory disappears when this process ends.")
    if store.uri == _home_store_uri():
        raise StoreNotShared(
            message="This store is in the user's home folder, which other machines do not share.", detail=store.uri
        )
    return store


def places_from_environment(wire: Transport | None = None) -> Places:
    """Returns the roots in PROXX_ROOTS and the connection to object storage. Raises RootsInvalid."""
    roots = parse_roots(os.environ.get(ROOTS_VARIABLE, ""))
    require_apart(roots)
    return Places(roots=roots, wire=wire or Transport())


def open_store_of(reference: JobReference, wire: Transport | None = None) -> Store:
    """Returns the store that the reference names. Raises StoreMismatch if its uuid differs from the reference's."""
    store = open_shared_store(reference.store, wire)
    if reference.store_uuid is not None:
        require_store(store, reference.store_uuid)
    return store


def _home_store_uri() -> str | None:
    try:
        return Path(DEFAULT_STORE).expanduser().absolute().as_uri()
    except RuntimeError:
        return None
