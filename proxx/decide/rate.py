"""Decides the proxy's frame rate and exact number of frames from the source's packet table. Pure.

The rate is always one that an editing timeline can have (`measures.STANDARD_RATES`). If every time stamp lies within
half a frame of that rate's grid, each frame is kept and put on the grid. If not, the clip is conformed: frames are
repeated or dropped to hold a nominal rate, never the average, and a note reports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from proxx.contracts.errors import SourceUnsupported
from proxx.contracts.measures import STANDARD_RATES, Rate, nearest_integer, nearest_standard_rate
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import Conform
from proxx.decide.notes import Note, NoteKind
from proxx.ffmpeg.packets import largest_deviation, repeated_pts
from proxx.ffmpeg.streams import VideoPackets, VideoStream


@dataclass(frozen=True, kw_only=True)
class RateDecision:
    """The rule for time stamps, and the number of frames that the proxy then displays."""

    conform: Conform
    output_frames: int
    notes: tuple[Note, ...] = ()


def decide_rate(profile: ProfileSpec, stream: VideoStream, table: VideoPackets) -> RateDecision:
    """Returns the rate of the proxy. Raises SourceUnsupported if the profile does not write that rate."""
    rate = _steady_rate(stream, table)
    if rate is not None:
        _require_writable(profile, rate)
        exact = table.without_pts == 0 and largest_deviation(table, rate.fraction) == 0
        conform = Conform(mode="none" if exact else "retime", rate=rate, round="near")
        return RateDecision(conform=conform, output_frames=table.frames)
    if table.without_pts:
        raise SourceUnsupported(
            message="Its frames have neither time stamps nor a standard frame rate.", stage="decide"
        )
    rate = _nominal_rate(profile, stream, table)
    _require_writable(profile, rate)
    frames = conformed_frames(table, rate)
    return RateDecision(
        conform=Conform(mode="cfr", rate=rate, round="near"),
        output_frames=frames,
        notes=(
            Note(
                NoteKind.CONFORMED,
                f"variable frame rate made constant: {table.frames} frames become {frames} at {rate} frames a "
                "second; frames are repeated or dropped",
            ),
        ),
    )


def conformed_frames(table: VideoPackets, rate: Rate) -> int:
    """Returns how many frames `fps=R:round=near:start_time=0:eof_action=round` gives for these time stamps.

    libavfilter/vf_fps.c: each frame starts at its time rounded to the output grid, halves upward, and lasts until the
    next one starts; the end of the last frame is rounded the same way. The tests compare this with ffmpeg.
    """
    if not table.pts or table.end is None:
        return 0
    last = table.pts[-1] - table.pts[0]
    end = max(table.end, table.pts[-1]) - table.pts[0]
    scale = table.time_base * rate.fraction
    return max(nearest_integer(end * scale), nearest_integer(last * scale), 1)


def _steady_rate(stream: VideoStream, table: VideoPackets) -> Rate | None:
    """Returns the standard rate on whose grid all frames lie, each in its own place, or None.

    Tries in this order: the rate that the file declares, its average, the rate of its time stamps. Field-coded
    streams declare the rate of their fields (Sony AVCHD: 50 for 25), so the first one may not fit.
    """
    measured = [stream.nominal_rate, stream.average_rate]
    if len(table.pts) > 1 and table.pts[-1] > table.pts[0]:
        measured.append(Fraction(len(table.pts) - 1) / ((table.pts[-1] - table.pts[0]) * table.time_base))
    if stream.interlaced or len(table.pts) == 1:  # one frame fits every grid; the average counts frames
        measured[:2] = measured[1::-1]
    for value in measured:
        rate = nearest_standard_rate(value) if value is not None else None
        if rate is None:
            continue
        if table.without_pts or (repeated_pts(table) == 0 and largest_deviation(table, rate.fraction) * 2 < 1):
            return rate
    return None


def _nominal_rate(profile: ProfileSpec, stream: VideoStream, table: VideoPackets) -> Rate:
    """Returns the rate that a clip of variable rate is conformed to.

    It is the declared rate if that is a standard rate no more than twice the median rate of the frames. Otherwise it
    is the standard rate (of those the profile writes) nearest in ratio to the median distance between frames, the
    lower of two equally near: phones and screen recorders declare time bases of 600 or 57600, which mean nothing.
    """
    median = _median_rate(table)
    named = nearest_standard_rate(stream.nominal_rate) if stream.nominal_rate is not None else None
    if named is not None and named.fraction <= 2 * median:
        return named
    writable = [rate for rate in STANDARD_RATES if not profile.rates or str(rate) in profile.rates]
    if not writable:
        raise SourceUnsupported(message="The profile writes no standard frame rate.", stage="decide")
    return min(writable, key=lambda rate: (_ratio(rate.fraction, median), rate.fraction))


def _median_rate(table: VideoPackets) -> Fraction:
    """Returns frames a second by the median distance between two frames, or by the length of an only frame."""
    steps = sorted(b - a for a, b in pairwise(table.pts) if b > a)
    step = steps[len(steps) // 2] if steps else (table.end or 0) - table.pts[0]
    return 1 / (max(step, 1) * table.time_base)


def _ratio(first: Fraction, second: Fraction) -> Fraction:
    return max(first / second, second / first)


def _require_writable(profile: ProfileSpec, rate: Rate) -> None:
    if profile.rates and str(rate) not in profile.rates:
        raise SourceUnsupported(
            message=f"Profile {profile.name} does not write its frame rate, {rate}, only {', '.join(profile.rates)}: "
            "choose a MOV profile.",
            stage="decide",
        )
