"""Turns a recipe into ffmpeg's picture and sound filters, in order, as data. Pure.

ffmpeg inserts no filter itself (`-noauto_conversion_filters`): every conversion is listed here. Arithmetic on picture
and sound is in integers, so that it is the same on every CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from proxx.contracts.job import Clip
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import AudioTrack, ColourValue, Recipe

Filter: TypeAlias = tuple[str, dict[str, str]]

# The scale filter's name for each colour matrix; RGB has none.
MATRICES: Final = {
    "bt709": "bt709",
    "fcc": "fcc",
    "bt470bg": "bt470",
    "smpte170m": "smpte170m",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
    "gbr": None,
}
UPRIGHT: Final = {90: "clock", 270: "cclock"}
# Side data that is dropped from every proxy; with hdr `keep`, side data that describes light stays.
DROPPED_SIDE_DATA: Final = ("DISPLAYMATRIX", "STEREO3D", "SPHERICAL", "A53_CC", "GOP_TIMECODE", "S12M_TIMECOD")
SAMPLES_OF: Final = {"pcm_s16le": "s16", "pcm_s24le": "s32", "aac": "fltp"}


def picture_filters(profile: ProfileSpec, clip: Clip) -> Iterator[Filter]:
    """Yields the filters that turn the decoder's frames into the encoder's."""
    recipe, interlaced = clip.recipe, clip.expect.scan == "interlaced"
    yield "setpts", {"expr": "PTS-STARTPTS"}
    if recipe.conform.mode == "cfr":
        rounding = {"round": recipe.conform.round, "start_time": "0", "eof_action": "round"}
        yield "fps", {"fps": str(recipe.conform.rate), **rounding}
    if recipe.deinterlace:
        # bwdif reads planes only: converts packed and RGB frames and changes no others.
        yield "scale", {"flags": profile.video.scaler, "interl": "1"}
        parity = "bff" if recipe.field_order == "bb" else "tff"
        yield "bwdif", {"mode": "send_frame", "parity": parity, "deint": "all"}
    yield from _crop(recipe)
    yield from _to_size(profile, recipe, interlaced)
    yield from _pad(recipe, interlaced)
    yield "setsar", {"sar": f"{clip.expect.sar.num}/{clip.expect.sar.den}", "max": "65535"}
    yield "setfield", {"mode": {"tt": "tff", "bb": "bff"}[clip.expect.field_order or "tt"] if interlaced else "prog"}
    colour = recipe.colour_out
    yield (
        "setparams",
        {
            "range": colour.range.value,
            "color_primaries": colour.primaries.value,
            "color_trc": colour.transfer.value,
            "colorspace": colour.matrix.value,
        },
    )
    yield from _side_data(recipe)


def _crop(recipe: Recipe) -> Iterator[Filter]:
    crop = recipe.crop
    across, down = crop.left + crop.right, crop.top + crop.bottom
    if across or down:
        sides = {"x": str(crop.left), "y": str(crop.top)}
        yield "crop", {"w": f"iw-{across}", "h": f"ih-{down}", **sides, "exact": "1"}


def _to_size(profile: ProfileSpec, recipe: Recipe, interlaced: bool) -> Iterator[Filter]:
    """Scales, converts and turns. A quarter turn goes through 4:4:4, because it swaps the directions of chroma."""
    size, format_ = recipe.scaled, profile.video.pixel_format
    colours = {
        "in_range": recipe.colour_in.range.value,
        "out_range": recipe.colour_out.range.value,
        **_matrix("in_color_matrix", recipe.colour_in.matrix),
        **_matrix("out_color_matrix", recipe.colour_out.matrix),
    }
    common = {"flags": profile.video.scaler, "interl": "1" if interlaced else "0"}
    if recipe.rotation in UPRIGHT:
        full = "yuv444p10le" if profile.video.bits == 10 else "yuv444p"
        yield "scale", {"w": str(size.height), "h": str(size.width), **colours, **common}
        yield "format", {"pix_fmts": full}
        yield "transpose", {"dir": UPRIGHT[recipe.rotation], "passthrough": "none"}
        same = {"in_range": colours["out_range"], "out_range": colours["out_range"]}
        matrix = recipe.colour_out.matrix
        same |= _matrix("in_color_matrix", matrix) | _matrix("out_color_matrix", matrix)
        yield "scale", {"w": str(size.width), "h": str(size.height), **same, **common}
    else:
        yield "scale", {"w": str(size.width), "h": str(size.height), **colours, **common}
    yield "format", {"pix_fmts": format_}
    if recipe.rotation == 180:
        yield "hflip", {}
        yield "vflip", {}


def _matrix(option: str, colour: ColourValue) -> dict[str, str]:
    name = MATRICES.get(colour.value, colour.value)
    return {option: name} if name else {}


def _pad(recipe: Recipe, interlaced: bool) -> Iterator[Filter]:
    inner, outer = recipe.scaled, recipe.size
    if inner != outer:
        step = 4 if interlaced else 2  # so that the picture starts on a whole chroma sample of the same field
        left = (outer.width - inner.width) // 4 * 2
        top = (outer.height - inner.height) // (2 * step) * step
        sides = {"x": str(left), "y": str(top), "color": "black"}
        yield "pad", {"width": str(outer.width), "height": str(outer.height), **sides}


def _side_data(recipe: Recipe) -> Iterator[Filter]:
    if recipe.hdr == "drop":
        yield "sidedata", {"mode": "delete"}
    else:
        for kind in DROPPED_SIDE_DATA:
            yield "sidedata", {"mode": "delete", "type": kind}


# --- sound -----------------------------------------------------------------------------------------------


PLANES: Final = {"internal_sample_fmt": "s32p", "osf": "s32p"}
PLANAR: Final[Filter] = ("aresample", PLANES)
"""The first filter of every decoded sound stream: 32-bit planes, whatever format the decoder gives."""


def sound_stream(recipe: Recipe, index: int) -> int:
    """Returns the source stream of a sound track. Raises ValueError if its channels come from several streams."""
    streams = {pick.stream for pick in recipe.audio[index].map}
    if len(streams) != 1:
        raise ValueError(f"recipe.audio[{index}]: this version makes a track from one source stream only")
    return streams.pop()


def sound_filters(recipe: Recipe, index: int, samples: int) -> Iterator[Filter]:
    """Yields the filters from planes to the encoder: exactly `samples` per channel, starting with the first frame.

    Time stamps are dropped at once: from then on a track is a count of samples.
    """
    track, offset = recipe.audio[index], recipe.audio_offset[index]
    picks = "|".join(str(pick.channel) for pick in track.map)
    yield "channelmap", {"map": picks, "channel_layout": _layout(track)}  # moves whole planes, computes no sample
    yield "aresample", {"osr": str(track.rate), **PLANES}
    yield "asetpts", {"expr": "N/SR/TB"}
    if offset > 0:
        yield "adelay", {"delays": f"{offset}S", "all": "1"}
    if offset < 0:
        yield "atrim", {"start_sample": str(-offset)}
        yield "asetpts", {"expr": "N/SR/TB"}
    yield "apad", {"whole_len": str(samples)}
    yield "atrim", {"end_sample": str(samples)}
    yield "aresample", {"internal_sample_fmt": "s32p", "osf": SAMPLES_OF[track.codec]}


def _layout(track: AudioTrack) -> str:
    """Returns ffmpeg's name of the channel layout; `8C` is eight unlabelled channels (`8c` is guessed as 7.1)."""
    count = len(track.map)
    if track.layout == "discrete":
        return "mono" if count == 1 else f"{count}C"
    return track.layout
