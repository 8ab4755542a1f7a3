"""The clip's log in the store: short logs whole, both ends of long ones; a store that fails stops the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxx.contracts.errors import LedgerFailed, StoreUnavailable
from proxx.contracts.event import this_worker
from proxx.store.base import MemoryStore
from proxx.store.clip_log import HALF, read_ends, store_clip_log
from proxx.store.ledger import Ledger

JOB = "a" * 64


def test_a_short_log_is_kept_whole(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a line of ffmpeg\n")
    store = MemoryStore()
    name = store_clip_log(tmp_path / "log", 3, Ledger(store, JOB, 2, this_worker(), "run"))
    assert name == "clips/003.log"
    assert store.read(f"jobs/{JOB}/attempts/0002/clips/003.log") == b"a line of ffmpeg\n"


def test_a_long_log_keeps_both_ends(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"first" + b"." * (2 * HALF) + b"last")
    kept = read_ends(tmp_path / "log")
    assert kept.startswith(b"first")
    assert kept.endswith(b"last")
    assert b"[9 bytes left out]" in kept
    assert len(kept) < 2 * HALF + 100


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert read_ends(tmp_path / "absent") == b""


class FailingStore(MemoryStore):
    def create(self, key: str, data: bytes) -> bytes | None:
        raise StoreUnavailable(message="the store could not create an object", detail="disk on fire")


def test_a_log_that_cannot_be_stored_stops_the_job(tmp_path: Path) -> None:
    with pytest.raises(LedgerFailed) as caught:
        store_clip_log(tmp_path / "log", 0, Ledger(FailingStore(), JOB, 1, this_worker(), "run"))
    assert caught.value.detail == "disk on fire"
