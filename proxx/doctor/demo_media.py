"""Generates three small clips like those of cameras, so that the demonstration needs no footage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxx.contracts.errors import EncodeFailed
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.ffmpeg.process import capture

_SECONDS: Final = 120  # for three seconds of picture on a slow, busy machine


@dataclass(frozen=True)
class DemoClip:
    """One generated clip. name: below the card's folder. description: as an editor would describe it.

    steps: ffmpeg's arguments, run in order; the file that one step writes to `{0}` the next may read. The last step
    writes `{out}`.
    """

    name: str
    description: str
    steps: tuple[tuple[str, ...], ...]


def _picture(size: str, rate: str) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration=3")


def _tone(frequency: int) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=frequency={frequency}:sample_rate=48000:duration=3")


_H264: Final = ("-c:v", "libx264", "-preset", "ultrafast", "-threads:v", "1", "-pix_fmt", "yuv420p")
_HD: Final = ("-vf", "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709")

CLIPS: Final = (
    DemoClip(
        "A001C001.mov",
        "1080p25, one stereo track, timecode 10:00:00:00, reel A001",
        (
            (
                *_picture("1920x1080", "25"),
                *_tone(440),
                *(*_H264, *_HD, "-c:a", "pcm_s24le", "-ac", "2"),
                *("-timecode", "10:00:00:00", "-metadata:s:v:0", "reel_name=A001", "{out}"),
            ),
        ),
    ),
    DemoClip(
        "B001C001.mov",
        "1080p at 29.97, four mono tracks, drop-frame timecode 00:59:59;28, reel B001",
        (
            (
                *_picture("1920x1080", "30000/1001"),
                *(*_tone(220), *_tone(330), *_tone(440), *_tone(550)),
                *("-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:a", "-map", "4:a"),
                *(*_H264, *_HD, "-c:a", "pcm_s16le"),
                *("-timecode", "00:59:59;28", "-metadata:s:v:0", "reel_name=B001", "{out}"),
            ),
        ),
    ),
    DemoClip(
        "PHONE/IMG_0001.mov",
        "a phone held upright: 720p30, turned by 90 degrees, AAC, no timecode",
        (
            (*_picture("1280x720", "30"), *_tone(660), *_H264, *_HD, "-c:a", "aac", "{0}"),
            ("-display_rotation:v:0", "-90", "-i", "{0}", "-map", "0", "-c", "copy", "{out}"),
        ),
    ),
)


def make_card(folder: Path, installed: InstalledToolchain) -> tuple[tuple[Path, str], ...]:
    """Creates the clips in `folder` and returns each path with its description. Raises EncodeFailed."""
    clips = []
    for clip in CLIPS:
        target = folder.absolute() / clip.name
        target.parent.mkdir(parents=True, exist_ok=True)
        between = target.with_name(f".{target.name}")
        paths = {"{out}": f"file:{target}", "{0}": f"file:{between}"}
        for step in clip.steps:
            _run_ffmpeg(installed, tuple(paths.get(argument, argument) for argument in step))
        between.unlink(missing_ok=True)
        clips.append((target, clip.description))
    return tuple(clips)


def _run_ffmpeg(installed: InstalledToolchain, arguments: tuple[str, ...]) -> None:
    """Runs ffmpeg in bit-exact mode: the clips are the same everywhere, so two machines can compare their proxies."""
    *before, target = arguments
    argv = (*installed.ffmpeg_argv, "-nostdin", "-hide_banner", "-loglevel", "error", *before)
    argv += ("-fflags", "+bitexact", "-flags", "+bitexact", "-f", "mov", target)
    ended = capture(argv, stdout_limit=1 << 16, timeout=_SECONDS)
    if not ended.succeeded:
        raise EncodeFailed(
            message="ffmpeg could not generate a clip for the demonstration.",
            stage="demo",
            exit=ended.exit,
            detail=ended.stderr.decode("utf-8", "replace").strip()[-500:],
        )
