"""Claims: who owns a name, and which uploads the owners before may still hold."""

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
    made = MemoryStore()
    initialize_store(made)
    return made


def uploading(store: Store, job_id: str, *announced: tuple[str, str]) -> None:
    """The job's first attempt announced these uploads, and was unlocked; then the job was retired."""
    register(store, b"{}", job_id, (NAME, OTHER), stamp(DIT, "reg"))
    ledger = acquire(store, job_id, 1, DIT, "run")
    for output, upload in announced:
        ledger.append("clip.publishing", {"clip": 0, "output": output, "sha256": "x"}, {"upload": upload})
    unlock(store, job_id, "it sleeps", DIT)
    retire(store, job_id, "no more", DIT)


def test_a_claim_names_its_owner() -> None:
    assert owner_of(claim_bytes(A, NAME)) == A


@pytest.mark.parametrize("claim", [b"", b"[]", b'{"job_id":"aa"}', claim_bytes("../aa", NAME)])
def test_a_claim_that_is_none(claim: bytes) -> None:
    with pytest.raises(StoreDamaged, match="a claim cannot be read"):
        owner_of(claim)


def test_a_name_nobody_had_before(store: Store) -> None:
    assert former_uploads(store, A, NAME) == ()
    register(store, b"{}", A, (NAME,), stamp(DIT, "reg"))
    assert former_uploads(store, A, NAME) == ()


def test_what_all_owners_before_announced_for_the_name(store: Store) -> None:
    """In another spelling too; nothing of other names, nothing of one's own."""
    uploading(store, A, (NAME, "u1"), (OTHER, "u2"), (NAME, "u3"))
    uploading(store, B, (NAME.upper().replace("S3://SHELF", "s3://shelf"), "u4"))
    register(store, b"{}", C, (NAME,), stamp(DIT, "reg"))
    acquire(store, C, 1, DIT, "run").append(
        "clip.publishing", {"clip": 0, "output": NAME, "sha256": "x"}, {"upload": "u5"}
    )
    assert former_uploads(store, C, NAME) == ("u1", "u3", "u4")
    assert former_uploads(store, B, NAME) == ("u1", "u3")
    assert former_uploads(store, A, NAME) == ()


def test_a_damaged_claim_is_not_passed_over(store: Store) -> None:
    store.create(claim_key(NAME, 1), b"nonsense")
    with pytest.raises(StoreDamaged):
        former_uploads(store, A, NAME)
