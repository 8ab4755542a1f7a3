"""A server process for tests: it ends with the session, however that ends, and its output is kept in a file."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

DEADLINE: Final = 60  # seconds, enough for a busy machine
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def program(name: str, package: str) -> str:
    """Returns the path of a program. Skips the test with a reason if it is not installed; in CI the test fails."""
    path = shutil.which(name)
    if path:
        return path
    if "CI" in os.environ:
        pytest.fail(f"{name} is not installed, and CI tests on it: apt-get install {package}")
    pytest.skip(f"{name.upper()} ABSENT: its object store was not tested. apt-get install {package}")


def run(argv: Sequence[str], folder: Path) -> str:
    """Runs a short command, which must succeed, and returns its output."""
    finished = subprocess.run(
        argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert finished.returncode == 0, f"{argv[0]} {argv[-1]}: {finished.returncode}\n{finished.stderr[-3000:]}"
    return finished.stdout


class Daemon:
    """One server process in a session of its own. log: the file with its output.

    Start it from a thread that keeps running: the kernel ends the process with the thread that started it.
    """

    def __init__(self, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        parent = os.getpid()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv,
                cwd=log.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C goes to the tests, which end their servers
                preexec_fn=lambda: _die_with(parent),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, condition: Callable[[], bool], name: str) -> None:
        """Waits until the condition is true. Fails if the process ends first, or after DEADLINE."""
        end = time.monotonic() + DEADLINE
        while not condition():
            output = self.log.read_text(errors="replace")[-3000:]
            assert self._process.poll() is None, f"ended ({self._process.returncode}) before {name}\n{output}"
            assert time.monotonic() < end, f"not within {DEADLINE} s: {name}\n{output}"
            time.sleep(0.05)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Signals the process and returns when it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(timeout=DEADLINE if number != signal.SIGKILL else None)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def _die_with(parent: int) -> None:
    if _LIBC is not None and _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        os._exit(127)
    if os.getppid() != parent:  # the parent ended before the call above, so nothing would end this process
        os._exit(127)
