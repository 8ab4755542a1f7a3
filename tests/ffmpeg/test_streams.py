"""The types themselves, and reading ffprobe's JSON into them."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from typing import Any

import pytest

from proxx.ffmpeg.ffprobe_json import parse_first_frame, parse_probe, quarter_turn
from proxx.ffmpeg.streams import FORMAT_WHITELIST, AudioStream, OtherStream, ProbeResult, VideoStream, find_tag

VIDEO: dict[str, Any] = {"index": 0, "codec_type": "video", "time_base": "1/25"}
MATRIX = "\n00000000:            0       65536           0\n00000001:       -65536           0           0\n"
MATRIX += "00000002:            0           0  1073741824\n"


def read(*streams: dict[str, Any], **whole: Any) -> ProbeResult:  # noqa: ANN401  (as JSON has it)
    return parse_probe(json.dumps({"streams": streams, "format": whole}).encode())


def test_playlists_and_scripts_are_not_among_the_formats() -> None:
    assert FORMAT_WHITELIST == "mov,mxf,mpegts,matroska,wav,avi,mpeg,dv,gxf"


def test_what_is_not_said_is_none() -> None:
    (stream,) = read(VIDEO | {"color_range": "unknown", "sample_aspect_ratio": "0:1", "avg_frame_rate": "0/0"}).videos
    colour = stream.colour
    assert {getattr(colour, field.name) for field in fields(colour)} == {None}
    assert (stream.sar, stream.average_rate, stream.codec, stream.tag, stream.rotation) == (None, None, None, None, 0)


def test_decimals_in_side_data_stay_text() -> None:
    answer = b'{"streams": [{"index": 0, "codec_type": "video", "time_base": "1/25",'
    answer += b'"side_data_list": [{"side_data_type": "Stereo 3D", "baseline": 0.5}]}], "format": {}}'
    (stream,) = parse_probe(answer).videos
    assert stream.side_data["Stereo 3D"]["baseline"] == "0.5"


def test_durations_are_fractions() -> None:
    found = read(VIDEO | {"duration_ts": 7}, duration="10.543000", start_time="-0.021333", size="12")
    assert (found.duration, found.start, found.size) == (Fraction(10543, 1000), Fraction(-21333, 10**6), 12)
    assert found.streams[0].duration == Fraction(7, 25)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        (None, (0, False)),
        ((65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), (0, False)),
        ((49152, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), (0, False)),
        ((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30), (90, False)),
        ((-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30), (180, False)),
        ((0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30), (270, False)),
        ((-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), (0, True)),
        ((65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30), (180, True)),
        ((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30), (None, False)),
    ],
)
def test_turns(matrix: tuple[int, ...] | None, turn: tuple[int | None, bool]) -> None:
    assert quarter_turn(matrix) == turn


def test_a_phone_held_upright() -> None:
    side = [{"side_data_type": "Display Matrix", "displaymatrix": MATRIX, "rotation": -90}]
    (stream,) = read(VIDEO | {"side_data_list": side}).videos
    assert (stream.rotation, stream.mirrored) == (90, False)
    assert stream.display_matrix == (0, 65536, 0, -65536, 0, 0, 0, 0, 1073741824)


@pytest.mark.parametrize("disposition", ["attached_pic", "timed_thumbnails", "still_image"])
def test_cover_pictures_are_no_video(disposition: str) -> None:
    found = read(VIDEO | {"disposition": {disposition: 1, "default": 0}})
    assert found.videos == ()
    assert isinstance(found.streams[0], VideoStream)


@pytest.mark.parametrize(
    ("said", "layout"), [("5.1(side)", "5.1(side)"), ("8 channels", None), ("unknown", None), (None, None)]
)
def test_unlabelled_channels(said: str | None, layout: str | None) -> None:
    stream = {"index": 1, "codec_type": "audio", "time_base": "1/48000", "channels": 8, "sample_rate": "48000"}
    (found,) = read(stream | ({} if said is None else {"channel_layout": said})).audios
    assert isinstance(found, AudioStream)
    assert (found.layout, found.channels, found.rate) == (layout, 8, 48000)


def test_labels_say_where_they_stand() -> None:
    data = {"index": 2, "codec_type": "data", "codec_tag_string": "tmcd", "codec_tag": "0x64636d74"}
    data |= {"time_base": "1/600", "avg_frame_rate": "24000/1000", "tags": {"TIMECODE": "01:00:00;02"}}
    found = read(VIDEO, data, tags={"timecode": "00:00:00:00", "reel_name": " "})
    assert [(one.value, one.origin) for one in found.labels("timecode")] == [
        ("01:00:00;02", "stream:2"),
        ("00:00:00:00", "format"),
    ]
    assert found.labels("reel_name") == ()
    (other,) = found.others
    assert isinstance(other, OtherStream)
    assert (other.kind, other.tag, other.average_rate, other.codec) == ("data", "tmcd", Fraction(24), None)


def test_frozen() -> None:
    found = read(VIDEO, tags={"a": "b"})
    with pytest.raises(FrozenInstanceError):
        found.size = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.tags["a"] = "c"  # type: ignore[index]
    assert find_tag(found.tags, "A") == "b"


def test_first_frame() -> None:
    assert parse_first_frame(b'{"frames": []}') is None
    sound = {"media_type": "audio"}
    picture = {"media_type": "video", "width": 8, "height": 6, "color_range": "pc", "interlaced_frame": 1}
    frame = parse_first_frame(json.dumps({"frames": [sound, picture]}).encode())
    assert frame is not None
    assert (frame.width, frame.colour.range, frame.interlaced, frame.top_field_first) == (8, "pc", True, False)
