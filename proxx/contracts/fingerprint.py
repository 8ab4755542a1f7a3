"""Fingerprints and digests. Every fingerprint is made here: sha256 over the record type and canonical JSON.

The preimage of a record is its type (`proxx.job/1`), a newline, and the RFC 8785 bytes of its content, so that
two kinds of record can never share a fingerprint. Never part of any content: mtime, host, user, absolute work
paths, dict order, the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO, Final, NamedTuple

from proxx.contracts.canonical import Json, canonical_bytes

CHUNK: Final = 1 << 20  # bytes per read; a larger one gains nothing (hashing is the limit)


def fingerprint(record: str, content: Json) -> str:
    """Returns 64 hex digits for `content` as a record of type `record` (for instance `proxx.job/1`)."""
    return hashlib.sha256(record.encode("ascii") + b"\n" + canonical_bytes(content)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """Returns `sha256:<hex>` of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Digester:
    """The sha256 of bytes that arrive piece by piece. size: bytes so far."""

    def __init__(self) -> None:
        self._state, self.size = hashlib.sha256(), 0

    def update(self, chunk: bytes) -> None:
        self._state.update(chunk)
        self.size += len(chunk)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of all bytes so far."""
        return f"sha256:{self._state.hexdigest()}"


class StreamDigest(NamedTuple):
    """Size in bytes and `sha256:<hex>` of a whole stream."""

    size: int
    digest: str


def digest_stream(stream: BinaryIO, on_read: Callable[[int], None] = lambda _: None) -> StreamDigest:
    """Hashes `stream` to its end. on_read gets the bytes so far, after each chunk and at the end; it may raise."""
    digester = Digester()
    while chunk := stream.read(CHUNK):
        digester.update(chunk)
        on_read(digester.size)
    on_read(digester.size)
    return StreamDigest(digester.size, digester.digest)
