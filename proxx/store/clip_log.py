"""ffmpeg's own words about a clip, kept in the store: its beginning and its end where it is very long."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proxx.contracts.errors import LedgerFailed, StoreRefused, StoreUnavailable
from proxx.store.keys import clip_log_key
from proxx.store.ledger import Ledger

HALF: Final = 2 << 20  # bytes kept of each end; a damaged hour can say gigabytes


def store_clip_log(words: Path, clip: int, ledger: Ledger) -> str:
    """Put the log into the store; returns its name within the attempt. Raises LedgerFailed."""
    key = clip_log_key(ledger.job_id, ledger.attempt, clip)
    try:
        ledger.store.create(key, read_ends(words))
    except (StoreUnavailable, StoreRefused) as why:
        raise LedgerFailed(message="The store did not take the clip's log.", stage="log", detail=why.detail) from why
    return "/".join(key.split("/")[-2:])


def read_ends(words: Path) -> bytes:
    """The whole of a short log, the two ends of a long one with a line that says what was left out."""
    if not words.exists():
        return b""
    size = words.stat().st_size
    with words.open("rb") as log:
        if size <= 2 * HALF:
            return log.read()
        head = log.read(HALF)
        log.seek(size - HALF)
        return head + f"\n[{size - 2 * HALF} bytes left out]\n".encode() + log.read()
