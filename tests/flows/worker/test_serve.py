"""The check before a worker polls: on a machine that lacks something it does not start, and prints a remedy."""

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

from proxx.ffmpeg.installed import TOOLCHAIN_NAMES
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from tests.flows.pool import DEADLINE, Pool
from tests.flows.revocable_proxy import revocable_proxy

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


def test_a_machine_with_everything_passes(store: FileStore, tmp_path: Path) -> None:
    findings = examine_worker(WorkerNeeds(store=store.uri, reads=(str(tmp_path),), writes=(str(tmp_path),)))
    areas = ["runs", *(f"toolchain {name}" for name in TOOLCHAIN_NAMES), "work", "folder", "output", "store"]
    assert [finding.area for finding in findings] == areas
    assert all(finding.ok for finding in findings)
    ended = check("--store", store.uri, "--must-exist", str(tmp_path), "--toolchain", "static")
    assert (ended.exit_code, ended.output.count("\n")) == (0, 5)


@pytest.mark.clause("T6", lead=True)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--must-exist", "/nowhere/rushes"], "NO  folder: /nowhere/rushes: No such file or directory."),
        (["--must-write", "/nowhere/proxies"], "NO  output: /nowhere/proxies does not exist or is not a folder."),
    ],
)
def test_a_worker_with_a_missing_share_does_not_start(store: FileStore, arguments: list[str], sentence: str) -> None:
    """A worker whose folders do not exist does not start, and names them."""
    before = store.children("")
    ended = check("--store", store.uri, "--toolchain", "static", *arguments)
    assert ended.exit_code == 6
    assert sentence in ended.output
    assert store.children("") == before, "a refused machine writes nothing to the store"


def test_a_store_that_cannot_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None named, one in the home folder, an empty place, one that cannot be created; and one created on request."""
    assert "NO  store: STORE_NOT_SHARED" in check("--toolchain", "static").output
    monkeypatch.setenv("HOME", str(tmp_path))
    home = check("--toolchain", "static", "--store", str(tmp_path / ".proxx" / "store"))
    assert (home.exit_code, "STORE_NOT_SHARED" in home.output) == (6, True)
    empty = FileStore(tmp_path / "share")
    ended = check("--toolchain", "static", "--store", empty.uri)
    assert (ended.exit_code, f"There is no store at {empty.uri}." in ended.output) == (6, True)
    assert not empty.root.exists()
    nowhere = check("--toolchain", "static", "--store", str(tmp_path / "not" / "mounted"), "--make-store")
    assert (nowhere.exit_code, "STORE_UNAVAILABLE" in nowhere.output) == (6, True)
    made = check("--toolchain", "static", "--store", empty.uri, "--make-store")
    assert (made.exit_code, made.output.splitlines()[0]) == (0, f"{empty.uri}: store {initialize_store(empty).uuid}.")


def test_without_a_prefect_server_it_is_refused(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    ended = check("--toolchain", "static", "--store", store.uri)
    assert (ended.exit_code, "NO  runs: No Prefect server is named." in ended.output) == (6, True)


def test_without_the_programs_for_runs_it_is_refused(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/bin/python3")
    monkeypatch.setenv("PATH", "/nowhere")
    ended = check("--toolchain", "static", "--store", store.uri)
    assert "NO  runs: setsid and python cannot be found, so no run would start." in ended.output


@pytest.mark.clause("N1")
def test_a_broken_toolchain_is_refused(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine has the same builds or does not start: jobs are not matched to machines."""
    from proxx.ffmpeg import toolchain

    monkeypatch.setattr(toolchain, "_STATIC_PACKAGE", ("no_such_package", "no-such-package"))
    ended = check("--store", store.uri)
    assert ended.exit_code == 6
    assert "NO  toolchain static: TOOLCHAIN_MISSING" in ended.output
    assert ended.output.count("NO  toolchain") == 2, "the full build uses its ffprobe"


class LoginRefused(BaseHTTPRequestHandler):
    """A server that refuses every login and counts the requests."""

    def _refuse(self) -> None:
        self.server.requests += 1  # type: ignore[attr-defined]
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _refuse  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@contextmanager
def refusing() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), LoginRefused)
    server.requests = 0  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def start(folder: Path, server: HTTPServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the worker until it ends."""
    from tests.flows.server import Server

    env = Server(folder / "prefect").env(PREFECT_API_URL=f"http://127.0.0.1:{server.server_port}/api")
    argv = [sys.executable, "-m", "proxx_flows.worker", "--toolchain", "static", *arguments]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.clause("T6")
def test_a_refused_machine_never_polls(tmp_path: Path, store: FileStore) -> None:
    with refusing() as server:
        ended = start(tmp_path, server, "--store", store.uri, "--must-exist", "/nowhere")
        assert ended.returncode == 6
        assert ended.stderr == (
            "proxx worker: this machine takes no jobs.\n"
            "folder: /nowhere: No such file or directory. Mount the share, and let this user read it.\n"
        )
        assert server.requests == 0  # type: ignore[attr-defined]


def test_a_refused_login_ends_the_worker(tmp_path: Path, store: FileStore) -> None:
    with refusing() as server:
        ended = start(tmp_path, server, "--store", store.uri)
        assert (ended.returncode, "PREFECT_API_AUTH_STRING" in ended.stderr) == (6, True), ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_revoked_login_ends_the_worker(pool: Pool) -> None:
    """While it polls, the server starts to refuse it: it exits with 6 and a message, which systemd shows."""
    with revocable_proxy(pool.server.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/api"
        worker = pool.start("revoked", "--queue", "pipelines", PREFECT_API_URL=url)
        worker.wait_until_polling()
        proxy.revoke()
        assert worker.process.wait(DEADLINE) == 6, worker.log_text
    assert "proxx worker: the Prefect API refuses this worker now (HTTP 401)." in worker.log_text


def test_a_name_that_prefect_does_not_allow_is_refused(store: FileStore) -> None:
    from proxx_flows.worker.serve import main

    ended = CliRunner().invoke(main, ["--store", store.uri, "--toolchain", "static", "--name", "a/b"])
    assert (ended.exit_code, "no / and no %" in ended.output) == (2, True)
