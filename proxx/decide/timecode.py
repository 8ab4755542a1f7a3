"""Decides a proxy's timecode: where the source has it, what it counts, and the frame it starts at. Pure.

From here on timecode is a frame number. Labels that cannot exist are refused here, because ffmpeg drops or repairs
them and exits with 0 (measured: 01:01:00;00 became 01:00:59;28).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from proxx.contracts.errors import TimecodeMismatch
from proxx.contracts.measures import DROP_FRAME_RATES, IllegalTimecode, Rate, nearest_standard_rate, parse_timecode
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import TimecodeDecision
from proxx.decide.notes import Note, NoteKind
from proxx.ffmpeg.streams import OtherStream, ProbeResult, VideoStream

ABSENT: Final = TimecodeDecision(
    state="absent", start_frame=None, nominal_fps=None, drop=None, rate=None, origin=None
)
_REMEDY: Final = "Correct the timecode in the file, or leave the file out."  # creation has no proxy and no log yet


def decide_timecode(
    profile: ProfileSpec, probed: ProbeResult, stream: VideoStream, rate: Rate
) -> tuple[TimecodeDecision, int | None, tuple[Note, ...]]:
    """Returns the decision, the proxy's first frame number, and notes. rate: the proxy's.

    Raises TimecodeMismatch if the source's label cannot exist.
    """
    reading = read_label(probed, stream)
    if reading is None:
        return _without(profile, rate)
    label, origin, counted = reading
    count = _count_rate(counted, rate)
    try:
        number, drop = parse_timecode(label, count)
    except IllegalTimecode as error:
        raise TimecodeMismatch(
            message=f"Its timecode cannot be used: {error}.", stage="decide", remedy=_REMEDY
        ) from error
    times = rate.fraction / count.fraction
    if times.denominator == 1:
        notes = (_recounted_note(count, rate),) if times != 1 else ()
        return _present(number, count, drop, origin), number * times.numerator, notes
    return _recounted(label, number, drop, count, rate, origin)


def read_label(probed: ProbeResult, stream: VideoStream) -> tuple[str, str, Fraction | None] | None:
    """Returns (label, where it was read, labels a second if the file declares it) of the picked picture, or None.

    The label is the picture's own tag, which in MOV is its tmcd track's; else that of the only tmcd track; else the
    container's. With several pictures a label that belongs to no stream is not used.
    """
    clocks = [other for other in probed.others if other.tagged("timecode") is not None]
    own = stream.tagged("timecode")
    if own is not None:
        clock = next((clock for clock in clocks if clock.tagged("timecode") == own), None)
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
    """Returns the rate that labels count by: the picture's if both count alike (24 and 24000/1001), else its own."""
    own = nearest_standard_rate(counted) if counted is not None else None
    return rate if own is None or own.nominal == rate.nominal else own


def _recounted(
    label: str, number: int, drop: bool, count: Rate, rate: Rate, origin: str
) -> tuple[TimecodeDecision, int, tuple[Note, ...]]:
    """Returns the timecode at a rate that is no multiple: hours to seconds stay, frames are scaled, rounded down."""
    if drop and (rate not in DROP_FRAME_RATES or count.nominal % rate.nominal):
        raise TimecodeMismatch(
            message=f"Its timecode {label} is drop-frame at {count}, which cannot be counted at {rate}.",
            stage="decide",
            remedy=_REMEDY,
        )
    seconds, frames = divmod(number, count.nominal)
    scaled = seconds * rate.nominal + frames * rate.nominal // count.nominal
    if drop:  # twice the rate drops twice the labels, so frame numbers are proportional
        scaled = number * rate.nominal // count.nominal
    return _present(scaled, rate, drop, f"{origin} counted at {count}"), scaled, (_recounted_note(count, rate),)


def _recounted_note(count: Rate, rate: Rate) -> Note:
    return Note(NoteKind.TIMECODE_RECOUNTED, f"timecode counted at {count} in the source, at {rate} in the proxy")


def _without(profile: ProfileSpec, rate: Rate) -> tuple[TimecodeDecision, int | None, tuple[Note, ...]]:
    if profile.timecode.missing == "zero":
        note = Note(NoteKind.TIMECODE_ADDED, "no timecode in the source: the profile sets 00:00:00:00")
        return _present(0, rate, False, "profile zero"), 0, (note,)
    if profile.container == "mxf":  # measured: ffmpeg's MXF always has a timecode
        note = Note(NoteKind.TIMECODE_ADDED, "no timecode in the source: 00:00:00:00, because MXF must have one")
        return _present(0, rate, False, "mxf zero"), 0, (note,)
    return ABSENT, None, ()


def _present(number: int, rate: Rate, drop: bool, origin: str) -> TimecodeDecision:
    return TimecodeDecision(
        state="present", start_frame=number, nominal_fps=rate.nominal, drop=drop, rate=rate, origin=origin
    )
