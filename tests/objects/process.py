"""A server process of the tests: it ends with the session, however that ends, and keeps what it said."""

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

DEADLINE: Final = 60  # seconds; the machine may be busy
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def program(name: str, package: str) -> str:
    """The path of a program. Skips loudly where there is none; in CI that fails."""
    found = shutil.which(name)
    if found:
        return found
    if "CI" in os.environ:
        pytest.fail(f"{name} is not installed, and CI tests on it: apt-get install {package}")
    pytest.skip(f"{name.upper()} ABSENT: its object store was not tested. apt-get install {package}")


def run(argv: Sequence[str], folder: Path) -> str:
    """What a short command printed; it must succeed."""
    done = subprocess.run(
        argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, f"{argv[0]} {argv[-1]}: {done.returncode}\n{done.stderr[-3000:]}"
    return done.stdout


class Daemon:
    """One server in the foreground of its own session, its words in a file.

    Start it from a thread that lives on: the kernel ends it with the thread that started it.
    """

    def __init__(self, argv: Sequence[str], said: Path, environment: Mapping[str, str] | None = None) -> None:
        self.said = said
        parent = os.getpid()
        with said.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=said.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the tests: they end their servers
                preexec_fn=lambda: _die_with(parent),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait until something is true, as long as the process lives."""
        end = time.monotonic() + DEADLINE
        while not true():
            words = self.said.read_text(errors="replace")[-3000:]
            assert self._process.poll() is None, f"ended ({self._process.returncode}) before {what}\n{words}"
            assert time.monotonic() < end, f"not within {DEADLINE} s: {what}\n{words}"
            time.sleep(0.05)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Returns when the process and all it started are gone."""
        if self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(timeout=DEADLINE if how != signal.SIGKILL else None)
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
    if os.getppid() != parent:  # it ended before the call above: nobody would ever end this process
        os._exit(127)
