"""Decides which picture a proxy is made of and its geometry: stream, rotation, fields, size. Pure.

Pixels that are not square stay so: size rules count stored pixels, and `setsar` keeps their shape, because an
editing system relinks a proxy by the shape of its original. MXF is the exception: ffmpeg 8.1.2 always writes the
aspect of square pixels into it (measured with DNxHR), so there the width is changed to make the pixels square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Final, Literal, TypeAlias, cast

from proxx.contracts.errors import NoVideo, SourceUnsupported
from proxx.contracts.measures import Ratio, Size
from proxx.contracts.profile import ProfileSpec, SizeRule
from proxx.contracts.recipe import Crop, VideoPick
from proxx.decide.notes import Note, NoteKind
from proxx.ffmpeg.streams import FirstFrame, ProbeResult, VideoStream

Rotation: TypeAlias = Literal[0, 90, 180, 270]
FieldOrder: TypeAlias = Literal["tt", "bb"]

SQUARE: Final = Ratio(num=1, den=1)
NO_CROP: Final = Crop(left=0, top=0, right=0, bottom=0)
"""The decoder applies the codec's own cropping. QuickTime's clean aperture is not applied (`-apply_cropping codec`):
an XDCAM EX of 1920×1080 would become 1888×1062, and no editing system would relink it."""

_TURNS: Final[tuple[Rotation, ...]] = (0, 90, 180, 270)
_FIRST_DISPLAYED: Final[dict[str, FieldOrder]] = {"tt": "tt", "tb": "tt", "bb": "bb", "bt": "bb"}
"""QuickTime's `fiel` 9 and 14 (ffmpeg: tb, bt) name how fields are stored: the field of the first letter is displayed
first, as ffmpeg's own writer and Apple's encoders use it (measured on an XDCAM EX)."""


@dataclass(frozen=True, kw_only=True)
class PictureDecision:
    """Geometry and scan. rotation: degrees clockwise to apply. field_order: of the source, None if progressive."""

    rotation: Rotation
    size: Size
    scaled: Size
    sar: Ratio
    field_order: FieldOrder | None
    deinterlace: bool
    notes: tuple[Note, ...]

    @property
    def stays_interlaced(self) -> bool:
        return self.field_order is not None and not self.deinterlace


def pick_video(probed: ProbeResult) -> VideoStream:
    """Returns the first picture track marked `default`, else the first; cover art and thumbnails do not count.

    Raises NoVideo if there is no picture track.
    """
    videos = probed.videos
    if not videos:
        raise NoVideo(message="There is no picture track.", stage="decide")
    return next((video for video in videos if "default" in video.dispositions), videos[0])


DECODER_NAMES: Final = {"av1": "libdav1d"}  # ffmpeg's own `av1` only works with hardware


def decide_pick(stream: VideoStream, decoders: frozenset[str]) -> VideoPick:
    """Returns the stream with the name of its decoder. Raises SourceUnsupported if the toolchain has none."""
    codec = stream.codec or "unknown"
    if codec not in decoders:
        raise SourceUnsupported(
            message=f"This toolchain cannot decode its picture ({codec}): try --toolchain full, or convert it.",
            stage="decide",
        )
    spatial = "Stereo 3D" in stream.side_data
    decoder = DECODER_NAMES.get(codec, codec)
    return VideoPick(file=0, stream=stream.index, view="base" if spatial else None, codec=codec, decoder=decoder)


def decide_picture(profile: ProfileSpec, stream: VideoStream, frame: FirstFrame) -> PictureDecision:
    """Returns geometry and scan. Raises SourceUnsupported if the profile cannot carry the picture."""
    rotation = _rotation(stream)
    order = _field_order(stream, frame)
    keeps = order is not None and profile.fields == "keep"
    if order is not None and profile.fields == "refuse":
        raise _refused(f"It is interlaced, which profile {profile.name} refuses: choose one that deinterlaces.")
    if keeps and rotation in (90, 270):
        raise _refused(
            "It is interlaced and rotated by 90 degrees, so its fields cannot be kept: choose one that deinterlaces."
        )
    turned = rotation in (90, 270)
    upright = Size(width=frame.height, height=frame.width) if turned else Size(width=frame.width, height=frame.height)
    sar = _sar(stream, frame, turned)
    squared = profile.container == "mxf" and sar != SQUARE
    if squared:
        upright, sar = (
            Size(width=max(round(upright.width * Fraction(sar.num, sar.den)), 2), height=upright.height),
            SQUARE,
        )
    scaled, size = decide_size(profile.size, upright, keeps)
    smallest = profile.video.smallest_width, profile.video.smallest_height
    if size.width < smallest[0] or size.height < smallest[1]:
        raise _refused(
            f"The proxy would be {size}, and {profile.name} needs at least {smallest[0]}x{smallest[1]}: choose a "
            "profile with larger pictures."
        )
    return PictureDecision(
        rotation=rotation,
        size=size,
        scaled=scaled,
        sar=sar,
        field_order=order,
        deinterlace=order is not None and not keeps,
        notes=(
            *_notes(stream, rotation, order, keeps, upright, scaled, profile.size),
            *(
                (Note(NoteKind.PIXELS_SQUARED, f"pixels made square, {upright}: MXF has no others"),)
                if squared
                else ()
            ),
        ),
    )


def decide_size(rule: SizeRule, upright: Size, interlaced: bool) -> tuple[Size, Size]:
    """Returns (the scaled picture, the whole frame) in pixels: the same size except in mode `pad`.

    Rounds down: the width to even, the height to even, or to a multiple of 4 if the proxy has fields (4:2:0 and
    4:2:2 need whole chroma samples in each field).
    """
    factor = Fraction(1)
    if rule.mode == "divide":
        factor = Fraction(1, cast("int", rule.n))
    elif rule.mode in ("fit", "pad"):
        box = Fraction(cast("int", rule.width), upright.width), Fraction(cast("int", rule.height), upright.height)
        factor = min(Fraction(1), *box)
    scaled = Size(
        width=_down(floor(upright.width * factor), 2),
        height=_down(floor(upright.height * factor), 4 if interlaced else 2),
    )
    if rule.mode == "pad":
        return scaled, Size(width=cast("int", rule.width), height=cast("int", rule.height))
    return scaled, scaled


def _down(value: int, multiple: int) -> int:
    """Rounds down to the multiple, but to no less than one multiple."""
    return max(value - value % multiple, multiple)


def _rotation(stream: VideoStream) -> Rotation:
    if stream.mirrored:
        raise _refused("Its picture is tagged as mirrored, which no profile supports: remove the mirroring first.")
    for turn in _TURNS:
        if stream.rotation == turn:
            return turn
    raise _refused(
        "Its picture is tagged with a rotation other than 90, 180 or 270 degrees, which no profile supports."
    )


def _field_order(stream: VideoStream, frame: FirstFrame) -> FieldOrder | None:
    """Returns the field order by the decoded picture, else by the container; None if both are progressive."""
    if frame.interlaced:
        return "tt" if frame.top_field_first else "bb"
    return _FIRST_DISPLAYED.get(stream.field_order or "")


def _sar(stream: VideoStream, frame: FirstFrame, turned: bool) -> Ratio:
    """Returns the pixels' shape: the container's, else the codec's, as in ffmpeg, else square."""
    shape = stream.sar or frame.sar or Fraction(1)
    shape = 1 / shape if turned else shape
    return Ratio(num=shape.numerator, den=shape.denominator)


def _notes(
    stream: VideoStream,
    rotation: int,
    order: FieldOrder | None,
    keeps: bool,
    upright: Size,
    scaled: Size,
    rule: SizeRule,
) -> Iterator[Note]:
    if rotation:
        yield Note(NoteKind.ROTATED, f"rotation applied: {rotation} degrees clockwise")
    if order is not None and not keeps:
        first = "top" if order == "tt" else "bottom"
        yield Note(NoteKind.DEINTERLACED, f"deinterlaced: one frame for two fields, {first} field first")
    if rule.mode == "same" and scaled != upright:
        yield Note(NoteKind.SIZE_ROUNDED, f"size rounded down from {upright} to {scaled}")
    if "Frame Cropping" in stream.side_data:
        yield Note(NoteKind.APERTURE_NOT_APPLIED, "clean aperture not applied: the proxy has the whole picture")
    if "Stereo 3D" in stream.side_data:
        yield Note(NoteKind.BASE_VIEW_ONLY, "spatial video: the base view only")


def _refused(message: str) -> SourceUnsupported:
    return SourceUnsupported(message=message, stage="decide")
