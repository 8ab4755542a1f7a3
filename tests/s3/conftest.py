"""A bucket of each server in turn, and files to upload."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import pytest

from proxx.s3.bucket import Bucket
from tests.objects.kinds import Kind

MIB: Final = 1 << 20


@pytest.fixture(params=["moto", "rgw"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.getfixturevalue(f"{request.param}_kind")
    return kind


@pytest.fixture
def mine(kind: Kind) -> Bucket:
    """The bucket by the code under test."""
    assert kind.bucket is not None and kind.wire is not None
    return Bucket(kind.wire, kind.bucket.name)


def a_file(folder: Path, size: int) -> Path:
    """Creates a file of `size` bytes, the same bytes for the same size."""
    made = folder / "made.mov"
    made.write_bytes(hashlib.shake_128(b"%d" % size).digest(size))
    return made
