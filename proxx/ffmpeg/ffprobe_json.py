"""ffprobe's JSON made into the types of `proxx.probed`. Pure: `unknown`, N/A, 0/0 and the like become None."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, cast

from proxx.contracts.measures import parse_integer
from proxx.ffmpeg.streams import AudioStream, FirstFrame, OtherStream, ProbeResult, Stream, StreamColour, VideoStream

_NOTHING: Final = {"", "unknown", "unspecified", "N/A", "und", "reserved", "none"}
_QUARTER_TURNS: Final = {(1, 0, 0, 1): 0, (0, 1, -1, 0): 90, (-1, 0, 0, -1): 180, (0, -1, 1, 0): 270}
_MIRRORED: Final = {(-1, 0, 0, 1): 0, (0, 1, 1, 0): 90, (1, 0, 0, -1): 180, (0, -1, -1, 0): 270}

_Object = Mapping[str, Any]


def parse_probe(answer: bytes) -> ProbeResult:
    """From `-show_format -show_streams`."""
    document = _read(answer)
    whole = cast("_Object", document.get("format", {}))
    return ProbeResult(
        container=str(whole.get("format_name", "")),
        size=parse_integer(whole.get("size")) or 0,
        start=_seconds(whole.get("start_time")),
        duration=_seconds(whole.get("duration")),
        tags=_tags(whole),
        streams=tuple(_stream(one) for one in document.get("streams", ())),
    )


def parse_first_frame(answer: bytes) -> FirstFrame | None:
    """From `-show_frames`: the first picture, None where there is none."""
    for frame in _read(answer).get("frames", ()):
        if frame.get("media_type") == "video":
            return FirstFrame(
                width=int(frame["width"]),
                height=int(frame["height"]),
                sar=_ratio(frame.get("sample_aspect_ratio")),
                pixel_format=_word(frame.get("pix_fmt")),
                colour=_colour(frame),
                interlaced=bool(frame.get("interlaced_frame")),
                top_field_first=bool(frame.get("top_field_first")),
                side_data=frozenset(_side_data(frame)),
            )
    return None


def quarter_turn(matrix: tuple[int, ...] | None) -> tuple[int | None, bool]:
    """Clockwise degrees a display matrix turns by, and whether it mirrors (left and right, before turning).

    Its scale does not count; none is no turn; (None, False) where it turns by another angle.
    """
    if matrix is None or len(matrix) != 9:
        return 0, False
    a, b, c, d = (_sign(matrix[i]) for i in (0, 1, 3, 4))
    if (a, b, c, d) in _MIRRORED:
        return _MIRRORED[(a, b, c, d)], True
    return _QUARTER_TURNS.get((a, b, c, d)), False


def _stream(one: _Object) -> Stream:
    kind = one.get("codec_type")
    side_data = _side_data(one)
    base: dict[str, Any] = {
        "index": int(one["index"]),
        "codec": _word(one.get("codec_name")),
        "tag": _tag(one),
        "profile": _word(one.get("profile")),
        "time_base": Fraction(str(one["time_base"])),
        "start_pts": parse_integer(one.get("start_pts")),
        "duration_ts": parse_integer(one.get("duration_ts")),
        "declared_packets": parse_integer(one.get("nb_frames")),
        "dispositions": frozenset(name for name, on in one.get("disposition", {}).items() if on),
        "tags": _tags(one),
        "side_data": side_data,
    }
    if kind == "video":
        return _video(one, base, side_data)
    if kind == "audio":
        bits = parse_integer(one.get("bits_per_raw_sample")) or parse_integer(one.get("bits_per_sample"))
        return AudioStream(
            **base,
            rate=parse_integer(one.get("sample_rate")) or 0,
            channels=parse_integer(one.get("channels")) or 0,
            layout=_layout(one.get("channel_layout")),
            sample_format=_word(one.get("sample_fmt")),
            bits=bits or None,
            packed_bits=parse_integer(one.get("bits_per_sample")) or None,
            initial_padding=parse_integer(one.get("initial_padding")) or 0,
        )
    return OtherStream(**base, kind=str(kind or "unknown"), average_rate=_ratio(one.get("avg_frame_rate")))


def _video(one: _Object, base: dict[str, Any], side_data: Mapping[str, Mapping[str, str]]) -> VideoStream:
    matrix = _matrix(side_data.get("Display Matrix", {}).get("displaymatrix"))
    rotation, mirrored = quarter_turn(matrix)
    return VideoStream(
        **base,
        width=parse_integer(one.get("width")) or 0,
        height=parse_integer(one.get("height")) or 0,
        coded_width=parse_integer(one.get("coded_width")) or 0,
        coded_height=parse_integer(one.get("coded_height")) or 0,
        sar=_ratio(one.get("sample_aspect_ratio")),
        pixel_format=_word(one.get("pix_fmt")),
        bits=parse_integer(one.get("bits_per_raw_sample")) or None,
        nominal_rate=_ratio(one.get("r_frame_rate")),
        average_rate=_ratio(one.get("avg_frame_rate")),
        field_order=_word(one.get("field_order")),
        colour=_colour(one),
        b_frames=parse_integer(one.get("has_b_frames")) or 0,
        display_matrix=matrix,
        rotation=rotation,
        mirrored=mirrored,
    )


def _colour(one: _Object) -> StreamColour:
    return StreamColour(
        range=_word(one.get("color_range")),
        matrix=_word(one.get("color_space")),
        primaries=_word(one.get("color_primaries")),
        transfer=_word(one.get("color_transfer")),
        chroma_location=_word(one.get("chroma_location")),
    )


def _tag(one: _Object) -> str | None:
    text, number = str(one.get("codec_tag_string", "")), str(one.get("codec_tag", "0x0000"))
    if number in {"0x0000", "0x00000000"}:
        return None
    return text if len(text) == 4 else number


def _tags(one: _Object) -> Mapping[str, str]:
    return MappingProxyType({key: str(value) for key, value in one.get("tags", {}).items()})


def _side_data(one: _Object) -> Mapping[str, Mapping[str, str]]:
    kinds = {
        str(item.get("side_data_type")): MappingProxyType(
            {key: str(value) for key, value in item.items() if key != "side_data_type"}
        )
        for item in one.get("side_data_list", ())
    }
    return MappingProxyType(kinds)


def _matrix(text: str | None) -> tuple[int, ...] | None:
    """Lines such as `00000000:        49152           0           0`."""
    if text is None:
        return None
    return tuple(int(item) for line in text.splitlines() for item in line.partition(":")[2].split())


def _layout(value: object) -> str | None:
    text = _word(value)
    return None if text is None or text.endswith(" channels") else text


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _word(value: object) -> str | None:
    return None if value is None or str(value) in _NOTHING else str(value)


def _ratio(value: object) -> Fraction | None:
    """`30000/1001` or `4:3`; None for 0/0, 0:1 and what is no ratio."""
    top, _, bottom = str(value).replace(":", "/").partition("/")
    if not (top.isdigit() and bottom.isdigit() and int(top) and int(bottom)):
        return None
    return Fraction(int(top), int(bottom))


def _seconds(value: object) -> Fraction | None:
    text = str(value)
    return Fraction(text) if text.lstrip("-").replace(".", "", 1).isdigit() else None


def _read(answer: bytes) -> dict[str, Any]:
    """ffprobe prints a few decimals in side data; they stay text."""
    document = json.loads(answer.decode("utf-8", "replace"), parse_float=str)
    return cast("dict[str, Any]", document)
