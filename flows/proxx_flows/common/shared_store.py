"""Which store and which roots a pool's machine works on: the store is one that every machine reaches."""

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


def shared_store(said: str | None, wire: Transport | None = None) -> Store:
    """The store named, else the one of PROXX_STORE. wire: how object storage is reached, where not as always.

    Raises StoreNotShared where that is none, or the home's.
    """
    named = said or os.environ.get(STORE_VARIABLE)
    if not named:
        raise StoreNotShared(message="No store is named, and the default one is of this machine alone.")
    store = open_store(named, wire)
    if isinstance(store, MemoryStore):
        raise StoreNotShared(message="A store in memory ends with this process.")
    if store.uri == _home_uri():
        raise StoreNotShared(message="The store named is the one in this user's home.", detail=store.uri)
    return store


def places_here(wire: Transport | None = None) -> Places:
    """The roots of this machine by PROXX_ROOTS, and its way to object storage. Raises RootsInvalid."""
    roots = parse_roots(os.environ.get(ROOTS_VARIABLE, ""))
    require_apart(roots)
    return Places(roots=roots, wire=wire or Transport())


def store_of(reference: JobReference, wire: Transport | None = None) -> Store:
    """The store that a dispatch names. Raises StoreMismatch where it is another than it was dispatched from."""
    store = shared_store(reference.store, wire)
    if reference.store_uuid is not None:
        require_store(store, reference.store_uuid)
    return store


def _home_uri() -> str | None:
    try:
        return Path(DEFAULT_STORE).expanduser().absolute().as_uri()
    except RuntimeError:
        return None
