"""The one place fingerprints are made: sha256 over canonical JSON with the record type in the preimage.

The preimage of a record is its type (`proxx.job/1`), a newline, and the RFC 8785 bytes of its content, so that
two kinds of record can never share a fingerprint. Never part of any content: mtime, host, user, absolute work
paths, dict order, the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from proxx.contracts.canonical import Json, canonical_bytes

CHUNK: Final = 1 << 20  # bytes a read; larger gains nothing (hashing is the limit)


def fingerprint(record: str, content: Json) -> str:
    """64 hex digits for `content` as a record of type `record` (for instance `proxx.job/1`)."""
    return hashlib.sha256(record.encode("ascii") + b"\n" + canonical_bytes(content)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """`sha256:<hex>` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_stream(stream: BinaryIO) -> Iterator[tuple[int, str | None]]:
    """Hash `stream` to its end: yields (bytes so far, None) a chunk, last (total bytes, `sha256:<hex>`)."""
    state, total = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        state.update(chunk)
        total += len(chunk)
        yield total, None
    yield total, f"sha256:{state.hexdigest()}"


class Digester:
    """The sha256 of bytes that come piece by piece. size: bytes so far."""

    def __init__(self) -> None:
        self._state, self.size = hashlib.sha256(), 0

    def update(self, chunk: bytes) -> None:
        self._state.update(chunk)
        self.size += len(chunk)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of all so far."""
        return f"sha256:{self._state.hexdigest()}"
