"""`proxx demo` for a new user: what it prints, its runs in Prefect's pages, and that no process is left."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.cli.command import reset_signals
from tests.flows.pool import ROOT, until

CODE: Final = "from proxx.cli.main import main; main()"
MARK: Final = "PROXX_TEST_DEMO"
DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
RUN: Final = re.compile(r"  (card-00\d) · [0-9a-f]{12} · attempt 1: Completed: 1 clips?, \d+ frames")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder with an empty home beside it. Processes that are left are killed after the test."""
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    yield tmp_path / "here"
    for left in processes(tmp_path):
        left.kill()


def environment(tmp_path: Path) -> dict[str, str]:
    """Returns the environment of a user with another Prefect, at an address where nothing listens."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROXX_"))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path / "home"),
        MARK: str(tmp_path),
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PREFECT_PROFILE": "production",
        "PREFECT_API_AUTH_STRING": "somebody:secret",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }


@contextmanager
def started(place: Path, argv: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        argv,
        cwd=place,
        env=environment(place.parent),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=reset_signals,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def proxx(*args: object) -> list[str]:
    return [sys.executable, "-c", CODE, *map(str, args)]


def processes(tmp_path: Path) -> list[psutil.Process]:
    """Returns all processes that were started in the test's folder, or name it on their command line."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and (
                process.environ().get(MARK) == str(tmp_path)
                or any(str(tmp_path) in word for word in process.cmdline())
            ):
                found.append(process)
    return found


def words_of(running: list[psutil.Process]) -> list[str]:
    """Returns all words of their command lines."""
    words = []
    for process in running:
        with suppress(psutil.Error):
            words += process.cmdline()
    return words


def nothing_runs(tmp_path: Path) -> None:
    until(lambda: not processes(tmp_path), "all processes have ended", lambda: str(processes(tmp_path)))


def ask(page: str, what: str) -> Any:  # noqa: ANN401
    url = page.removesuffix("/runs") + f"/api/{what}/filter"
    request = urllib.request.Request(url, data=b"{}", headers={"content-type": "application/json"})  # noqa: S310
    with DIRECT.open(request, timeout=60) as answer:
        return json.load(answer)


def test_the_whole_demo_and_its_pages(place: Path) -> None:
    (place / "prefect.toml").write_text(
        '[api]\nurl = "http://127.0.0.1:9/api"\n[server]\nlogging_level = "NONSENSE"\n'
    )
    with started(place, proxx("demo")) as demo:
        out, err = demo.communicate(timeout=300)
    assert (demo.returncode, err) == (0, "")
    assert [match[1] for match in map(RUN.fullmatch, out.splitlines()) if match] == [
        "card-001",
        "card-002",
        "card-003",
    ]
    for verb in ("create", "verify", "reproduce", "status", "history"):
        assert any(line.startswith("$ proxx ") and f" {verb}" in line for line in out.splitlines())
    assert out.count("COMPLETED") == 4  # of three jobs in status, and in the history of one
    for noise in ("Traceback", "Warning", "prefect.io", "___"):
        assert noise not in out
    assert sorted(path.name for path in (place / "proxx-demo/proxies").rglob("*.mov")) == [
        "A001C001.mov",
        "B001C001.mov",
        "IMG_0001.mov",
    ]
    nothing_runs(place.parent)
    assert sorted(path.name for path in place.iterdir()) == ["prefect.toml", "proxx-demo"]
    assert list((place.parent / "home").iterdir()) == []

    with started(place, proxx("demo")) as again:
        assert "not touched" in again.communicate(timeout=60)[1]
        assert again.returncode == 2

    line = out.splitlines()[-1].removeprefix("$ ")  # exactly as it is printed
    with busy(4200), started(place, shlex.split(line)) as pages:
        assert pages.stdout is not None and pages.stderr is not None
        page = pages.stdout.readline().split()[-1]
        assert page.startswith("http://127.0.0.1:")
        assert not page.startswith("http://127.0.0.1:4200/")
        runs = ask(page, "flow_runs")
        assert sorted((run["name"][:8], run["state_type"]) for run in runs) == [
            ("card-001", "COMPLETED"),
            ("card-002", "COMPLETED"),
            ("card-003", "COMPLETED"),
        ]
        assert [run["state_type"] for run in ask(page, "task_runs")] == ["COMPLETED"] * 3
        finished = {log["flow_run_id"] for log in ask(page, "logs") if log["message"].startswith("Finished in state")}
        assert finished == {run["id"] for run in runs}
        request = urllib.request.Request(page, headers={"accept": "text/html"})  # noqa: S310  (as a browser asks)
        with DIRECT.open(request, timeout=60) as answer:
            assert b"<html" in answer.read()
        pages.send_signal(signal.SIGINT)
        assert (pages.wait(60), pages.stdout.read(), pages.stderr.read()) == (0, "Ctrl-C ends it.\n", "")
    nothing_runs(place.parent)
    assert list((place.parent / "home").iterdir()) == []


@contextmanager
def busy(port: int) -> Iterator[None]:
    """Takes the port during the block, unless it is taken already."""
    with socket.socket() as taken:
        with suppress(OSError):
            taken.bind(("127.0.0.1", port))
            taken.listen()
        yield


def test_ctrl_c_during_the_demo_leaves_no_process(place: Path) -> None:
    with started(place, proxx("demo")) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if RUN.match(line.rstrip("\n")):
                break
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=120)
    assert (demo.returncode, err.strip()) == (130, "proxx: stopped.")
    nothing_runs(place.parent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_demo_that_is_terminated_or_killed_leaves_no_process(place: Path, number: signal.Signals) -> None:
    with started(place, proxx("demo")) as demo:
        until(lambda: "server" in words_of(processes(place.parent)), "its server starts")
        demo.send_signal(number)
        demo.wait(180)
    nothing_runs(place.parent)


def test_the_pages_of_a_demo_that_never_ran_are_refused(place: Path) -> None:
    with started(place, proxx("demo", "--ui")) as pages:
        _, err = pages.communicate(timeout=60)
    assert pages.returncode == 2
    assert "There are no runs in proxx-demo: first run `proxx demo --folder proxx-demo`." in err
    assert list(place.iterdir()) == []
