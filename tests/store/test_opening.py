"""Opening a store by its URL, its identity, and its initialization."""

from __future__ import annotations

import json
import pwd
import threading
from pathlib import Path
from typing import Never

import pytest

from proxx.contracts.errors import StoreDamaged, StoreMismatch, StoreRefused
from proxx.store.opening import initialize_store, open_store, require_store, store_identity
from tests.objects.kinds import Kind


def test_paths_and_file_urls_open_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("memory:").uri == "memory:"
    for url in (str(tmp_path / "my store"), (tmp_path / "my store").as_uri(), "my store", "./my store"):
        opened = open_store(url)
        assert opened.uri == (tmp_path / "my store").as_uri()
        assert open_store(opened.uri).uri == opened.uri
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/With Space", "a store in object storage is written"),
        ("s3://key:secret@bucket/x", "a store in object storage is written"),
        ("gs://bucket/x", "a store of kind gs: is not supported by this version"),
        ("https://host/x", "a store of kind https: is not supported by this version"),
        ("file://host/x", "file:///absolute/path"),
        ("file:x", "file:///absolute/path"),
        ("", "the store's name is empty"),
    ],
)
def test_unknown_and_malformed_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(StoreRefused) as caught:
        open_store(url)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "~nobody-of-this-name/x",
            "begins with ~nobody-of-this-name, but this machine has no user nobody-of-this-name",
        ),
        ("~", "begins with ~, but this user has no home folder"),
        ("~/x", "begins with ~, but this user has no home folder"),
    ],
)
def test_a_home_folder_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    def unknown(uid: int) -> Never:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(StoreRefused) as caught:
        open_store(url)
    assert caught.value.code == "STORE_REFUSED"
    assert caught.value.message == f"the store's path {message}: write the full path"


def test_a_writer_creates_the_identity_once_and_a_reader_never(kind: Kind) -> None:
    store = kind.bare()
    assert store_identity(store) is None
    with pytest.raises(StoreMismatch) as caught:
        require_store(store, "1")
    assert (caught.value.code, caught.value.status) == ("STORE_MISMATCH", 6)
    assert store.list("") == ()
    made = initialize_store(store)
    assert (made.layout, made.resends) == (1, 5)
    assert initialize_store(kind.again(store)) == made
    assert initialize_store(store) == store_identity(store) == require_store(store, made.uuid) == made
    assert json.loads(store.read("store.json") or b"") == {
        "schema": "proxx.store/1",
        "uuid": made.uuid,
        "layout": 1,
        "resends": 5,
    }
    with pytest.raises(StoreMismatch):
        require_store(store, "another")


def test_the_number_of_resends_never_changes(kind: Kind) -> None:
    store = kind.bare()
    assert initialize_store(store, resends=0).resends == 0
    assert initialize_store(kind.again(store), resends=7).resends == 0
    assert json.loads(store.read("store.json") or b"")["resends"] == 0


def test_writers_that_initialize_a_store_at_once_agree(kind: Kind) -> None:
    store = kind.bare()
    uuids: list[str] = []
    barrier = threading.Barrier(8)

    def initialize() -> None:
        barrier.wait()
        uuids.append(initialize_store(kind.again(store)).uuid)

    threads = [threading.Thread(target=initialize) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(uuids) == 8 and len(set(uuids)) == 1


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ({"schema": "proxx.store/1", "uuid": "x", "layout": 2, "resends": 0}, StoreRefused),
        ({"schema": "proxx.store/2", "anything": 1}, StoreRefused),
        ({"schema": "proxx.store/1"}, StoreDamaged),
        ([], StoreDamaged),
    ],
)
def test_another_schema_or_layout_is_refused(kind: Kind, record: object, error: type[Exception]) -> None:
    store = kind.bare()
    store.create("store.json", json.dumps(record).encode())
    for call in (store_identity, initialize_store):
        with pytest.raises(error):
            call(store)


def test_a_broken_or_missing_store_json_is_damage(kind: Kind) -> None:
    torn, headless = kind.bare(), kind.bare()
    kind.put(torn, "store.json", b"{")
    kind.put(headless, "jobs/a/spec.json", b"{}")
    for store in (torn, headless):
        with pytest.raises(StoreDamaged) as caught:
            initialize_store(store)
        assert (caught.value.code, caught.value.status) == ("STORE_DAMAGED", 6)
