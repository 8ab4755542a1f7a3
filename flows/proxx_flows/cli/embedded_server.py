"""The demo's own Prefect server: home, database and pages are in one folder, and it ends with its parent.

Nothing of the user's own Prefect is used or changed: no PREFECT_ variable, no profile, no settings file of the
current folder. It is a plain `prefect server start` on a loopback port.
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
PORT: Final = 4200  # Prefect's default
_BOOT_SECONDS: Final = 120  # measured: 4 on an idle machine, 30 on a busy one that compiles Prefect's modules first
_GRACE_SECONDS: Final = 15
_TICK_SECONDS: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1

# Loaded before any fork. PyDLL keeps the interpreter lock, so the forked child does not have to take it.
_LIBC: Final = ctypes.PyDLL(None) if sys.platform == "linux" else None
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no web proxy


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server. home: its PREFECT_HOME. env: the environment for processes that use this server."""

    home: Path
    port: int
    env: Mapping[str, str]
    process: subprocess.Popen[bytes]

    @property
    def runs_page(self) -> str:
        return f"http://{HOST}:{self.port}/runs"


def database(home: Path) -> Path:
    """Returns the path of Prefect's SQLite file, which exists once a server has run."""
    return home / "prefect.db"


@contextmanager
def serving_prefect(home: Path, *, wanted: int | None = None) -> Iterator[EmbeddedServer]:
    """Runs a server during the block. wanted: the port to use if it is free; otherwise any port is used.

    Raises ServerNotStarted with the last line of the server's log.
    """
    home.mkdir(parents=True, exist_ok=True)
    home = home.absolute()
    for port in (_free_port(wanted), _free_port(None), _free_port(None)):  # a free port may be taken meanwhile
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
    """Opens the log of a process with this home, for appending."""
    return (home / f"{name}.log").open("ab")


def _environment(home: Path, port: int) -> dict[str, str]:
    """Returns the user's environment with these settings of Prefect and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("PREFECT_")}
    direct = f"{HOST},localhost"
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = f"{kept[name]},{direct}" if kept.get(name) else direct
    return {
        **kept,
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{port}/api",  # otherwise its pages ask port 4200
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "pages"),  # otherwise it writes next to its own code
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # in version 2 the browser asks another host
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
    }


# --- child processes that end with this process ----------------------------------------------------------


@contextmanager
def child(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdout: IO[bytes] | int, stderr: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process during the block, out of reach of the terminal's Ctrl-C. Its group has ended after the block."""
    process = subprocess.Popen(  # noqa: S603  (an argument list from callers within the package, no shell)
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=_ending_with_parent(os.getpid()),
    )
    try:
        yield process
    finally:
        _end(process)


def _ending_with_parent(parent: int) -> Callable[[], None]:
    """Returns what the child runs first: it asks for SIGTERM when its parent dies. Only Linux offers that."""

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)

    return prepare


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminates the process and waits; kills it with its group after the grace period, or if the wait is stopped."""
    try:
        process.terminate()  # does nothing if the process has been reaped
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.returncode is None:  # not reaped, so the group id is still its own
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


# --- start-up --------------------------------------------------------------------------------------------


def _answers(process: subprocess.Popen[bytes], port: int, home: Path) -> bool:
    """Waits until the server answers and returns True, or False if its process ended.

    Raises ServerNotStarted after _BOOT_SECONDS. The answer must name this home: another server may have taken the
    port meanwhile.
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


def _free_port(preferred: int | None) -> int:
    if preferred is not None and _free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just released is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "the log is empty"
