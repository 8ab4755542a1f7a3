"""Sets the wall clock of a host wrong while its processes run, with a small library loaded before libc."""

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
OFF: Final = "/run/clock"  # on the host: the number of seconds by which its clock is wrong
ENVIRONMENT: Final = {"LD_PRELOAD": LIBRARY, "PROXX_TEST_CLOCK": OFF}
UNITS: Final = {"": 1, "m": 60, "h": 3600, "d": 86400}


@cache
def library() -> bytes:
    """Compiles the library, once in a session, and returns its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "clock.so"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", compiled, SOURCE], check=True)
        return compiled.read_bytes()


def seconds(shift: str) -> int:
    """Returns a shift such as `+5h`, `-3d`, `+10m` or `+0` in seconds."""
    match = re.fullmatch(r"([+-]\d+)([mhd]?)", shift)
    assert match, shift
    return int(match[1]) * UNITS[match[2]]


def plug_in(root: Path) -> None:
    """Installs the library on the host with this root folder, with the right time."""
    (root / LIBRARY.lstrip("/")).write_bytes(library())
    put(root, "+0")


def put(root: Path, shift: str) -> None:
    """Sets the clock wrong by `shift`, in one write, because it is read in one read."""
    (root / OFF.lstrip("/")).write_text(f"{seconds(shift)}\n")
