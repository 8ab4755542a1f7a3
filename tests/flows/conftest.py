"""What the tests of flows share: one Prefect server for all of them, and a process that talks to it alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.ground import KINDS, Ground, ground_of, speak
from tests.flows.pool import Pool, pooling
from tests.flows.postgres import Postgres, database
from tests.flows.server import Server, serving, talking_to


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on SQLite, gone when the last test of flows has ended. Runs are told apart by store and job."""
    with serving(tmp_path_factory.mktemp("prefect")) as running:
        yield running


@pytest.fixture
def prefect(server: Server, tmp_path: Path) -> Iterator[Server]:
    """This process talks to the session's server, results go to the test's own folder."""
    with talking_to(server, tmp_path):
        yield server


@pytest.fixture(params=KINDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Job files, sources and proxies of one test, on each kind of storage; this process reaches it."""
    return speak(ground_of(request.param, request, tmp_path), monkeypatch)


@pytest.fixture
def rgw_ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """The same on RGW only, for what a folder does not know or what takes long."""
    return speak(ground_of("rgw", request, tmp_path), monkeypatch)


@pytest.fixture(scope="package")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A pool with a server of its own, on SQLite: its tests end the server, and its workers take what is there."""
    with pooling(tmp_path_factory.mktemp("pool")) as made:
        yield made


@pytest.fixture(scope="package")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Pool]]:
    """The same on a PostgreSQL of the session's own."""
    folder = tmp_path_factory.mktemp("postgresql")
    with database(folder / "postgres") as postgres, pooling(folder / "pool", postgres.url) as made:
        yield postgres, made
