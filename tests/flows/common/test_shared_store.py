"""Which store a pool works on: the one that is named, never a user's home, never another than was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from proxx_flows.common.errors import StoreNotShared
from proxx_flows.common.reference import JobReference
from proxx_flows.common.shared_store import shared_store, store_of

from proxx.contracts.errors import StoreMismatch, StoreRefused
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from tests.support.results import JOB


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PROXX_STORE", raising=False)
    return tmp_path / "home"


def test_what_is_said_goes_before_what_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXX_STORE", str(tmp_path / "set"))
    assert shared_store(str(tmp_path / "said")).uri == (tmp_path / "said").as_uri()
    assert shared_store(None).uri == (tmp_path / "set").as_uri()
    assert shared_store("").uri == (tmp_path / "set").as_uri()  # a field left empty in a form
    assert not list(tmp_path.iterdir())


def test_no_store_is_no_pools_store() -> None:
    with pytest.raises(StoreNotShared, match=r"--store or PROXX_STORE"):
        shared_store(None)


@pytest.mark.parametrize("said", ["~/.proxx/store", "{home}/.proxx/store", "file://{home}/.proxx/store"])
def test_the_homes_store_is_no_pools_store(home: Path, said: str) -> None:
    with pytest.raises(StoreNotShared):
        shared_store(said.format(home=home))


def test_a_kind_of_store_that_is_not_known() -> None:
    with pytest.raises(StoreRefused):
        shared_store("ftp://host/store")


def test_a_bucket_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shared_store("s3://bucket/store/").uri == "s3://bucket/store"
    monkeypatch.setenv("PROXX_STORE", "s3://bucket/other")
    assert shared_store(None).uri == "s3://bucket/other"
    with pytest.raises(StoreRefused) as refused:
        shared_store("s3://key:geheim@bucket/store")
    assert "geheim" not in str(refused.value)


def test_a_dispatch_is_for_one_store(tmp_path: Path) -> None:
    store, other = FileStore(tmp_path / "store"), FileStore(tmp_path / "other")
    reference = JobReference(store=store.uri, job_id=JOB, store_uuid=initialize_store(store).uuid)
    assert store_of(reference).uri == store.uri
    initialize_store(other)
    with pytest.raises(StoreMismatch):
        store_of(reference.model_copy(update={"store": other.uri}))
    with pytest.raises(StoreMismatch):
        store_of(reference.model_copy(update={"store": str(tmp_path / "not-mounted")}))
    assert not (tmp_path / "not-mounted").exists()
    assert store_of(reference.model_copy(update={"store": other.uri, "store_uuid": None})).uri == other.uri
