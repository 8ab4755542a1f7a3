"""`python -m tests.golden.remake_argv`: write the kept commands anew, on purpose. Read the diff before committing.

A changed command gives other bytes for the same job: `python -m proxx.doctor.golden` and the CHANGELOG go with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proxx.contracts.canonical import pretty_bytes
from proxx.ffmpeg.command import plan_command
from tests.support.argvs import CASES

FOLDER: Final = Path(__file__).parent / "argv"


def content(name: str) -> bytes:
    """One word a line."""
    profile, clip = CASES[name]
    return pretty_bytes(list(plan_command(profile, clip).argv))


if __name__ == "__main__":
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for case in CASES:
        (FOLDER / f"{case}.json").write_bytes(content(case))
