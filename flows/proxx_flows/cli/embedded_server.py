"""Prefect's own server on one folder: its home, database and pages lie there, and it ends with who started it.

Nothing of the user's own Prefect is used or touched: no PREFECT_ variable, no profile, no settings file of the
current folder. It is `prefect server start` on a loopback port, so what an operator sees is what anybody gets.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from proxx_flows.common.errors import ServerNotStarted

HOST: Final = "127.0.0.1"
PORT: Final = 4200  # where people look for Prefect
_BOOT_SECONDS: Final = 120  # measured: 4 on an idle machine, 30 on a busy one where it compiles itself first
_GRACE_SECONDS: Final = 15
_TICK_SECONDS: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1

# Loaded before any fork. PyDLL keeps the interpreter lock, so the forked child takes none.
_LIBC: Final = ctypes.PyDLL(None) if sys.platform == "linux" else None
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a web proxy has no part in loopback


@dataclass(frozen=True)
class EmbeddedServer:
    """A server that answers. home: its PREFECT_HOME. env: for processes that are to talk to it and nobody else."""

    home: Path
    port: int
    env: Mapping[str, str]
    process: subprocess.Popen[bytes]

    @property
    def runs_page(self) -> str:
        return f"http://{HOST}:{self.port}/runs"


def database(home: Path) -> Path:
    """Prefect's SQLite file: there is one where a server ran."""
    return home / "prefect.db"


@contextmanager
def serving_prefect(home: Path, *, wanted: int | None = None) -> Iterator[EmbeddedServer]:
    """A server while the block runs. wanted: the port to take if it is free, else any.

    Raises ServerNotStarted with the end of what it said.
    """
    home.mkdir(parents=True, exist_ok=True)
    home = home.absolute()
    for port in (_free_port(wanted), _free_port(None), _free_port(None)):  # one that was free may be taken by now
        env = _environment(home, port)
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
        with log_file(home, "server") as log, child(argv, env=env, cwd=home, stdout=log, stderr=log) as process:
            if _answers(process, port, home):
                yield EmbeddedServer(home, port, env, process)
                return
    raise ServerNotStarted(
        message=f"Prefect's server ended with exit status {process.returncode}.",
        detail=f"{home / 'server.log'}: {_last_line(home / 'server.log')}",
    )


def log_file(home: Path, name: str) -> IO[bytes]:
    """Where a process of this home leaves its words: nobody needs them until something is wrong."""
    return (home / f"{name}.log").open("ab")


def _environment(home: Path, port: int) -> dict[str, str]:
    """The user's, with nothing of Prefect but what is said here."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("PREFECT_")}
    direct = f"{HOST},localhost"
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = f"{kept[name]},{direct}" if kept.get(name) else direct
    return {
        **kept,
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{port}/api",  # else its pages ask port 4200
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "pages"),  # else it writes beside its own code
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # version 2 asks another host from the browser
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
    }


# --- processes that end with this one --------------------------------------------------------------------


@contextmanager
def child(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdout: IO[bytes] | int, stderr: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process out of reach of the terminal's Ctrl-C; however the block is left, it and its group have ended."""
    process = subprocess.Popen(  # noqa: S603  (a list of arguments of this module's callers, no shell)
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=_with_its_parent(os.getpid()),
    )
    try:
        yield process
    finally:
        _end(process)


def _with_its_parent(parent: int) -> Callable[[], None]:
    """What a child does first: ask to be ended where its parent is killed. Only Linux can say so."""

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)

    return prepare


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end and wait; one that does not is killed with its group, also where somebody is impatient."""
    try:
        process.terminate()  # does nothing where it was seen to end
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.returncode is None:  # not reaped, so the group's number is still its own
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


# --- is it there? ----------------------------------------------------------------------------------------


def _answers(process: subprocess.Popen[bytes], port: int, home: Path) -> bool:
    """Whether it came up; False where it ended instead. Raises ServerNotStarted where it does neither.

    It is asked for its home: somebody else's server may have been faster to take the port.
    """
    about = f"http://{HOST}:{port}/api/admin/settings"
    until = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            return False
        with suppress(OSError, ValueError), _DIRECT.open(about, timeout=5) as answer:
            if json.load(answer).get("home") == str(home):
                return True
        time.sleep(_TICK_SECONDS)
    raise ServerNotStarted(message=f"Prefect's server did not answer within {_BOOT_SECONDS} seconds.")


def _free_port(wanted: int | None) -> int:
    if wanted is not None and _free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that is only just given up is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
