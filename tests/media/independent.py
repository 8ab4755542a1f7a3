"""Reads media with the system's own ffprobe and ffmpeg: another build by other people.

It describes a file and returns its picture and sound as plain numbers, so that a proxy and its source can be
compared as an editor sees and hears them. It uses no spec and nothing of proxx's own probe.
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

WIDTH, HEIGHT = 64, 36  # pictures are compared this small: movement, rotation and changed colour still show
DEEP: Final = ("-analyzeduration", "100M", "-probesize", "100M")


@cache
def tool(name: str) -> str:
    """Returns the path of the system's `ffmpeg` or `ffprobe`; without it the test is skipped, and fails in CI."""
    path = shutil.which(name)
    if path is None or Path(path).resolve() == OURS.resolve():
        message = f"NO INDEPENDENT {name}: install the system's ffmpeg; proxies were not checked by another build"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def call(name: str, *arguments: str) -> bytes:
    argv = [tool(name), "-hide_banner", "-v", "error", *arguments]
    done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"})
    assert done.returncode == 0, f"{argv}\n{done.stderr.decode(errors='replace')}"
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Track:
    """One sound track. samples: per channel, counted by decoding."""

    index: int
    codec: str
    channels: int
    rate: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a file contains. frames: counted by decoding. others: kinds of streams besides picture and sound."""

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
    """Returns what a file contains. picture: which of several picture tracks."""
    found: Any = json.loads(
        call("ffprobe", *DEEP, "-count_frames", "-show_format", "-show_streams", "-of", "json", f"file:{path}")
    )
    streams = found["streams"]
    videos = [stream for stream in streams if stream["codec_type"] == "video"]
    video = videos[picture]
    tags = [entry.get("tags", {}) for entry in (video, *streams, found["format"])]
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
        tracks=tuple(_track(path, stream) for stream in streams if stream["codec_type"] == "audio"),
        others=tuple(
            stream.get("codec_tag_string", stream["codec_type"])
            for stream in streams
            if stream is not video and stream["codec_type"] != "audio"
        ),
    )


def _first(tags: Sequence[dict[str, str]], name: str) -> str | None:
    return next((values[name] for values in tags if name in values), None)


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
    """Returns every decoded frame, upright, small and in RGB, as a viewer would show it.

    colour: range and matrix to interpret the picture with, instead of those in the file. field: `top` or `bottom`
    lines only. limit: the number of frames, from the first.
    """
    interpreted = f":in_range={colour[0]}:in_color_matrix={colour[1]}" if colour else ""
    fields = f"field=type={field}," if field else ""
    chain = f"{fields}scale={WIDTH}:{HEIGHT}:flags=area+accurate_rnd+full_chroma_int{interpreted},format=rgb24"
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
    """Returns when each frame is shown, in seconds from the first."""
    what = ("-select_streams", str(stream), "-show_entries", "frame=best_effort_timestamp:stream=time_base")
    found: Any = json.loads(call("ffprobe", *DEEP, *what, "-of", "json", f"file:{path}"))
    base = Fraction(found["streams"][0]["time_base"])
    stamps = [frame["best_effort_timestamp"] * base for frame in found["frames"]]
    return tuple(stamp - stamps[0] for stamp in stamps)


def shown_at(stamps: Sequence[Fraction], rate: Fraction, frames: int) -> tuple[int, ...]:
    """Returns the source frame shown at each frame of a constant rate: the last that begins before its middle."""
    begins = [floor(stamp * rate + Fraction(1, 2)) for stamp in stamps]
    return tuple(bisect_right(begins, number) - 1 for number in range(frames))


def psnr(one: bytes, other: bytes) -> float:
    """Returns the similarity of two pictures in decibels."""
    assert len(one) == len(other)
    differences = tuple(map(sub, one, other))
    total = sum(map(mul, differences, differences))
    return inf if total == 0 else 10 * log10(255 * 255 * len(one) / total)


# --- sound -----------------------------------------------------------------------------------------------


@cache
def sound(path: Path, stream: int, channel: int, rate: int) -> array[int]:
    """Returns one channel as 16-bit samples at `rate`."""
    pick = f"pan=mono|c0=c{channel},aresample={rate}"
    data = call("ffmpeg", *DEEP, "-i", f"file:{path}", "-map", f"0:{stream}", "-af", pick, *RAW_SOUND, "-")
    samples = array("h")
    samples.frombytes(data)
    return samples


@cache
def sound_start(path: Path, picture: int, stream: int) -> Fraction:
    """Returns the seconds from the first frame to the first sample; negative if sound comes first."""
    firsts = []
    for index in (picture, stream):
        what = ("-select_streams", str(index), "-read_intervals", "%+3")
        entries = ("-show_entries", "frame=best_effort_timestamp:stream=time_base")
        found: Any = json.loads(call("ffprobe", *DEEP, *what, *entries, "-of", "json", f"file:{path}"))
        stamps = [frame["best_effort_timestamp"] for frame in found["frames"] if "best_effort_timestamp" in frame]
        firsts.append(min(stamps) * Fraction(found["streams"][0]["time_base"]))
    return Fraction(firsts[1] - firsts[0])


def likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """Returns by how many decibels a sound is louder than its difference from the other."""
    differences = tuple(map(sub, one, other))
    error, signal = sum(map(mul, differences, differences)), sum(map(mul, one, one))
    return inf if error == 0 else 10 * log10(max(signal, 1) / error)


def loudest(samples: Sequence[int], margin: int, length: int) -> int:
    """Returns where the loudest of some windows of `length` samples begins, at least `margin` from both ends."""
    end = max(len(samples) - margin - length, margin + 1)
    starts = range(margin, end, max(length, (end - margin) // 30))
    return max(starts, key=lambda at: sum(map(mul, samples[at : at + length], samples[at : at + length])))
