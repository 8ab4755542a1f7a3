"""What the tests of commands share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from botocore.loaders import JSONFileLoader


@pytest.fixture(scope="session", autouse=True)
def described_once() -> Iterator[None]:
    """A command reads the libraries' long description of S3 once; the hundreds that run in this process too."""
    loader, read = JSONFileLoader(), JSONFileLoader.load_file

    @cache
    def described(path: str) -> object:
        return read(loader, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: described(path))
        yield
