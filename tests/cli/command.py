"""Runs the command in tests: inside this process, or in a process of its own as users do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from proxx.cli.main import proxx as commands
from proxx.console.running import run_command_line

ROOT: Final = Path(__file__).parent.parent.parent
CODE: Final = "from proxx.cli.main import main; main()"
ALONE: Final = f"from proxx.cli import lazy; lazy._offered = dict; {CODE}"
"""The command without the verbs of other packages."""


@dataclass(frozen=True)
class Answer:
    """The exit status and the output of one command line."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401  (tests read any part of it)
        return json.loads(self.out)

    @property
    def code(self) -> str:
        """The error code in the JSON output."""
        return str(self.json["error"]["code"])


def call(capsys: pytest.CaptureFixture[str], *args: object) -> Answer:
    """Runs a command line inside this process."""
    capsys.readouterr()
    status = run_command_line(commands, [str(arg) for arg in args])
    output = capsys.readouterr()
    return Answer(status, output.out, output.err)


def environment(**changes: str) -> dict[str, str]:
    """Returns this process's environment with the changes, and without PROXX_STORE and TERM."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PROXX_STORE", "TERM")}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def reset_signals() -> None:
    """Restores the default handling of the signals a terminal sends; called in a new process before its program."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(*args: object, code: str = CODE, **keywords: Any) -> subprocess.Popen[str]:  # noqa: ANN401
    """Starts a process that handles SIGINT and SIGHUP even if the tests were started with `&` or nohup."""
    keywords.setdefault("stdout", subprocess.PIPE)
    keywords.setdefault("stderr", subprocess.PIPE)
    keywords.setdefault("env", environment())
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        text=True,
        preexec_fn=reset_signals,
        **keywords,
    )


def proxx(*args: object, **keywords: Any) -> Answer:  # noqa: ANN401
    """Runs a command line in a process of its own and waits for its end."""
    process = start(*args, **keywords)
    out, err = process.communicate(timeout=300)
    return Answer(process.returncode, out or "", err or "")
