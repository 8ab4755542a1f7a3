"""Parses ffprobe's JSON into the types of `streams`. Pure. `unknown`, N/A, 0/0 and the like become None."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, cast

from proxx.contracts.measures import parse_integer
from proxx.ffmpeg.streams import AudioStream, FirstFrame, OtherStream, ProbeResult, Stream, StreamColour, VideoStream

_UNSPECIFIED: Final = {"", "unknown", "unspecified", "N/A", "und", "reserved", "none"}
_QUARTER_TURNS: Final = {(1, 0, 0, 1): 0, (0, 1, -1, 0): 90, (-1, 0, 0, -1): 180, (0, -1, 1, 0): 270}
_MIRRORED: Final = {(-1, 0, 0, 1): 0, (0, 1, 1, 0): 90, (1, 0, 0, -1): 180, (0, -1, -1, 0): 270}

_Object = Mapping[str, Any]


def parse_probe(output: bytes) -> ProbeResult:
    """Returns what ffprobe printed with `-show_format -show_streams -of json`."""
    document = _load(output)
    container = cast("_Object", document.get("format", {}))
    return ProbeResult(
        container=str(container.get("format_name", "")),
        size=parse_integer(container.get("size")) or 0,
        start=_seconds(container.get("start_time")),
        duration=_seconds(container.get("duration")),
        tags=_tags(container),
        streams=tuple(_stream(entry) for entry in document.get("streams", ())),
    )


def parse_first_frame(output: bytes) -> FirstFrame | None:
    """Returns the first video frame that ffprobe printed with `-show_frames -of json`, or None if it printed none."""
    for frame in _load(output).get("frames", ()):
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
    """Returns the clockwise degrees by which a display matrix turns, and whether it first mirrors left and right.

    Its scale is ignored; no matrix means (0, False); an angle that is not a quarter turn means (None, False).
    """
    if matrix is None or len(matrix) != 9:
        return 0, False
    a, b, c, d = (_sign(matrix[i]) for i in (0, 1, 3, 4))
    if (a, b, c, d) in _MIRRORED:
        return _MIRRORED[(a, b, c, d)], True
    return _QUARTER_TURNS.get((a, b, c, d)), False


def _stream(entry: _Object) -> Stream:
    kind = entry.get("codec_type")
    side_data = _side_data(entry)
    base: dict[str, Any] = {
        "index": int(entry["index"]),
        "codec": _word(entry.get("codec_name")),
        "tag": _tag(entry),
        "profile": _word(entry.get("profile")),
        "time_base": Fraction(str(entry["time_base"])),
        "start_pts": parse_integer(entry.get("start_pts")),
        "duration_ts": parse_integer(entry.get("duration_ts")),
        "declared_packets": parse_integer(entry.get("nb_frames")),
        "dispositions": frozenset(name for name, on in entry.get("disposition", {}).items() if on),
        "tags": _tags(entry),
        "side_data": side_data,
    }
    if kind == "video":
        return _video(entry, base, side_data)
    if kind == "audio":
        bits = parse_integer(entry.get("bits_per_raw_sample")) or parse_integer(entry.get("bits_per_sample"))
        return AudioStream(
            **base,
            rate=parse_integer(entry.get("sample_rate")) or 0,
            channels=parse_integer(entry.get("channels")) or 0,
            layout=_layout(entry.get("channel_layout")),
            sample_format=_word(entry.get("sample_fmt")),
            bits=bits or None,
            packed_bits=parse_integer(entry.get("bits_per_sample")) or None,
            initial_padding=parse_integer(entry.get("initial_padding")) or 0,
        )
    return OtherStream(**base, kind=str(kind or "unknown"), average_rate=_ratio(entry.get("avg_frame_rate")))


def _video(entry: _Object, base: dict[str, Any], side_data: Mapping[str, Mapping[str, str]]) -> VideoStream:
    matrix = _matrix(side_data.get("Display Matrix", {}).get("displaymatrix"))
    rotation, mirrored = quarter_turn(matrix)
    return VideoStream(
        **base,
        width=parse_integer(entry.get("width")) or 0,
        height=parse_integer(entry.get("height")) or 0,
        coded_width=parse_integer(entry.get("coded_width")) or 0,
        coded_height=parse_integer(entry.get("coded_height")) or 0,
        sar=_ratio(entry.get("sample_aspect_ratio")),
        pixel_format=_word(entry.get("pix_fmt")),
        bits=parse_integer(entry.get("bits_per_raw_sample")) or None,
        nominal_rate=_ratio(entry.get("r_frame_rate")),
        average_rate=_ratio(entry.get("avg_frame_rate")),
        field_order=_word(entry.get("field_order")),
        colour=_colour(entry),
        b_frames=parse_integer(entry.get("has_b_frames")) or 0,
        display_matrix=matrix,
        rotation=rotation,
        mirrored=mirrored,
    )


def _colour(entry: _Object) -> StreamColour:
    return StreamColour(
        range=_word(entry.get("color_range")),
        matrix=_word(entry.get("color_space")),
        primaries=_word(entry.get("color_primaries")),
        transfer=_word(entry.get("color_transfer")),
        chroma_location=_word(entry.get("chroma_location")),
    )


def _tag(entry: _Object) -> str | None:
    text, number = str(entry.get("codec_tag_string", "")), str(entry.get("codec_tag", "0x0000"))
    if number in {"0x0000", "0x00000000"}:
        return None
    return text if len(text) == 4 else number


def _tags(entry: _Object) -> Mapping[str, str]:
    return MappingProxyType({key: str(value) for key, value in entry.get("tags", {}).items()})


def _side_data(entry: _Object) -> Mapping[str, Mapping[str, str]]:
    kinds = {
        str(item.get("side_data_type")): MappingProxyType(
            {key: str(value) for key, value in item.items() if key != "side_data_type"}
        )
        for item in entry.get("side_data_list", ())
    }
    return MappingProxyType(kinds)


def _matrix(text: str | None) -> tuple[int, ...] | None:
    """Returns the numbers of lines such as `00000000:        49152           0           0`."""
    if text is None:
        return None
    return tuple(int(item) for line in text.splitlines() for item in line.partition(":")[2].split())


def _layout(value: object) -> str | None:
    text = _word(value)
    return None if text is None or text.endswith(" channels") else text


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _word(value: object) -> str | None:
    return None if value is None or str(value) in _UNSPECIFIED else str(value)


def _ratio(value: object) -> Fraction | None:
    """Returns the ratio of `30000/1001` or `4:3`; None for 0/0, 0:1 and anything else."""
    top, _, bottom = str(value).replace(":", "/").partition("/")
    if not (top.isdigit() and bottom.isdigit() and int(top) and int(bottom)):
        return None
    return Fraction(int(top), int(bottom))


def _seconds(value: object) -> Fraction | None:
    text = str(value)
    return Fraction(text) if text.lstrip("-").replace(".", "", 1).isdigit() else None


def _load(output: bytes) -> dict[str, Any]:
    """Decodes the JSON; the few decimals that ffprobe prints in side data stay text."""
    document = json.loads(output.decode("utf-8", "replace"), parse_float=str)
    return cast("dict[str, Any]", document)
