"""Fixtures of the flows' tests: one Prefect server for all of them, storage of each kind, and pools with workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.pool import Pool, running_pool
from tests.flows.postgres import Postgres, running_postgres
from tests.flows.server import Server, running_server, talking_to
from tests.flows.storage_area import KINDS, StorageArea, new_area, use_credentials


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on SQLite, shared by all tests of the flows. Each test has its own store and jobs."""
    with running_server(tmp_path_factory.mktemp("prefect")) as running:
        yield running


@pytest.fixture
def prefect(server: Server, tmp_path: Path) -> Iterator[Server]:
    """The shared server; this process talks to it and stores results in the test's own folder."""
    with talking_to(server, tmp_path):
        yield server


@pytest.fixture(params=KINDS)
def area(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageArea:
    """Storage for one test, of each kind; this process has its credentials."""
    return use_credentials(new_area(request.param, request, tmp_path), monkeypatch)


@pytest.fixture
def rgw_area(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageArea:
    """Storage on RGW only, for what a folder does not have or what takes long."""
    return use_credentials(new_area("rgw", request, tmp_path), monkeypatch)


@pytest.fixture(scope="package")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A pool with its own server on SQLite: its tests kill the server, and its workers take every run."""
    with running_pool(tmp_path_factory.mktemp("pool")) as running:
        yield running


@pytest.fixture(scope="package")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Pool]]:
    """Such a pool with its own PostgreSQL."""
    folder = tmp_path_factory.mktemp("postgresql")
    with running_postgres(folder / "postgres") as postgres, running_pool(folder / "pool", postgres.url) as running:
        yield postgres, running
