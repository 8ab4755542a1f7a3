"""A store in a folder: exclusive creation with several processes, faults and kill -9; nothing is made by accident."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from proxx.contracts.errors import StoreRefused, StoreUnavailable
from proxx.files import durable
from proxx.store import file as module
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store, store_identity


def visible(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_file()}


RACER = """
import sys
from pathlib import Path
from proxx.store.opening import FileStore
store, me = FileStore(Path(sys.argv[1])), sys.argv[2].encode()
print("ready", flush=True)
sys.stdin.readline()
print(" ".join(str(n) for n in range(150) if store.create(f"race/{n}", me) is None), flush=True)
"""


@pytest.mark.clause("P3", "T2", "A6")
def test_of_several_processes_one_creates_each_object(tmp_path: Path) -> None:
    root = tmp_path / "store"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(root), f"racer{me}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(4)
    ]
    for racer in racers:
        assert racer.stdout and racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = {me: [int(n) for n in racer.communicate(timeout=60)[0].split()] for me, racer in enumerate(racers)}
    assert sorted(n for numbers in won.values() for n in numbers) == list(range(150))
    for me, numbers in won.items():
        for number in numbers:
            assert (root / f"race/{number}").read_bytes() == f"racer{me}".encode()
    assert not [name for name in visible(root) if name.startswith(".")]


WRITER = """
import hashlib, os, sys
from pathlib import Path
from proxx.store.opening import FileStore
store, me = FileStore(Path(sys.argv[1])), sys.argv[2]
for n in range(100000):
    body = os.urandom(300_000)
    data = hashlib.sha256(body).hexdigest().encode() + body
    assert store.create(f"{me}/{n}", data) is None
    print(n, flush=True)
"""


@pytest.mark.clause("I7", "V2")
def test_a_killed_writer_leaves_whole_objects_only(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = FileStore(root)
    luck = random.Random(20)  # noqa: S311 - spreads the kills, no secret
    for turn in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), f"w{turn}"], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout
        lines = [writer.stdout.readline() for _ in range(luck.randint(1, 4))]
        time.sleep(luck.random() / 50)  # so that it dies at another point each time
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
        writer.wait()
        writer.stdout.close()
        created = [int(line) for line in lines if line.endswith("\n")]
        keys = store.list(f"w{turn}/")
        assert {f"w{turn}/{n}" for n in created} <= set(keys)  # each object it reported exists
        for key in keys:
            data = store.read(key) or b""
            assert hashlib.sha256(data[64:]).hexdigest().encode() == data[:64]
        next_key = f"w{turn}/{len(keys)}"
        assert store.create(next_key, b"after") is None  # its leftovers block nobody
    assert "." not in {key.rsplit("/", 1)[1][0] for key in store.list("")}


def fail_with(number: int) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.EIO, errno.EEXIST, errno.ESTALE, errno.EPERM])
def test_a_link_whose_answer_was_lost_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    link = os.link

    def landed(source: Path, target: Path) -> None:
        link(source, target)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", landed)
    store = FileStore(tmp_path)
    assert store.create("a/b", b"mine") is None
    assert store.read("a/b") == b"mine"
    assert store.create("a/b", b"other") == b"mine"


@pytest.mark.parametrize(
    ("call", "number"),
    [("link", errno.EIO), ("fsync", errno.EIO), ("fsync", errno.ENOSPC), ("open", errno.EACCES)],
)
def test_a_failed_write_is_reported_and_leaves_nothing_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    store = FileStore(tmp_path)
    store.create("a/first", b"")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail_with(number))
        with pytest.raises(StoreUnavailable) as caught:
            store.create("a/b", b"mine")
    assert (caught.value.code, caught.value.status) == ("STORE_UNAVAILABLE", 6)
    assert caught.value.message == "the store could not create an object"
    assert os.strerror(number) in (caught.value.detail or "")
    assert visible(tmp_path) == {"first"}
    assert store.create("a/b", b"again") is None


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", fail_with(number))
    with pytest.raises(StoreRefused, match="no hard links") as caught:
        FileStore(tmp_path).create("a/b", b"mine")
    assert (caught.value.code, caught.value.status) == ("STORE_REFUSED", 6)
    assert visible(tmp_path) == set()


def test_a_file_system_that_cannot_sync_folders_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def no_folders(descriptor: int) -> None:
        if not os.path.isfile(f"/dev/fd/{descriptor}"):  # noqa: PTH113
            raise OSError(errno.EINVAL, "no")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", no_folders)
    assert FileStore(tmp_path).create("a/b", b"mine") is None


def test_every_new_folder_is_synced_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = durable.sync_folder

    def note(folder: Path) -> None:
        synced.append(str(folder.relative_to(tmp_path)))
        sync(folder)

    monkeypatch.setattr(module, "sync_folder", note)
    FileStore(tmp_path / "s").create("a/b/c", b"")
    assert synced == [".", "s", "s/a", "s/a/b"]
    synced.clear()
    FileStore(tmp_path / "s").create("a/b/d", b"")  # another process: the first may have died before it synced
    assert synced == ["s", "s/a", "s/a/b"]


def test_a_share_that_is_not_mounted_does_not_become_a_new_store(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "volume" / "store")
    with pytest.raises(StoreUnavailable):
        initialize_store(store)
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_object_is_unavailable_not_absent(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.create("a/b", b"")
    for call in (lambda: store.read("a/b/c"), lambda: store.read("a"), lambda: store.list("a/b/")):
        with pytest.raises(StoreUnavailable):
            call()


def test_foreign_files_are_not_listed(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.create("a/b", b"")
    for name in (".DS_Store", "._b", "Thumbs.db", ".b.123"):
        (tmp_path / "a" / name).write_bytes(b"x")
    assert store.list("") == ("a/b",)


def test_reading_a_missing_store_does_not_create_it(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    assert (store_identity(store), store.list(""), store.children("jobs/")) == (None, (), ())
    assert list(tmp_path.iterdir()) == []
