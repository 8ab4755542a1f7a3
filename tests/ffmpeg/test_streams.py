"""ffprobe's JSON is parsed into frozen types."""

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


def parse(*streams: dict[str, Any], **container: Any) -> ProbeResult:  # noqa: ANN401  (any JSON value)
    return parse_probe(json.dumps({"streams": streams, "format": container}).encode())


def test_playlists_and_scripts_are_not_in_the_whitelist() -> None:
    assert FORMAT_WHITELIST == "mov,mxf,mpegts,matroska,wav,avi,mpeg,dv,gxf"


def test_unspecified_values_are_none() -> None:
    (stream,) = parse(
        VIDEO | {"color_range": "unknown", "sample_aspect_ratio": "0:1", "avg_frame_rate": "0/0"}
    ).videos
    colour = stream.colour
    assert {getattr(colour, field.name) for field in fields(colour)} == {None}
    assert (stream.sar, stream.average_rate, stream.codec, stream.tag, stream.rotation) == (None, None, None, None, 0)


def test_decimals_in_side_data_stay_text() -> None:
    output = b'{"streams": [{"index": 0, "codec_type": "video", "time_base": "1/25",'
    output += b'"side_data_list": [{"side_data_type": "Stereo 3D", "baseline": 0.5}]}], "format": {}}'
    (stream,) = parse_probe(output).videos
    assert stream.side_data["Stereo 3D"]["baseline"] == "0.5"


def test_durations_are_fractions() -> None:
    probed = parse(VIDEO | {"duration_ts": 7}, duration="10.543000", start_time="-0.021333", size="12")
    assert (probed.duration, probed.start, probed.size) == (Fraction(10543, 1000), Fraction(-21333, 10**6), 12)
    assert probed.streams[0].duration == Fraction(7, 25)


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
def test_display_matrices_become_quarter_turns(matrix: tuple[int, ...] | None, turn: tuple[int | None, bool]) -> None:
    assert quarter_turn(matrix) == turn


def test_the_clip_of_a_phone_held_upright_is_rotated() -> None:
    side = [{"side_data_type": "Display Matrix", "displaymatrix": MATRIX, "rotation": -90}]
    (stream,) = parse(VIDEO | {"side_data_list": side}).videos
    assert (stream.rotation, stream.mirrored) == (90, False)
    assert stream.display_matrix == (0, 65536, 0, -65536, 0, 0, 0, 0, 1073741824)


@pytest.mark.parametrize("disposition", ["attached_pic", "timed_thumbnails", "still_image"])
def test_cover_art_is_not_a_picture_track(disposition: str) -> None:
    probed = parse(VIDEO | {"disposition": {disposition: 1, "default": 0}})
    assert probed.videos == ()
    assert isinstance(probed.streams[0], VideoStream)


@pytest.mark.parametrize(
    ("channel_layout", "layout"), [("5.1(side)", "5.1(side)"), ("8 channels", None), ("unknown", None), (None, None)]
)
def test_unlabelled_channels_have_no_layout(channel_layout: str | None, layout: str | None) -> None:
    stream = {"index": 1, "codec_type": "audio", "time_base": "1/48000", "channels": 8, "sample_rate": "48000"}
    (probed,) = parse(stream | ({} if channel_layout is None else {"channel_layout": channel_layout})).audios
    assert isinstance(probed, AudioStream)
    assert (probed.layout, probed.channels, probed.rate) == (layout, 8, 48000)


def test_labels_name_their_origin() -> None:
    data = {"index": 2, "codec_type": "data", "codec_tag_string": "tmcd", "codec_tag": "0x64636d74"}
    data |= {"time_base": "1/600", "avg_frame_rate": "24000/1000", "tags": {"TIMECODE": "01:00:00;02"}}
    probed = parse(VIDEO, data, tags={"timecode": "00:00:00:00", "reel_name": " "})
    assert [(label.value, label.origin) for label in probed.labels("timecode")] == [
        ("01:00:00;02", "stream:2"),
        ("00:00:00:00", "format"),
    ]
    assert probed.labels("reel_name") == ()
    (other,) = probed.others
    assert isinstance(other, OtherStream)
    assert (other.kind, other.tag, other.average_rate, other.codec) == ("data", "tmcd", Fraction(24), None)


def test_probe_results_are_frozen() -> None:
    probed = parse(VIDEO, tags={"a": "b"})
    with pytest.raises(FrozenInstanceError):
        probed.size = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        probed.tags["a"] = "c"  # type: ignore[index]
    assert find_tag(probed.tags, "A") == "b"


def test_the_first_video_frame_is_parsed() -> None:
    assert parse_first_frame(b'{"frames": []}') is None
    sound = {"media_type": "audio"}
    picture = {"media_type": "video", "width": 8, "height": 6, "color_range": "pc", "interlaced_frame": 1}
    frame = parse_first_frame(json.dumps({"frames": [sound, picture]}).encode())
    assert frame is not None
    assert (frame.width, frame.colour.range, frame.interlaced, frame.top_field_first) == (8, "pc", True, False)
