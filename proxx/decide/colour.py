"""What the source's colours mean and how the proxy's are written. Pure.

Names are ffmpeg's, meanings those of ITU-T H.273. What each codec can say, and reads back the same in container
and frame header, was measured with ffmpeg 8.1.2: ProRes headers have no code for the BT.601 transfer (it is the
same curve as BT.709's and written as that), DNxHR frames always read BT.709, 8 bits are not enough for HDR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from proxx.contracts.errors import SourceUnsupported
from proxx.contracts.measures import Size
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import Colour, ColourValue
from proxx.ffmpeg.streams import FirstFrame, VideoStream

_Origin: TypeAlias = Literal["tagged", "assumed"]

HDR_TRANSFERS: Final = frozenset({"smpte2084", "arib-std-b67"})
HDR_SIDE_DATA: Final = ("Mastering display metadata", "Content light level metadata")

_RGB: Final = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr")
_SAME_CURVE: Final = {"smpte170m": "bt709", "bt2020-10": "bt709", "bt2020-12": "bt709", "iec61966-2-4": "bt709"}
_SAME_MATRIX: Final = {"bt470bg": "smpte170m"}  # H.273: 5 and 6 are one matrix; 5 in ProRes reads as gbr
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
_STANDARD_PRIMARIES: Final = frozenset({"bt709", "bt470bg", "smpte170m"})  # near enough for DNxHR's only answer


@dataclass(frozen=True, kw_only=True)
class ColourDecision:
    """Both sides of the conversion. hdr, side_data: what of HDR metadata the proxy may carry."""

    source: Colour
    proxy: Colour
    hdr: Literal["keep", "drop"]
    side_data: tuple[str, ...]
    said: tuple[str, ...]


def decide_colour(profile: ProfileSpec, stream: VideoStream, frame: FirstFrame) -> ColourDecision:
    """Raises SourceUnsupported where the proxy's codec cannot say what the source's colours mean."""
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
    said: tuple[str, ...] = (f"colour assumed, not tagged in the source: {', '.join(assumed)}",) if assumed else ()
    if profile.video.codec == "dnxhd" and source.matrix.value not in ("bt709", "gbr"):
        said += (f"colour converted from matrix {source.matrix.value} to bt709, the only one DNxHR frames say",)
    side_data = tuple(kind for kind in HDR_SIDE_DATA if kind in stream.side_data or kind in frame.side_data)
    keep = profile.colour.hdr == "keep" and bool(side_data)
    if side_data and not keep:
        said += (f"not carried over: {', '.join(side_data).lower()}",)
    if source.transfer.value in HDR_TRANSFERS:
        said += (f"HDR ({source.transfer.value}): kept as it is and tagged so, not tone-mapped",)
    return ColourDecision(
        source=source,
        proxy=proxy,
        hdr="keep" if keep else "drop",
        side_data=side_data if keep else (),
        said=said,
    )


def _source(stream: VideoStream, frame: FirstFrame) -> Colour:
    """What the decoded picture says, then the container, then the assumption by size."""
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
    """Full-range H.264 and MJPEG decode to yuvj formats, whatever the container says (a GoPro MAX says limited)."""
    if (frame.pixel_format or "").startswith("yuvj"):
        return ColourValue(value="pc", origin="tagged")
    return _value(_first(frame.colour.range, stream.colour.range), "pc" if is_rgb(frame) else "tv")


def _assumed(matrix: str | None, primaries: str | None, size: Size) -> tuple[str, str, str]:
    """Matrix, primaries and transfer for what is not tagged: those that go with what is, else by the lines.

    720 lines or 1280 columns and more: BT.709. 487 to 719 lines: BT.601 with 625 lines. Up to 486: with 525.
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
        raise _refused(f"It is HDR ({transfer}), which profile {name} does not hold: choose a 10-bit ProRes profile.")
    matrix = _SAME_MATRIX.get(source.matrix.value, source.matrix.value)
    if matrix == "gbr":  # RGB is written as the matrix that goes with its primaries
        matrix = {"bt2020": "bt2020nc", "smpte170m": "smpte170m", "bt470bg": "smpte170m"}.get(
            source.primaries.value, "bt709"
        )
    curve = _SAME_CURVE.get(transfer, transfer)
    if codec == "dnxhd":
        if source.primaries.value not in _STANDARD_PRIMARIES or curve != "bt709":
            raise _refused(
                f"Its colours ({source.primaries.value}, {transfer}) cannot be said in DNxHR, which reads as BT.709: "
                "choose a ProRes profile."
            )
        return _colour(source, "bt709", "bt709", "bt709")
    for what, value, known in (
        ("matrix", matrix, _MATRICES[codec]),
        ("primaries", source.primaries.value, _PRIMARIES[codec]),
        ("transfer", curve, _TRANSFERS[codec]),
    ):
        if value not in known:
            other = "an H.264" if codec == "prores" and value in _TRANSFERS["h264"] else "another"
            raise _refused(f"Its colour {what}, {value}, cannot be said in {codec}: choose {other} profile.")
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
