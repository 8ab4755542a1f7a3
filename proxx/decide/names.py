"""What an edit relinks by: timecode, reel, tape, camera roll, clip name. Pure.

Timecode is a frame number from creation on. Labels that cannot exist are refused here, because ffmpeg drops or
repairs them and ends with 0 (measured: 01:01:00;00 became 01:00:59;28).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from proxx.contracts.errors import TimecodeMismatch
from proxx.contracts.measures import DROP_FRAME_RATES, IllegalTimecode, Rate, nearest_standard_rate, parse_timecode
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import NamedValue, Names, TimecodeDecision
from proxx.ffmpeg.streams import OtherStream, ProbeResult, VideoStream

ABSENT: Final = TimecodeDecision(
    state="absent", start_frame=None, nominal_fps=None, drop=None, rate=None, origin=None
)
NO_NAME: Final = NamedValue(value=None, origin=None)

# Tags by which cameras and editors name these, by their last word: `com.apple.proapps.reel` ends in `reel`.
_REEL: Final = ("reel_name", "reelname", "reel")
_TAPE: Final = ("tape", "tape_name", "tapename")
_ROLL: Final = ("camera_roll", "cameraroll", "camera_reel")
_CLIP: Final = ("clip_name", "clipname", "clip")


@dataclass(frozen=True, kw_only=True)
class NamesDecision:
    """What was read; expected_timecode and expected_reel: what the proxy must carry, as its container can."""

    timecode: TimecodeDecision
    names: Names
    expected_timecode: int | None
    expected_reel: str | None
    said: tuple[str, ...]


def decide_names(profile: ProfileSpec, probed: ProbeResult, stream: VideoStream, rate: Rate) -> NamesDecision:
    """rate: the proxy's. Raises TimecodeMismatch where the source's label cannot exist."""
    timecode, number, said = _timecode(profile, probed, stream, rate)
    names = Names(
        reel=_name(probed, stream, _REEL),
        tape=_name(probed, stream, _TAPE),
        camera_roll=_name(probed, stream, _ROLL),
        clip_name=_name(probed, stream, _CLIP),
    )
    reel, cannot = _carried(profile, names.reel.value, timecode)
    return NamesDecision(
        timecode=timecode,
        names=names,
        expected_timecode=number,
        expected_reel=reel,
        said=(*said, *cannot),
    )


# --- timecode --------------------------------------------------------------------------------------------


def _timecode(
    profile: ProfileSpec, probed: ProbeResult, stream: VideoStream, rate: Rate
) -> tuple[TimecodeDecision, int | None, tuple[str, ...]]:
    found = read_label(probed, stream)
    if found is None:
        return _without(profile, rate)
    label, origin, counted = found
    count = _count_rate(counted, rate)
    try:
        number, drop = parse_timecode(label, count)
    except IllegalTimecode as why:
        raise TimecodeMismatch(message=f"Its timecode cannot be used: {why}.", stage="decide") from why
    times = rate.fraction / count.fraction
    if times.denominator == 1:
        said = (f"timecode counted at {count} in the source, at {rate} in the proxy",) if times != 1 else ()
        return _present(number, count, drop, origin), number * times.numerator, said
    return _recounted(label, number, drop, count, rate, origin)


def read_label(probed: ProbeResult, stream: VideoStream) -> tuple[str, str, Fraction | None] | None:
    """(label, where it was read, what it counts by if the file says) of the picked picture; None if none.

    The picture's own tag, which in MOV is its tmcd track's; a tmcd track that is the only one; the container's.
    With several pictures what belongs to no stream is nobody's.
    """
    clocks = [other for other in probed.others if other.tagged("timecode") is not None]
    own = stream.tagged("timecode")
    if own is not None:
        clock = next((one for one in clocks if one.tagged("timecode") == own), None)
        return own, "stream tag" if clock is None else "tmcd", _labels_a_second(clock)
    if len(probed.videos) > 1:
        return None
    if len({clock.tagged("timecode") for clock in clocks}) == 1:
        return clocks[0].tagged("timecode") or "", "tmcd", _labels_a_second(clocks[0])
    whole = next((label for label in probed.labels("timecode") if label.origin == "format"), None)
    if whole is None:
        return None
    return whole.value, "mxf" if probed.container == "mxf" else "format tag", None


def _labels_a_second(clock: OtherStream | None) -> Fraction | None:
    return clock.average_rate if clock is not None else None


def _count_rate(counted: Fraction | None, rate: Rate) -> Rate:
    """What labels count by: the picture's rate where both count alike (24 and 24000/1001), else the clock's own."""
    own = nearest_standard_rate(counted) if counted is not None else None
    return rate if own is None or own.nominal == rate.nominal else own


def _recounted(
    label: str, number: int, drop: bool, count: Rate, rate: Rate, origin: str
) -> tuple[TimecodeDecision, int, tuple[str, ...]]:
    """The same hours, minutes and seconds at a rate that is no multiple: the frames scaled, rounded down."""
    if drop and (rate not in DROP_FRAME_RATES or count.nominal % rate.nominal):
        raise TimecodeMismatch(
            message=f"Its timecode {label} is drop-frame at {count}, which cannot be counted at {rate}.",
            stage="decide",
        )
    seconds, frames = divmod(number, count.nominal)
    scaled = seconds * rate.nominal + frames * rate.nominal // count.nominal
    if drop:  # twice the rate leaves out twice the labels: the frame numbers are in proportion
        scaled = number * rate.nominal // count.nominal
    said = (f"timecode counted at {count} in the source, at {rate} in the proxy",)
    return _present(scaled, rate, drop, f"{origin} counted at {count}"), scaled, said


def _without(profile: ProfileSpec, rate: Rate) -> tuple[TimecodeDecision, int | None, tuple[str, ...]]:
    if profile.timecode.missing == "zero":
        return _present(0, rate, False, "profile zero"), 0, ("no timecode in the source: 00:00:00:00 by the profile",)
    if profile.container == "mxf":  # measured: ffmpeg's MXF always holds a timecode
        return _present(0, rate, False, "mxf zero"), 0, ("no timecode in the source: MXF must have one, 00:00:00:00",)
    return ABSENT, None, ()


def _present(number: int, rate: Rate, drop: bool, origin: str) -> TimecodeDecision:
    return TimecodeDecision(
        state="present", start_frame=number, nominal_fps=rate.nominal, drop=drop, rate=rate, origin=origin
    )


# --- names -----------------------------------------------------------------------------------------------


def _name(probed: ProbeResult, stream: VideoStream, words: tuple[str, ...]) -> NamedValue:
    """The picture's tag, then its clock's and the container's; never another picture's or a sound's."""
    label = stream.tagged("timecode")
    clocks = [
        other for other in probed.others if len(probed.videos) == 1 or (label and other.tagged("timecode") == label)
    ]
    places = [(stream.tags, "stream tag"), *((clock.tags, "tmcd") for clock in clocks), (probed.tags, "format tag")]
    for tags, origin in places:
        for word in words:
            for key, value in sorted(tags.items()):
                if key.casefold().rpartition(".")[2] == word and value.strip():
                    return NamedValue(value=value, origin=origin)
    return NO_NAME


def _carried(
    profile: ProfileSpec, reel: str | None, timecode: TimecodeDecision
) -> tuple[str | None, tuple[str, ...]]:
    """The reel the proxy will have, and what to say where it cannot have it."""
    if reel is None:
        return None, ()
    if profile.reel.carried == "none":
        return None, (f"reel {reel!r} is not carried: {profile.container.upper()} has no place for it",)
    if profile.reel.carried == "stream" and timecode.state == "absent":  # measured: MOV keeps it in the tmcd track
        return None, (f"reel {reel!r} is not carried: MOV keeps it with the timecode, and there is none",)
    return reel, ()
