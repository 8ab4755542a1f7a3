"""Stores ffmpeg's log of a clip: the whole log, or both ends of a very long one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proxx.contracts.errors import LedgerFailed, StoreRefused, StoreUnavailable
from proxx.store.keys import clip_log_key
from proxx.store.ledger import Ledger

HALF: Final = 2 << 20  # bytes kept of each end; ffmpeg can log gigabytes about one damaged hour


def store_clip_log(log: Path, clip: int, ledger: Ledger) -> str:
    """Puts the log into the store. Returns its name within the attempt. Raises LedgerFailed."""
    key = clip_log_key(ledger.job_id, ledger.attempt, clip)
    try:
        ledger.store.create(key, read_ends(log))
    except (StoreUnavailable, StoreRefused) as error:
        raise LedgerFailed(message="The clip's log could not be stored.", stage="log", detail=error.detail) from error
    return "/".join(key.split("/")[-2:])


def read_ends(log: Path) -> bytes:
    """Returns a short log whole, and both ends of a long one with a line that counts the bytes left out."""
    if not log.exists():
        return b""
    size = log.stat().st_size
    with log.open("rb") as stream:
        if size <= 2 * HALF:
            return stream.read()
        head = stream.read(HALF)
        stream.seek(size - HALF)
        return head + f"\n[{size - 2 * HALF} bytes left out]\n".encode() + stream.read()
