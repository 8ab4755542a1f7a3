"""Fixtures of the command tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from botocore.loaders import JSONFileLoader


@pytest.fixture(scope="session", autouse=True)
def service_descriptions_cached() -> Iterator[None]:
    """Caches botocore's long description of S3, which each of the hundreds of commands here would read again."""
    loader, read = JSONFileLoader(), JSONFileLoader.load_file

    @cache
    def load(path: str) -> object:
        return read(loader, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield
