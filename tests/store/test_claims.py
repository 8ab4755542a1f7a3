"""Claims: who owns an output's name, and which uploads its former owners may still complete."""

from __future__ import annotations

import pytest

from proxx.contracts.errors import StoreDamaged
from proxx.contracts.event import Worker, stamp
from proxx.store.base import MemoryStore, Store
from proxx.store.claims import claim_bytes, former_uploads, owner_of
from proxx.store.keys import claim_key
from proxx.store.lock import acquire, retire, unlock
from proxx.store.opening import initialize_store
from proxx.store.registration import register

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32
DIT = Worker(host="cart-2", pid=7, user="dit")
NAME = "s3://shelf/out/one.mov"
OTHER = "s3://shelf/out/two.mov"


@pytest.fixture
def store() -> Store:
    store = MemoryStore()
    initialize_store(store)
    return store


def announce_and_retire(store: Store, job_id: str, *announced: tuple[str, str]) -> None:
    """The job's first attempt announces these uploads and is unlocked; then the job is retired."""
    register(store, b"{}", job_id, (NAME, OTHER), stamp(DIT, "reg"))
    ledger = acquire(store, job_id, 1, DIT, "run")
    for output, upload in announced:
        ledger.append("clip.publishing", {"clip": 0, "output": output, "sha256": "x"}, {"upload": upload})
    unlock(store, job_id, "it does not respond", DIT)
    retire(store, job_id, "not needed", DIT)


def test_a_claim_names_its_owner() -> None:
    assert owner_of(claim_bytes(A, NAME)) == A


@pytest.mark.parametrize("claim", [b"", b"[]", b'{"job_id":"aa"}', claim_bytes("../aa", NAME)])
def test_a_record_that_is_not_a_claim_is_damage(claim: bytes) -> None:
    with pytest.raises(StoreDamaged, match="a claim cannot be read"):
        owner_of(claim)


def test_a_new_name_has_no_former_uploads(store: Store) -> None:
    assert former_uploads(store, A, NAME) == ()
    register(store, b"{}", A, (NAME,), stamp(DIT, "reg"))
    assert former_uploads(store, A, NAME) == ()


def test_former_uploads_are_those_of_all_former_owners(store: Store) -> None:
    """Also those for another spelling of the name; not those for other names, and not the job's own."""
    announce_and_retire(store, A, (NAME, "u1"), (OTHER, "u2"), (NAME, "u3"))
    announce_and_retire(store, B, (NAME.upper().replace("S3://SHELF", "s3://shelf"), "u4"))
    register(store, b"{}", C, (NAME,), stamp(DIT, "reg"))
    acquire(store, C, 1, DIT, "run").append(
        "clip.publishing", {"clip": 0, "output": NAME, "sha256": "x"}, {"upload": "u5"}
    )
    assert former_uploads(store, C, NAME) == ("u1", "u3", "u4")
    assert former_uploads(store, B, NAME) == ("u1", "u3")
    assert former_uploads(store, A, NAME) == ()


def test_a_damaged_claim_is_reported(store: Store) -> None:
    store.create(claim_key(NAME, 1), b"nonsense")
    with pytest.raises(StoreDamaged):
        former_uploads(store, A, NAME)
