"""Which picture a proxy is made of and how it stands: stream, turn, fields, size. Pure.

Pixels that are not square stay so: size rules count stored pixels, and `setsar` keeps their shape, because an
editing system relinks a proxy by the shape of its original. MXF is the exception: ffmpeg 8.1.2 writes the aspect of
square pixels into it whatever it is told (measured with DNxHR), so there the width is changed to make them square.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Final, Literal, TypeAlias, cast

from proxx.contracts.errors import NoVideo, SourceUnsupported
from proxx.contracts.measures import Ratio, Size
from proxx.contracts.profile import ProfileSpec, SizeRule
from proxx.contracts.recipe import Crop, VideoPick
from proxx.ffmpeg.streams import FirstFrame, ProbeResult, VideoStream

Rotation: TypeAlias = Literal[0, 90, 180, 270]
FieldOrder: TypeAlias = Literal["tt", "bb"]

SQUARE: Final = Ratio(num=1, den=1)
NO_CROP: Final = Crop(left=0, top=0, right=0, bottom=0)
"""The codec's own cropping is the decoder's; QuickTime's clean aperture is not applied (`-apply_cropping codec`):
an XDCAM EX of 1920×1080 would become 1888×1062, and no editing system would relink it."""

_TURNS: Final[tuple[Rotation, ...]] = (0, 90, 180, 270)
_FIRST_DISPLAYED: Final[dict[str, FieldOrder]] = {"tt": "tt", "tb": "tt", "bb": "bb", "bt": "bb"}
"""QuickTime's `fiel` 9 and 14 (ffmpeg: tb, bt) name how fields are stored: their first letter is shown first, as
ffmpeg's own writer and Apple's encoders mean it (measured on an XDCAM EX)."""


@dataclass(frozen=True, kw_only=True)
class PictureDecision:
    """Geometry and scan of the source, and of the proxy. field_order: of the source; None where progressive."""

    rotation: Rotation
    size: Size
    scaled: Size
    sar: Ratio
    field_order: FieldOrder | None
    deinterlace: bool
    said: tuple[str, ...]

    @property
    def stays_interlaced(self) -> bool:
        return self.field_order is not None and not self.deinterlace


def pick_video(probed: ProbeResult) -> VideoStream:
    """The picture: the first track marked `default`, else the first; cover art and thumbnails are none.

    Raises NoVideo where there is none.
    """
    videos = probed.videos
    if not videos:
        raise NoVideo(message="There is no picture track.", stage="decide")
    return next((video for video in videos if "default" in video.dispositions), videos[0])


DECODER_NAMES: Final = {"av1": "libdav1d"}  # ffmpeg's own `av1` only drives hardware


def decide_pick(stream: VideoStream, decoders: frozenset[str]) -> VideoPick:
    """The stream with its decoder, by name. Raises SourceUnsupported where the toolchain has none."""
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
    """Raises SourceUnsupported where the profile cannot hold the picture."""
    rotation = _rotation(stream)
    order = _field_order(stream, frame)
    keeps = order is not None and profile.fields == "keep"
    if order is not None and profile.fields == "refuse":
        raise _refused(f"It is interlaced, which profile {profile.name} refuses: choose one that deinterlaces.")
    if keeps and rotation in (90, 270):
        raise _refused("It is interlaced and turned by 90 degrees: fields cannot be kept; choose another profile.")
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
            f"The proxy would be {size}, and {profile.name} writes {smallest[0]}x{smallest[1]} at least: choose a "
            "profile with larger pictures."
        )
    return PictureDecision(
        rotation=rotation,
        size=size,
        scaled=scaled,
        sar=sar,
        field_order=order,
        deinterlace=order is not None and not keeps,
        said=(
            *_said(stream, rotation, order, keeps, upright, scaled, profile.size),
            *((f"pixels made square, {upright}: MXF holds no others",) if squared else ()),
        ),
    )


def decide_size(rule: SizeRule, upright: Size, interlaced: bool) -> tuple[Size, Size]:
    """(the picture, the whole) in pixels: the same except for `pad`.

    Rounded down: width to even, height to even, and to a multiple of 4 where the proxy has fields (4:2:0 and
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
    """Down to the multiple, and one multiple at least."""
    return max(value - value % multiple, multiple)


def _rotation(stream: VideoStream) -> Rotation:
    if stream.mirrored:
        raise _refused("Its picture is to be shown mirrored, which no profile does: remove the mirroring first.")
    for turn in _TURNS:
        if stream.rotation == turn:
            return turn
    raise _refused("Its picture is to be turned by other than a quarter turn, which no profile does.")


def _field_order(stream: VideoStream, frame: FirstFrame) -> FieldOrder | None:
    """Interlaced where container or decoded picture says so; the order is the decoded picture's, where it tells."""
    if frame.interlaced:
        return "tt" if frame.top_field_first else "bb"
    return _FIRST_DISPLAYED.get(stream.field_order or "")


def _sar(stream: VideoStream, frame: FirstFrame, turned: bool) -> Ratio:
    """The container's word outranks the codec's, as in ffmpeg; nothing said is square."""
    shape = stream.sar or frame.sar or Fraction(1)
    shape = 1 / shape if turned else shape
    return Ratio(num=shape.numerator, den=shape.denominator)


def _said(
    stream: VideoStream,
    rotation: int,
    order: FieldOrder | None,
    keeps: bool,
    upright: Size,
    scaled: Size,
    rule: SizeRule,
) -> list[str]:
    said = []
    if rotation:
        said.append(f"rotation applied: {rotation} degrees clockwise")
    if order is not None and not keeps:
        said.append(f"deinterlaced: one frame for two fields, {'top' if order == 'tt' else 'bottom'} field first")
    if rule.mode == "same" and scaled != upright:
        said.append(f"size rounded down from {upright} to {scaled}")
    if "Frame Cropping" in stream.side_data:
        said.append("clean aperture not applied: the proxy has the whole picture")
    if "Stereo 3D" in stream.side_data:
        said.append("spatial video: the base view only")
    return said


def _refused(message: str) -> SourceUnsupported:
    return SourceUnsupported(message=message, stage="decide")
