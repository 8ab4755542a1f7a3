"""A pool uses the store that is named, never one in a home folder, never another than the reference names."""

from __future__ import annotations

from pathlib import Path

import pytest
from proxx_flows.common.errors import StoreNotShared
from proxx_flows.common.reference import JobReference
from proxx_flows.common.shared_store import open_shared_store, open_store_of

from proxx.contracts.errors import StoreMismatch, StoreRefused
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from tests.support.results import JOB


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PROXX_STORE", raising=False)
    return tmp_path / "home"


def test_the_named_store_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXX_STORE", str(tmp_path / "set"))
    assert open_shared_store(str(tmp_path / "named")).uri == (tmp_path / "named").as_uri()
    assert open_shared_store(None).uri == (tmp_path / "set").as_uri()
    assert open_shared_store("").uri == (tmp_path / "set").as_uri()  # an empty field of a form
    assert not list(tmp_path.iterdir())


def test_without_a_named_store_it_is_refused() -> None:
    with pytest.raises(StoreNotShared, match=r"--store or PROXX_STORE"):
        open_shared_store(None)


@pytest.mark.parametrize("url", ["~/.proxx/store", "{home}/.proxx/store", "file://{home}/.proxx/store"])
def test_the_store_in_the_home_folder_is_refused(home: Path, url: str) -> None:
    with pytest.raises(StoreNotShared):
        open_shared_store(url.format(home=home))


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(StoreRefused):
        open_shared_store("ftp://host/store")


def test_a_bucket_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_shared_store("s3://bucket/store/").uri == "s3://bucket/store"
    monkeypatch.setenv("PROXX_STORE", "s3://bucket/other")
    assert open_shared_store(None).uri == "s3://bucket/other"
    with pytest.raises(StoreRefused) as refused:
        open_shared_store("s3://key:a-secret@bucket/store")
    assert "a-secret" not in str(refused.value)


def test_a_reference_is_for_one_store(tmp_path: Path) -> None:
    store, other = FileStore(tmp_path / "store"), FileStore(tmp_path / "other")
    reference = JobReference(store=store.uri, job_id=JOB, store_uuid=initialize_store(store).uuid)
    assert open_store_of(reference).uri == store.uri
    initialize_store(other)
    with pytest.raises(StoreMismatch):
        open_store_of(reference.model_copy(update={"store": other.uri}))
    with pytest.raises(StoreMismatch):
        open_store_of(reference.model_copy(update={"store": str(tmp_path / "not-mounted")}))
    assert not (tmp_path / "not-mounted").exists()
    assert open_store_of(reference.model_copy(update={"store": other.uri, "store_uuid": None})).uri == other.uri
