"""What the tests of flows share: one Prefect server a session, and a process that talks to it alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.pool import Pool
from tests.flows.server import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on SQLite for the whole session. Runs are told apart by store and job."""
    with serving(tmp_path_factory.mktemp("prefect")) as running:
        yield running


@pytest.fixture
def prefect(server: Server, tmp_path: Path) -> Iterator[Server]:
    """This process talks to the session's server, results go to the test's own folder."""
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    updates = {
        PREFECT_API_URL: server.url,
        PREFECT_HOME: tmp_path / "prefect",
        PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results",
    }
    with temporary_settings(updates):
        yield server
        APILogHandler().flush()  # else this process tries for a minute, at its end, to send them to a server that left


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A pool with a server of its own, on SQLite: its tests end the server, and its workers take what is there."""
    folder = tmp_path_factory.mktemp("pool")
    with serving(folder / "prefect") as running:
        made = Pool(running, folder)
        made.set_up()
        yield made
        made.kill_all()
