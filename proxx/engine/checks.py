"""Compares a proxy with what its spec expects, and decides which failure a difference is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from sys import intern
from typing import Final

from proxx.contracts.error_bases import ClipFailure
from proxx.contracts.errors import AudioMismatch, DecodeFailed, FormatMismatch, FramesMismatch, TimecodeMismatch
from proxx.contracts.job import Clip
from proxx.contracts.measures import IllegalTimecode, Rate, parse_timecode
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import AudioTrack
from proxx.contracts.result import Check
from proxx.ffmpeg.command import proxy_label
from proxx.ffmpeg.encode_log import EncodeEvidence
from proxx.ffmpeg.languages import carried_language
from proxx.ffmpeg.proxy_probe import ProxyContents, ProxyPicture, ProxySound

NONE: Final = "none"
CONTAINERS: Final = {"mov": "mov", "mp4": "mov", "mxf": "mxf"}  # ffprobe reads MOV and MP4 with one demuxer
STORED_ORDER: Final = {"tt": "tb", "bb": "bt"}  # display order: ProRes stores both fields in one picture
X264_NOTE: Final = "H.26[45] User Data Unregistered SEI message"  # x264 writes its name and settings there

# The first word of a check's name, and the failure if such a check differs. The first that differs counts.
FAILURES: Final[tuple[tuple[str, type[ClipFailure]], ...]] = (
    ("decode", DecodeFailed),
    ("frames", FramesMismatch),
    ("audio", AudioMismatch),
    ("timecode", TimecodeMismatch),
    ("format", FormatMismatch),
)


def compare_with_expectation(
    profile: ProfileSpec, clip: Clip, encoded: EncodeEvidence, actual: ProxyContents
) -> tuple[Check, ...]:
    """Returns every comparison, equal or not, in a fixed order."""
    return tuple(
        # interned: the clips of a job repeat the same texts a thousand times
        Check(name=intern(name), expected=intern(str(expected)), found=intern(str(found)))
        for name, expected, found in _all(profile, clip, encoded, actual)
    )


def failure_of_checks(checks: tuple[Check, ...]) -> ClipFailure | None:
    """Returns the failure, or None if everything is equal. Its message names each difference of its kind."""
    for kind, failure in FAILURES:
        wrong = [check for check in checks if not check.equal and check.name.split(".")[0] == kind]
        if wrong:
            message = "; ".join(f"{check.name}: expected {check.expected}, found {check.found}" for check in wrong)
            return failure(message=message, stage="verify")
    return None


Comparison = tuple[str, object, object]


def _all(profile: ProfileSpec, clip: Clip, encoded: EncodeEvidence, actual: ProxyContents) -> Iterator[Comparison]:
    yield from _decoding(clip, encoded)
    yield from _frames(clip, encoded, actual)
    yield from _audio(profile, clip, encoded, actual)
    yield from _timecode(clip, actual)
    yield from _format(profile, clip, actual)


def _decoding(clip: Clip, encoded: EncodeEvidence) -> Iterator[Comparison]:
    """Yields the decode errors: none may occur. If damage was accepted, only the exact frame count is checked."""
    if clip.recipe.decode_errors == "refuse":
        yield "decode.errors", 0, sum(read.errors for read in encoded.read.values())
        yield "decode.corrupt_packets", 0, encoded.corrupt_packets
        yield "decode.corrupt_frames", 0, encoded.corrupt_frames


def _frames(clip: Clip, encoded: EncodeEvidence, actual: ProxyContents) -> Iterator[Comparison]:
    expect, read, written = clip.expect, encoded.read.get(clip.recipe.video.stream), encoded.written.get(0)
    yield "frames.source_packets", expect.packets, read.packets if read else NONE
    yield "frames.source_decoded", expect.frames, read.frames if read else NONE
    yield "frames.encoded", expect.output_frames, written.frames if written else NONE
    yield "frames.proxy_decoded", expect.output_frames, _or_none(encoded.looped)
    picture = actual.picture
    yield "frames.proxy_packets", expect.output_frames, picture.packets if picture else NONE
    yield "frames.first", 0, _or_none(picture.start if picture else None)
    yield "frames.even", "yes", "yes" if picture and picture.even else "no"


def _audio(profile: ProfileSpec, clip: Clip, encoded: EncodeEvidence, actual: ProxyContents) -> Iterator[Comparison]:
    tracks = clip.outputs[0].tracks
    yield "audio.tracks", len(tracks), len(actual.sound)
    for position, index in enumerate(tracks):
        track, written = clip.recipe.audio[index], encoded.written.get(position + 1)
        sound = actual.sound[position] if position < len(actual.sound) else None
        name, samples = f"audio.{position}", clip.expect.samples[index]
        yield f"{name}.samples_encoded", samples, _or_none(written.samples if written else None)
        yield f"{name}.samples", samples, _or_none(sound.samples if sound else None)
        yield f"{name}.codec", track.codec, _or_none(sound.codec if sound else None)
        yield f"{name}.rate", track.rate, sound.rate if sound else NONE
        yield f"{name}.channels", len(track.map), sound.channels if sound else NONE
        if profile.container != "mxf":  # MXF carries neither layout nor language
            if len(track.map) > 1:  # MOV does not name the one channel of a mono track
                yield f"{name}.layout", _layout(track), _or_none(sound.layout if sound else None)
            yield f"{name}.language", _or_none(carried_language(profile.container, track.language)), _language(sound)


def _timecode(clip: Clip, actual: ProxyContents) -> Iterator[Comparison]:
    label = proxy_label(clip.recipe.timecode, clip.recipe.conform.rate)
    drop = bool(label and clip.recipe.timecode.drop)
    number = clip.expect.timecode
    yield "timecode.start", NONE if number is None else _counted(number, drop), _start(actual)
    if number is not None:
        yield "timecode.rate", clip.recipe.conform.rate, _rate(actual.timecode_rate)
    yield "timecode.reel", _or_none(clip.expect.reel), _or_none(actual.reel)


def _format(profile: ProfileSpec, clip: Clip, actual: ProxyContents) -> Iterator[Comparison]:
    expect, picture = clip.expect, actual.picture
    yield "format.container", CONTAINERS[profile.container], actual.container.split(",")[0]
    yield "format.other_streams", NONE, ", ".join(actual.others) or NONE
    if picture is None:
        yield "format.picture", "one", NONE
        return
    yield "format.codec", profile.video.codec, _or_none(picture.codec)
    yield "format.profile", profile.video.profile, _or_none(picture.profile)
    yield "format.pixels", profile.video.pixel_format, _or_none(picture.pixel_format)
    yield "format.size", expect.size, f"{picture.width}x{picture.height}"
    yield "format.sar", expect.sar, _ratio(picture.sar)
    yield "format.rate", expect.rate, _rate(picture.rate)
    yield from _scan(profile, clip, picture)
    colour, actual_colour = expect.colour, picture.colour
    yield "format.range", colour.range.value, _or_none(actual_colour.range)
    yield "format.range_of_frame", colour.range.value, _or_none(picture.frame_range)
    yield "format.matrix", colour.matrix.value, _or_none(actual_colour.matrix)
    yield "format.primaries", colour.primaries.value, _or_none(actual_colour.primaries)
    yield "format.transfer", colour.transfer.value, _or_none(actual_colour.transfer)
    side_data = [kind for kind in picture.side_data if kind != X264_NOTE or profile.video.codec != "h264"]
    yield "format.side_data", ", ".join(sorted(expect.side_data)) or NONE, ", ".join(side_data) or NONE


def _scan(profile: ProfileSpec, clip: Clip, picture: ProxyPicture) -> Iterator[Comparison]:
    """Yields the field order in the header of the first frame and in the container."""
    expect = clip.expect
    if expect.scan == "interlaced":
        first = "top first" if expect.field_order == "tt" else "bottom first"
        order = STORED_ORDER[expect.field_order or "tt"]
    else:
        first = order = "progressive"
    header = ("top first" if picture.top_first else "bottom first") if picture.interlaced else "progressive"
    yield "format.fields", first, header
    if profile.video.codec != "dnxhd" or profile.container == "mxf":  # MOV does not carry the field order of DNxHR
        yield "format.field_order", order, _or_none(picture.field_order)


# --- texts -----------------------------------------------------------------------------------------------


def _or_none(value: object) -> object:
    return NONE if value is None else value


def _layout(track: AudioTrack) -> str:
    return NONE if track.layout == "discrete" else track.layout


def _language(sound: ProxySound | None) -> str:
    """Returns the language, or none for `und`, which MP4 carries if no language is set."""
    return sound.language if sound and sound.language and sound.language != "und" else NONE


def _start(actual: ProxyContents) -> str:
    if actual.timecode is None or actual.timecode_rate is None:
        return NONE
    try:
        return _counted(*parse_timecode(actual.timecode, Rate.of(actual.timecode_rate)))
    except IllegalTimecode as error:
        return f"illegal: {error}"


def _counted(number: int, drop: bool) -> str:
    return f"{number} drop-frame" if drop else str(number)


def _rate(rate: Fraction | None) -> str:
    return NONE if rate is None else str(rate)


def _ratio(ratio: Fraction | None) -> str:
    return NONE if ratio is None else f"{ratio.numerator}:{ratio.denominator}"
