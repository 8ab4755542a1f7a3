"""The cost of proxx over plain ffmpeg, and its gain over the usual command, as ratios of wall times.

`pytest -m bench` runs it (twenty minutes, on a machine without other load). PROXX_BENCH_SECONDS sets the length of
the 1080p clip, 60 by default. Every figure is a ratio of medians of interleaved runs on the same file, so that drift
of the machine cancels out.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.makemedia import FFMPEG, make

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

ROUNDS = 3


def camera_clip(seconds: int) -> Path:
    """1080p H.264 as a camera writes it: CABAC, B-frames, 50 Mb/s, picture noise; and stereo sound."""
    return make(
        f"camera{seconds}.mov",
        *("-f", "lavfi", "-i", f"testsrc2=s=1920x1080:r=25:d={seconds},noise=alls=8:allf=t:all_seed=1"),
        *("-f", "lavfi", "-i", f"anoisesrc=d={seconds}:r=48000:seed=1,aformat=channel_layouts=stereo"),
        *("-c:v", "libx264", "-preset", "veryfast", "-b:v", "50M", "-pix_fmt", "yuv420p", "-g", "25", "-bf", "2"),
        *("-c:a", "pcm_s16le", "-timecode", "01:00:00:00"),
    )


def proxx(*arguments: str) -> bytes:
    """Runs one command, which must succeed, and returns its output."""
    done = subprocess.run([sys.executable, "-m", "proxx", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout


def timed(work: Callable[[], object]) -> float:
    since = time.perf_counter()
    work()
    return time.perf_counter() - since


def ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def create(source: Path, folder: Path, profile: str) -> Path:
    spec = folder / "job.json"
    folder.mkdir()
    proxx("create", str(source), "--profile", profile, "--output", str(folder / "out"), "--spec", str(spec))
    return spec


def run(clip: Path, folder: Path) -> tuple[float, list[str]]:
    """Returns the seconds of one `proxx run`, and the argv it ran, with another output."""
    spec = create(clip, folder, "prores_proxy")
    work = folder / "work"
    work.mkdir()
    outputs: list[bytes] = []
    command = ("run", str(spec), "--store", str(folder / "store"), "--work", str(work), "--json")
    seconds = timed(lambda: outputs.append(proxx(*command)))
    places = {
        "{ffmpeg}": str(FFMPEG),
        "file:{source}": f"file:{clip}",
        "file:{output}": f"file:{folder / 'bare.mov'}",
    }
    return seconds, [places.get(word, word) for word in json.loads(outputs[0])["clips"][0]["argv"]]


def test_proxx_costs_little_over_the_argv_it_ran(tmp_path: Path) -> None:
    clip = camera_clip(int(os.environ.get("PROXX_BENCH_SECONDS", "60")))
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        seconds, argv = run(clip, tmp_path / str(number))
        ours.append(seconds)
        bare.append(timed(functools.partial(quiet, argv)))
    over = ratio(ours, bare)
    print(f"\nproxx run / the argv it ran: {over:.3f}   seconds: {rounded(ours)} / {rounded(bare)}")
    assert over < 1.03


def test_proxx_is_faster_than_the_usual_command(tmp_path: Path) -> None:
    clip = camera_clip(10)
    ours, _ = run(clip, tmp_path / "job")
    usual = [str(FFMPEG), "-nostdin", "-y", "-i", str(clip), "-c:v", "prores_ks", "-profile:v", "0"]
    plain = timed(functools.partial(quiet, [*usual, "-c:a", "pcm_s24le", str(tmp_path / "ks.mov")]))
    print(f"\nplain prores_ks / proxx run: {plain / ours:.2f}   seconds: {plain:.1f} / {ours:.1f}")
    assert plain / ours > 2


def rounded(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def quiet(argv: list[str]) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_memory_stays_small_over_a_thousand_clips(tmp_path: Path) -> None:
    """Peak resident memory of proxx itself, without ffmpeg's process, while it makes 1,000 tiny clips."""
    clip = make(
        "tiny.mov",
        *("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.04"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-threads", "1", "-timecode", "01:00:00:00"),
    )
    card = tmp_path / "card"
    card.mkdir()
    for number in range(1000):
        (card / f"C{number:04d}.mov").hardlink_to(clip)
    spec = create(card, tmp_path / "job", "prores_proxy")
    store = str(tmp_path / "store")
    argv = [sys.executable, "-m", "proxx", "run", str(spec), "--store", store, "--json"]
    with (tmp_path / "result.json").open("wb") as out, subprocess.Popen(argv, stdout=out) as process:
        watched = psutil.Process(process.pid)
        peak = 0
        while process.poll() is None:
            try:
                for line in Path(f"/proc/{watched.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]) * 1024)
            except (FileNotFoundError, ProcessLookupError):
                break
            time.sleep(0.05)
    assert process.returncode == 0
    assert len(json.loads((tmp_path / "result.json").read_bytes())["clips"]) == 1000
    print(f"\npeak memory of proxx over 1,000 clips: {peak / 1e6:.0f} MB")
    assert peak < 120_000_000
