"""A judge that shares nothing with proxx: the system's own ffprobe and ffmpeg, another build by other hands.

It says what a file is, and gives its picture and sound as plain numbers, so that a proxy and its source can be
compared as an editor sees and hears them. No word of it comes from a spec or from proxx's own probe.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import floor, inf, log10
from operator import mul, sub
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.makemedia import FFMPEG as OURS

WIDTH, HEIGHT = 64, 36  # pictures are compared this small: what moves, turns or changes colour shows all the same
DEEP: Final = ("-analyzeduration", "100M", "-probesize", "100M")


@cache
def tool(name: str) -> str:
    """The system's `ffmpeg` or `ffprobe`; without them nothing here can be judged, and CI fails."""
    path = shutil.which(name)
    if path is None or Path(path).resolve() == OURS.resolve():
        said = f"NO INDEPENDENT {name}: install the system's ffmpeg, proxies were not looked at by another build"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return path


def call(name: str, *arguments: str) -> bytes:
    argv = [tool(name), "-hide_banner", "-v", "error", *arguments]
    done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"})
    assert done.returncode == 0, f"{argv}\n{done.stderr.decode(errors='replace')}"
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Track:
    """One sound track. samples: a channel, really decoded."""

    index: int
    codec: str
    channels: int
    rate: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a file is. frames: really decoded. others: kinds of streams beside one picture and the sound."""

    container: str
    codec: str
    frames: int
    rate: Fraction
    start: Fraction
    timecode: str | None
    reel: str | None
    size: tuple[int, int]
    sar: str
    field_order: str
    interlaced_frames: bool
    pixels: str
    colour: tuple[str, str, str, str]
    tracks: tuple[Track, ...]
    others: tuple[str, ...]


@cache
def look(path: Path, picture: int = 0) -> Seen:
    """picture: which of several picture tracks."""
    found: Any = json.loads(
        call("ffprobe", *DEEP, "-count_frames", "-show_format", "-show_streams", "-of", "json", f"file:{path}")
    )
    streams = found["streams"]
    videos = [one for one in streams if one["codec_type"] == "video"]
    video = videos[picture]
    tags = [one.get("tags", {}) for one in (video, *streams, found["format"])]
    return Seen(
        container=found["format"]["format_name"].split(",")[0],
        codec=video["codec_name"],
        frames=int(video["nb_read_frames"]),
        rate=Fraction(video["r_frame_rate"]),
        start=Fraction(video.get("start_time", "0")),
        timecode=_first(tags, "timecode"),
        reel=_first(tags, "reel_name"),
        size=(video["width"], video["height"]),
        sar=video.get("sample_aspect_ratio", "none"),
        field_order=video.get("field_order", "unknown"),
        interlaced_frames=_interlaced(path, video["index"]),
        pixels=video["pix_fmt"],
        colour=(
            video.get("color_range", "unknown"),
            video.get("color_space", "unknown"),
            video.get("color_primaries", "unknown"),
            video.get("color_transfer", "unknown"),
        ),
        tracks=tuple(_track(path, one) for one in streams if one["codec_type"] == "audio"),
        others=tuple(
            one.get("codec_tag_string", one["codec_type"])
            for one in streams
            if one is not video and one["codec_type"] != "audio"
        ),
    )


def _first(tags: Sequence[dict[str, str]], name: str) -> str | None:
    return next((one[name] for one in tags if name in one), None)


def _interlaced(path: Path, stream: int) -> bool:
    what = ("-select_streams", str(stream), "-read_intervals", "%+#3", "-show_entries", "frame=interlaced_frame")
    return b"1" in call("ffprobe", *DEEP, *what, "-of", "csv=p=0", f"file:{path}")


def _track(path: Path, stream: dict[str, Any]) -> Track:
    channels = int(stream["channels"])
    data = call("ffmpeg", *DEEP, "-i", f"file:{path}", "-map", f"0:{stream['index']}", *RAW_SOUND, "-")
    return Track(
        index=stream["index"],
        codec=stream["codec_name"],
        channels=channels,
        rate=int(stream["sample_rate"]),
        samples=len(data) // 2 // channels,
    )


RAW_SOUND: Final = ("-c:a", "pcm_s16le", "-f", "s16le")


# --- pictures --------------------------------------------------------------------------------------------


@cache
def pictures(
    path: Path,
    stream: int,
    *,
    decoder: str | None = None,
    colour: tuple[str, str] | None = None,
    field: str | None = None,
    limit: int | None = None,
) -> tuple[bytes, ...]:
    """Every decoded frame, upright, small and in RGB as a viewer would show it.

    colour: range and matrix to read the picture by, else what the file says. field: `top` or `bottom` lines only.
    limit: so many frames from the first.
    """
    by = f":in_range={colour[0]}:in_color_matrix={colour[1]}" if colour else ""
    fields = f"field=type={field}," if field else ""
    chain = f"{fields}scale={WIDTH}:{HEIGHT}:flags=area+accurate_rnd+full_chroma_int{by},format=rgb24"
    before = ("-c:v", decoder) if decoder else ()
    only = ("-frames:v", str(limit)) if limit else ()
    data = call(
        "ffmpeg", *DEEP, *before, "-i", f"file:{path}", "-map", f"0:{stream}", "-vf", chain,
        "-vsync", "passthrough", *only, "-f", "rawvideo", "-",
    )  # fmt: skip
    step = WIDTH * HEIGHT * 3
    return tuple(data[at : at + step] for at in range(0, len(data), step))


@cache
def times(path: Path, stream: int) -> tuple[Fraction, ...]:
    """When each frame is shown, in seconds from the first."""
    what = ("-select_streams", str(stream), "-show_entries", "frame=best_effort_timestamp:stream=time_base")
    found: Any = json.loads(call("ffprobe", *DEEP, *what, "-of", "json", f"file:{path}"))
    base = Fraction(found["streams"][0]["time_base"])
    stamps = [frame["best_effort_timestamp"] * base for frame in found["frames"]]
    return tuple(stamp - stamps[0] for stamp in stamps)


def shown_at(stamps: Sequence[Fraction], rate: Fraction, frames: int) -> tuple[int, ...]:
    """The source frame on screen at each frame of a constant rate: the last that begins before half of it is over."""
    begins = [floor(stamp * rate + Fraction(1, 2)) for stamp in stamps]
    return tuple(bisect_right(begins, number) - 1 for number in range(frames))


def psnr(one: bytes, other: bytes) -> float:
    """Likeness of two pictures in decibels."""
    assert len(one) == len(other)
    differences = tuple(map(sub, one, other))
    total = sum(map(mul, differences, differences))
    return inf if total == 0 else 10 * log10(255 * 255 * len(one) / total)


# --- sound -----------------------------------------------------------------------------------------------


@cache
def sound(path: Path, stream: int, channel: int, rate: int) -> array[int]:
    """One channel as 16-bit numbers, at `rate`."""
    pick = f"pan=mono|c0=c{channel},aresample={rate}"
    data = call("ffmpeg", *DEEP, "-i", f"file:{path}", "-map", f"0:{stream}", "-af", pick, *RAW_SOUND, "-")
    samples = array("h")
    samples.frombytes(data)
    return samples


@cache
def sound_start(path: Path, picture: int, stream: int) -> Fraction:
    """Seconds from the first picture to the first sound that is heard; negative where sound comes first."""
    firsts = []
    for index in (picture, stream):
        what = ("-select_streams", str(index), "-read_intervals", "%+3")
        entries = ("-show_entries", "frame=best_effort_timestamp:stream=time_base")
        found: Any = json.loads(call("ffprobe", *DEEP, *what, *entries, "-of", "json", f"file:{path}"))
        stamps = [frame["best_effort_timestamp"] for frame in found["frames"] if "best_effort_timestamp" in frame]
        firsts.append(min(stamps) * Fraction(found["streams"][0]["time_base"]))
    return Fraction(firsts[1] - firsts[0])


def likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """How many decibels a sound is louder than its difference from the other."""
    differences = tuple(map(sub, one, other))
    error, signal = sum(map(mul, differences, differences)), sum(map(mul, one, one))
    return inf if error == 0 else 10 * log10(max(signal, 1) / error)


def loudest(samples: Sequence[int], margin: int, length: int) -> int:
    """Where the loudest of some windows of `length` samples begins, `margin` from both ends."""
    end = max(len(samples) - margin - length, margin + 1)
    starts = range(margin, end, max(length, (end - margin) // 30))
    return max(starts, key=lambda at: sum(map(mul, samples[at : at + length], samples[at : at + length])))
