"""A made proxy is described by ffprobe; one that cannot be read is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from proxx.contracts.errors import FormatMismatch
from proxx.ffmpeg.proxy_probe import probe_proxy
from tests.support.makemedia import FFPROBE, make, picture, sound

MOV = (
    *picture(),
    *sound("stereo"),
    *sound("mono"),
    *("-map", "0", "-map", "1", "-map", "2", "-c:v", "prores_ks", "-profile:v", "0", "-c:a", "pcm_s24le"),
    *("-timecode", "10:00:00:05", "-metadata:s:v:0", "reel_name=A001", "-metadata:s:a:0", "language=sve"),
    *("-video_track_timescale", "25"),
)


def _proxy() -> Path:
    return make("p.mov", *MOV)


def test_a_proxy_is_described() -> None:
    found = probe_proxy(_proxy(), FFPROBE)
    assert found.picture is not None
    assert (found.picture.codec, found.picture.packets, found.picture.start, found.picture.even) == (
        "prores",
        12,
        0,
        True,
    )
    assert [(track.channels, track.samples, track.language) for track in found.sound] == [
        (2, 23040, "sve"),
        (1, 23040, None),
    ]
    assert (found.timecode, found.timecode_rate, found.reel) == ("10:00:00:05", Fraction(25), "A001")
    assert found.others == ()


def test_uneven_time_stamps_are_noticed() -> None:
    filters = "setpts=PTS+3+if(gt(N\\,5)\\,1\\,0)"
    path = make("late.mov", *picture(), "-vf", filters, "-fps_mode", "passthrough", "-c:v", "mjpeg")
    found = probe_proxy(path, FFPROBE).picture
    assert found is not None
    assert not found.even


def test_unexpected_streams_are_listed() -> None:
    path = make("two.mov", *picture(), "-map", "0", "-map", "0", "-c:v:0", "prores_ks", "-c:v:1", "mjpeg")
    assert probe_proxy(path, FFPROBE).others == ("video mjpeg",)


def test_aac_samples_are_counted_by_the_length_of_the_track() -> None:
    path = make("a.mp4", *picture(), *sound("stereo"), "-c:v", "libx264", "-c:a", "aac", "-movie_timescale", "48000")
    assert [track.samples for track in probe_proxy(path, FFPROBE).sound] == [23040]


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    """A file that is cut off after its index opens without an error."""
    path = tmp_path / "cut.mov"
    data = make("front.mov", *MOV, "-movflags", "+faststart").read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    found = probe_proxy(path, FFPROBE).picture
    assert found is not None and found.packets < 12


@pytest.mark.parametrize("data", [b"", b"#EXTM3U\nfile:///etc/passwd\n", bytes(4096)])
def test_a_file_that_is_not_a_proxy_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.mov"
    path.write_bytes(data)
    with pytest.raises(FormatMismatch, match="cannot read the proxy"):
        probe_proxy(path, FFPROBE)


@pytest.mark.parametrize("name", ["-x.mov", "a:b.mov", "concat:a.mov", "%03d.mov", "new\nline.mov", "it's.mov"])
def test_any_file_name_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(_proxy().read_bytes())
    assert probe_proxy(path, FFPROBE).reel == "A001"
