"""Running the command in tests: inside this process, or as people do, in one of its own."""

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
"""The command without the verbs that other packages bring."""


@dataclass(frozen=True)
class Answer:
    """What a command line came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401  (tests look into it as they like)
        return json.loads(self.out)

    @property
    def code(self) -> str:
        """The code of the error in JSON."""
        return str(self.json["error"]["code"])


def call(capsys: pytest.CaptureFixture[str], *args: object) -> Answer:
    """Inside this process."""
    capsys.readouterr()
    status = run_command_line(commands, [str(arg) for arg in args])
    said = capsys.readouterr()
    return Answer(status, said.out, said.err)


def environment(**changes: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("PROXX_STORE", "TERM")}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def hear() -> None:
    """In a new process, before its program: hear what a terminal sends."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(*args: object, code: str = CODE, **keywords: Any) -> subprocess.Popen[str]:  # noqa: ANN401
    """A process of its own, hearing SIGINT and SIGHUP whatever the tests were started from (`&`, nohup)."""
    keywords.setdefault("stdout", subprocess.PIPE)
    keywords.setdefault("stderr", subprocess.PIPE)
    keywords.setdefault("env", environment())
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        text=True,
        preexec_fn=hear,
        **keywords,
    )


def proxx(*args: object, **keywords: Any) -> Answer:  # noqa: ANN401
    """A process of its own, to its end."""
    process = start(*args, **keywords)
    out, err = process.communicate(timeout=300)
    return Answer(process.returncode, out or "", err or "")
