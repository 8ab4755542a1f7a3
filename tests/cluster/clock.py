"""The wall clock of a host, which can be put wrong while its processes run: a small library in front of libc's."""

from __future__ import annotations

import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parent / "onhost" / "clock.c"
COMPILER: Final = "/usr/bin/cc"
LIBRARY: Final = "/run/clock.so"  # on the host
OFF: Final = "/run/clock"  # on the host: by how many seconds its clock is off
ENVIRONMENT: Final = {"LD_PRELOAD": LIBRARY, "PROXX_TEST_CLOCK": OFF}
UNITS: Final = {"": 1, "m": 60, "h": 3600, "d": 86400}


@cache
def library() -> bytes:
    """Compiled once a session."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "clock.so"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", made, SOURCE], check=True)
        return made.read_bytes()


def seconds(shift: str) -> int:
    """`+5h`, `-3d`, `+10m`, `+0` in seconds."""
    told = re.fullmatch(r"([+-]\d+)([mhd]?)", shift)
    assert told, shift
    return int(told[1]) * UNITS[told[2]]


def plug_in(root: Path) -> None:
    """Give the library to the host with this root folder, whose clock is right then."""
    (root / LIBRARY.lstrip("/")).write_bytes(library())
    put(root, "+0")


def put(root: Path, shift: str) -> None:
    """From now on the clock is off by `shift`. In one write, as it is read in one read."""
    (root / OFF.lstrip("/")).write_text(f"{seconds(shift)}\n")
