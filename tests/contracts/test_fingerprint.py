"""Fingerprints and digests: the preimage is spelled out once more, and streams are hashed to their end."""

from __future__ import annotations

import hashlib
import io

import pytest

from proxx.contracts.canonical import NotCanonical
from proxx.contracts.fingerprint import CHUNK, digest_bytes, digest_stream, fingerprint


@pytest.mark.clause("P1")
def test_the_preimage_is_type_newline_canonical_content() -> None:
    expected = hashlib.sha256(b'proxx.job/1\n{"a":[1,null],"b":"\xc3\xa9"}').hexdigest()
    assert fingerprint("proxx.job/1", {"b": "é", "a": [1, None]}) == expected


@pytest.mark.clause("P1")
def test_known_values() -> None:  # by sha256sum
    assert fingerprint("proxx.job/1", {}) == "9e23f4d0e98768abc1d5055c460de2329a24486cf581bac8a7fa1380b1adf5df"
    assert digest_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_another_record_type_is_another_fingerprint() -> None:
    assert fingerprint("proxx.job/1", {}) != fingerprint("proxx.job/2", {}) != fingerprint("proxx.clip/1", {})


def test_a_float_has_no_fingerprint() -> None:
    with pytest.raises(NotCanonical):
        fingerprint("proxx.job/1", {"rate": 29.97})  # type: ignore[dict-item]


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_stream_is_hashed_to_its_end(size: int) -> None:
    data = bytes(size)
    steps: list[int] = []
    assert digest_stream(io.BytesIO(data), steps.append) == (size, digest_bytes(data))
    chunks = -(-size // CHUNK)
    assert steps == [*(min(size, CHUNK * (n + 1)) for n in range(chunks)), size]


def test_short_reads_do_not_end_the_hashing() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(3)

    assert digest_stream(Trickle(b"0123456789")) == (10, digest_bytes(b"0123456789"))
