"""The check before a worker polls: what a machine lacks keeps it out, and is said with what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result
from proxx_flows.worker import check as worker_check
from proxx_flows.worker.check import WorkerNeeds, examine_worker

from proxx.ffmpeg.toolchain import NAMES
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from tests.flows.door import door
from tests.flows.pool import DEADLINE, Pool

API = "http://127.0.0.1:4200/api"


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", API)
    monkeypatch.delenv("PROXX_STORE", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "store")
    initialize_store(made)
    return made


def check(*arguments: str) -> Result:
    return CliRunner().invoke(worker_check.main, arguments)


def test_a_whole_machine(store: FileStore, tmp_path: Path) -> None:
    found = examine_worker(WorkerNeeds(store=store.uri, reads=(str(tmp_path),), writes=(str(tmp_path),)))
    areas = ["runs", *(f"toolchain {name}" for name in NAMES), "work", "folder", "output", "store"]
    assert [finding.area for finding in found] == areas
    assert all(finding.ok for finding in found)
    said = check("--store", store.uri, "--must-exist", str(tmp_path), "--toolchain", "static")
    assert (said.exit_code, said.output.count("\n")) == (0, 5)


@pytest.mark.clause("T6", lead=True)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--must-exist", "/nowhere/rushes"], "NO  folder: /nowhere/rushes: No such file or directory."),
        (["--must-write", "/nowhere/proxies"], "NO  output: /nowhere/proxies does not exist or is not a folder."),
    ],
)
def test_a_missing_share(store: FileStore, arguments: list[str], sentence: str) -> None:
    """A worker whose folders are not there does not start, and says which."""
    before = store.children("")
    said = check("--store", store.uri, "--toolchain", "static", *arguments)
    assert said.exit_code == 6
    assert sentence in said.output
    assert store.children("") == before, "nothing is written to the store of a machine that is refused"


def test_a_store_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None named, the home's, an empty place, one that cannot be made: and one that is made when asked."""
    assert "NO  store: STORE_NOT_SHARED" in check("--toolchain", "static").output
    monkeypatch.setenv("HOME", str(tmp_path))
    home = check("--toolchain", "static", "--store", str(tmp_path / ".proxx" / "store"))
    assert (home.exit_code, "STORE_NOT_SHARED" in home.output) == (6, True)
    empty = FileStore(tmp_path / "share")
    said = check("--toolchain", "static", "--store", empty.uri)
    assert (said.exit_code, f"{empty.uri} holds no store." in said.output) == (6, True)
    assert not empty.root.exists()
    nowhere = check("--toolchain", "static", "--store", str(tmp_path / "not" / "mounted"), "--make-store")
    assert (nowhere.exit_code, "STORE_UNAVAILABLE" in nowhere.output) == (6, True)
    made = check("--toolchain", "static", "--store", empty.uri, "--make-store")
    assert (made.exit_code, made.output.splitlines()[0]) == (0, f"{empty.uri}: store {initialize_store(empty).uuid}.")


def test_no_server_is_named(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    said = check("--toolchain", "static", "--store", store.uri)
    assert (said.exit_code, "NO  runs: No Prefect server is named." in said.output) == (6, True)


def test_nothing_to_start_runs_with(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/bin/python3")
    monkeypatch.setenv("PATH", "/nowhere")
    said = check("--toolchain", "static", "--store", store.uri)
    assert "NO  runs: setsid and python cannot be found, so no run would start." in said.output


@pytest.mark.clause("N1")
def test_a_broken_toolchain(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine has the same or does not start: jobs are not chosen for machines."""
    from proxx.ffmpeg import toolchain

    monkeypatch.setattr(toolchain, "_STATIC_PACKAGE", ("no_such_package", "no-such-package"))
    said = check("--store", store.uri)
    assert said.exit_code == 6
    assert "NO  toolchain static: TOOLCHAIN_MISSING" in said.output
    assert said.output.count("NO  toolchain") == 2, "the full one takes its ffprobe from there"


class Asked(BaseHTTPRequestHandler):
    """A server that wants a login nobody has; it counts who asks."""

    def _refuse(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _refuse  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@contextmanager
def refusing() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Asked)
    server.asked = 0  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def start(folder: Path, server: HTTPServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The worker itself, to its end."""
    from tests.flows.server import Server

    env = Server(folder / "prefect").env(PREFECT_API_URL=f"http://127.0.0.1:{server.server_port}/api")
    argv = [sys.executable, "-m", "proxx_flows.worker", "--toolchain", "static", *arguments]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.clause("T6")
def test_a_wrong_machine_never_polls(tmp_path: Path, store: FileStore) -> None:
    with refusing() as server:
        said = start(tmp_path, server, "--store", store.uri, "--must-exist", "/nowhere")
        assert said.returncode == 6
        assert said.stderr == (
            "proxx worker: this machine takes no jobs.\n"
            "folder: /nowhere: No such file or directory. Mount the share, and let this user read it.\n"
        )
        assert server.asked == 0  # type: ignore[attr-defined]


def test_a_login_that_is_refused_ends_it(tmp_path: Path, store: FileStore) -> None:
    with refusing() as server:
        said = start(tmp_path, server, "--store", store.uri)
        assert (said.returncode, "PREFECT_API_AUTH_STRING" in said.stderr) == (6, True), said.stderr
        assert "Traceback" not in said.stderr


def test_a_login_that_is_taken_away_ends_it(pool: Pool) -> None:
    """A worker that polls is refused from one moment on: it ends with 6 and a sentence, and systemd shows it."""
    with door(pool.server.port) as between:
        url = f"http://127.0.0.1:{between.port}/api"
        worker = pool.start("shut-out", "--queue", "pipelines", PREFECT_API_URL=url)
        worker.polls()
        between.shut()
        assert worker.process.wait(DEADLINE) == 6, worker.words
    assert "proxx worker: the Prefect API refuses this worker now (HTTP 401)." in worker.words


def test_a_name_prefect_does_not_take(store: FileStore) -> None:
    from proxx_flows.worker.serve import main

    said = CliRunner().invoke(main, ["--store", store.uri, "--toolchain", "static", "--name", "a/b"])
    assert (said.exit_code, "no / and no %" in said.output) == (2, True)
