"""Decides what the source's colours mean and how the proxy's are tagged. Pure.

Names are ffmpeg's, meanings those of ITU-T H.273. Which tags each codec can carry, and reads back the same from
container and frame header, was measured with ffmpeg 8.1.2: ProRes headers have no code for the BT.601 transfer (it is
the same curve as BT.709's and is tagged as that), DNxHR frames always read as BT.709, 8 bits are not enough for HDR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from proxx.contracts.errors import SourceUnsupported
from proxx.contracts.measures import Size
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import Colour, ColourValue
from proxx.decide.notes import Note, NoteKind
from proxx.ffmpeg.streams import FirstFrame, VideoStream

_Origin: TypeAlias = Literal["tagged", "assumed"]

HDR_TRANSFERS: Final = frozenset({"smpte2084", "arib-std-b67"})
HDR_SIDE_DATA: Final = ("Mastering display metadata", "Content light level metadata")

_RGB: Final = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr")
_SAME_CURVE: Final = {"smpte170m": "bt709", "bt2020-10": "bt709", "bt2020-12": "bt709", "iec61966-2-4": "bt709"}
_SAME_MATRIX: Final = {"bt470bg": "smpte170m"}  # H.273: 5 and 6 are the same matrix; 5 in ProRes reads as gbr
_READABLE: Final = frozenset({"bt709", "smpte170m", "bt470bg", "smpte240m", "fcc", "bt2020nc"})

_MATRICES: Final = {
    "prores": frozenset({"bt709", "smpte170m", "bt2020nc"}),
    "h264": frozenset({"bt709", "smpte170m", "bt2020nc"}),
}
_PRIMARIES: Final = {
    "prores": frozenset({"bt709", "bt470bg", "smpte170m", "bt2020", "smpte431", "smpte432"}),
    "h264": frozenset({"bt709", "bt470bg", "smpte170m", "bt2020", "smpte431", "smpte432"}),
}
_TRANSFERS: Final = {
    "prores": frozenset({"bt709"}) | HDR_TRANSFERS,
    "h264": frozenset({"bt709", "iec61966-2-1", "bt470m", "bt470bg", "linear"}),
}
_STANDARD_PRIMARIES: Final = frozenset(
    {"bt709", "bt470bg", "smpte170m"}
)  # close enough to BT.709, the only one DNxHR reads as


@dataclass(frozen=True, kw_only=True)
class ColourDecision:
    """The colours of source and proxy. hdr, side_data: the HDR metadata that the proxy carries."""

    source: Colour
    proxy: Colour
    hdr: Literal["keep", "drop"]
    side_data: tuple[str, ...]
    notes: tuple[Note, ...]


def decide_colour(profile: ProfileSpec, stream: VideoStream, frame: FirstFrame) -> ColourDecision:
    """Returns the colours. Raises SourceUnsupported if the proxy's codec has no tags for those of the source."""
    source = _source(stream, frame)
    proxy = _proxy(profile, source, frame)
    assumed = [
        f"{name} {value.value}"
        for name, value in (
            ("range", source.range),
            ("matrix", source.matrix),
            ("primaries", source.primaries),
            ("transfer", source.transfer),
        )
        if value.origin == "assumed"
    ]
    notes = []
    if assumed:
        text = f"colour assumed, not tagged in the source: {', '.join(assumed)}"
        notes.append(Note(NoteKind.COLOUR_ASSUMED, text))
    if profile.video.codec == "dnxhd" and source.matrix.value not in ("bt709", "gbr"):
        text = f"colour converted from matrix {source.matrix.value} to bt709, the only one that DNxHR has"
        notes.append(Note(NoteKind.COLOUR_CONVERTED, text))
    side_data = tuple(kind for kind in HDR_SIDE_DATA if kind in stream.side_data or kind in frame.side_data)
    keep = profile.colour.hdr == "keep" and bool(side_data)
    if side_data and not keep:
        notes.append(Note(NoteKind.HDR_METADATA_DROPPED, f"not carried over: {', '.join(side_data).lower()}"))
    if source.transfer.value in HDR_TRANSFERS:
        text = f"HDR ({source.transfer.value}): kept and tagged as such, not tone-mapped"
        notes.append(Note(NoteKind.HDR_KEPT, text))
    return ColourDecision(
        source=source,
        proxy=proxy,
        hdr="keep" if keep else "drop",
        side_data=side_data if keep else (),
        notes=tuple(notes),
    )


def _source(stream: VideoStream, frame: FirstFrame) -> Colour:
    """Returns the source's colours: the decoded picture's tags, else the container's, else assumed by size."""
    rgb = is_rgb(frame)
    matrix = _first(frame.colour.matrix, stream.colour.matrix)
    primaries = _first(frame.colour.primaries, stream.colour.primaries)
    transfer = _first(frame.colour.transfer, stream.colour.transfer)
    guess = _assumed(matrix, primaries, Size(width=frame.width, height=frame.height))
    return Colour(
        range=_range(stream, frame),
        matrix=_value("gbr", None) if rgb and matrix is None else _value("gbr" if rgb else matrix, guess[0]),
        primaries=_value(primaries, guess[1]),
        transfer=_value(transfer, guess[2]),
    )


def _range(stream: VideoStream, frame: FirstFrame) -> ColourValue:
    """Returns the range: full if the picture decodes to a yuvj format, else as tagged, else assumed.

    Full-range H.264 and MJPEG decode to yuvj formats, also if the container declares limited range (a GoPro MAX).
    """
    if (frame.pixel_format or "").startswith("yuvj"):
        return ColourValue(value="pc", origin="tagged")
    return _value(_first(frame.colour.range, stream.colour.range), "pc" if is_rgb(frame) else "tv")


def _assumed(matrix: str | None, primaries: str | None, size: Size) -> tuple[str, str, str]:
    """Returns matrix, primaries and transfer for what is not tagged: to match the tags, else by the number of lines.

    From 720 lines or 1280 columns: BT.709. 487 to 719 lines: BT.601 with 625 lines. Up to 486: BT.601 with 525.
    """
    known = matrix or primaries
    if known in ("bt2020nc", "bt2020"):
        return "bt2020nc", "bt2020", "bt709"
    if known is None:
        by_lines = "smpte170m" if size.height <= 486 else "bt470bg"
        known = "bt709" if size.height >= 720 or size.width >= 1280 else by_lines
    if known in ("bt470bg", "smpte170m"):
        return known, known, "bt709"
    return "bt709", "bt709", "bt709"


def _proxy(profile: ProfileSpec, source: Colour, frame: FirstFrame) -> Colour:
    codec, name = profile.video.codec, profile.name
    transfer = source.transfer.value
    if (frame.pixel_format or "").startswith("xyz"):
        raise _refused("It is in CIE XYZ (a cinema master): convert it to an RGB or YUV master first.")
    if source.matrix.value not in _READABLE | {"gbr"}:
        raise _refused(f"Its colour matrix, {source.matrix.value}, cannot be converted exactly.")
    if transfer in HDR_TRANSFERS and (profile.colour.hdr == "refuse" or profile.video.bits < 10):
        raise _refused(f"It is HDR ({transfer}), which profile {name} cannot carry: choose a 10-bit ProRes profile.")
    matrix = _SAME_MATRIX.get(source.matrix.value, source.matrix.value)
    if matrix == "gbr":  # RGB is converted to the matrix that matches its primaries
        matrix = {"bt2020": "bt2020nc", "smpte170m": "smpte170m", "bt470bg": "smpte170m"}.get(
            source.primaries.value, "bt709"
        )
    curve = _SAME_CURVE.get(transfer, transfer)
    if codec == "dnxhd":
        if source.primaries.value not in _STANDARD_PRIMARIES or curve != "bt709":
            raise _refused(
                f"DNxHR, which reads as BT.709, has no tags for its colours ({source.primaries.value}, {transfer}): "
                "choose a ProRes profile."
            )
        return _colour(source, "bt709", "bt709", "bt709")
    for tag, value, known in (
        ("matrix", matrix, _MATRICES[codec]),
        ("primaries", source.primaries.value, _PRIMARIES[codec]),
        ("transfer", curve, _TRANSFERS[codec]),
    ):
        if value not in known:
            other = "an H.264" if codec == "prores" and value in _TRANSFERS["h264"] else "another"
            name = {"prores": "ProRes", "dnxhd": "DNxHR", "h264": "H.264"}[codec]
            raise _refused(f"{name} has no tag for its colour {tag}, {value}: choose {other} profile.")
    return _colour(source, matrix, source.primaries.value, curve)


def _colour(source: Colour, matrix: str, primaries: str, transfer: str) -> Colour:
    return Colour(
        range=ColourValue(value="tv", origin=source.range.origin),
        matrix=ColourValue(value=matrix, origin=source.matrix.origin),
        primaries=ColourValue(value=primaries, origin=source.primaries.origin),
        transfer=ColourValue(value=transfer, origin=source.transfer.origin),
    )


def is_rgb(frame: FirstFrame) -> bool:
    return (frame.pixel_format or "").startswith(_RGB)


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value is not None), None)


def _value(tagged: str | None, assumed: str | None) -> ColourValue:
    origin: _Origin = "assumed" if tagged is None else "tagged"
    return ColourValue(value=tagged or assumed or "gbr", origin=origin)


def _refused(message: str) -> SourceUnsupported:
    return SourceUnsupported(message=message, stage="decide")
