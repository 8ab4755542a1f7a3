"""Rates, sizes and timecode as values made of integers and fractions, never of floats.

Timecode arithmetic is that of the `timecode` library (SMPTE ST 12-1). Whether a label is legal is checked here,
because ffmpeg drops or repairs illegal labels and still exits with 0 (measured, 8.1.2).
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final, Self

from pydantic import Field, model_validator
from timecode.timecode import Timecode

from proxx.contracts.model import Contract


class _Fraction(Contract):
    num: int = Field(gt=0)
    den: int = Field(gt=0)

    @model_validator(mode="after")
    def _lowest_terms(self) -> Self:
        if math.gcd(self.num, self.den) != 1:
            raise ValueError(f"{self.num}/{self.den} is not in lowest terms")
        return self


class Rate(_Fraction):
    """Frames a second as a fraction in lowest terms."""

    @classmethod
    def of(cls, value: Fraction | int) -> Rate:
        """Returns the rate of a fraction or a whole number of frames a second."""
        exact = Fraction(value)
        return cls(num=exact.numerator, den=exact.denominator)

    @property
    def fraction(self) -> Fraction:
        return Fraction(self.num, self.den)

    @property
    def nominal(self) -> int:
        """The whole number that timecode counts by: 24000/1001 → 24, 30000/1001 → 30 (SMPTE ST 12-1)."""
        return math.ceil(self.fraction)

    def __str__(self) -> str:
        return f"{self.num}/{self.den}" if self.den != 1 else str(self.num)


class Ratio(_Fraction):
    """A ratio of two whole numbers, for instance a sample aspect ratio, in lowest terms."""

    def __str__(self) -> str:
        return f"{self.num}:{self.den}"


class Size(Contract):
    """Pixels."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def nearest_integer(value: Fraction) -> int:
    """Rounds to the nearest whole number, halves upward, also below zero (AV_ROUND_NEAR_INF where not negative)."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


_INTEGER: Final = re.compile(r"-?[0-9]+")


def parse_integer(value: object) -> int | None:
    """Returns the whole number in a JSON value, a text or ASCII bytes (`25`, `-1`); None for anything else."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return int(text) if _INTEGER.fullmatch(text) else None


def _rates(*values: Fraction | int) -> tuple[Rate, ...]:
    return tuple(Rate.of(value) for value in values)


N: Final = 1000
D: Final = 1001
STANDARD_RATES: Final = _rates(
    Fraction(24 * N, D),
    24,
    25,
    Fraction(30 * N, D),
    30,
    Fraction(48 * N, D),
    48,
    50,
    Fraction(60 * N, D),
    60,
    100,
    Fraction(120 * N, D),
    120,
)
"""The rates that an editing timeline can have. All others are conformed, with a note."""

DROP_FRAME_RATES: Final = _rates(Fraction(30 * N, D), Fraction(60 * N, D), Fraction(120 * N, D))
"""The only rates at which drop-frame counting is defined (SMPTE ST 12-1, and ST 12-3 above 30)."""

SNAP: Final = Fraction(2, 10_000)
"""A measured rate within 0.02 % of a standard rate counts as that rate: NTSC's 0.1 % is five times further away."""


def nearest_standard_rate(value: Fraction) -> Rate | None:
    """Returns the standard rate within 0.02 % of `value` (frames a second), or None."""
    for rate in STANDARD_RATES:
        if abs(value / rate.fraction - 1) <= SNAP:
            return rate
    return None


class IllegalTimecode(ValueError):
    """The label cannot exist at this rate: a dropped label, a frame number too high, no drop-frame rate."""


_LABEL: Final = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.,])(\d\d\d?)", re.ASCII)


def _counter(rate: Rate, drop: bool) -> str:
    """Returns the library's name for counting labels at `rate`. Raises IllegalTimecode."""
    if not drop:
        return str(rate.nominal)
    if rate not in DROP_FRAME_RATES:
        raise IllegalTimecode(f"drop-frame timecode does not exist at {rate} frames a second")
    return {30: "29.97", 60: "59.94", 120: "119.88"}[rate.nominal]


def parse_timecode(label: str, rate: Rate) -> tuple[int, bool]:
    """Returns (frame number since 00:00:00:00, drop-frame) of a label such as `01:00:00;02`. Raises IllegalTimecode.

    `;`, `.` or `,` before the frames means drop-frame and `:` does not, as ffmpeg and QuickTime write it. Frames have
    three digits only above 100 frames a second.
    """
    match = _LABEL.fullmatch(label)
    if not match:
        raise IllegalTimecode(f"{label!r} is not a timecode")
    drop = match[4] != ":"
    hours, frames = int(match[1]), int(match[5])
    if hours > 23 or frames >= rate.nominal or (len(match[5]) > 2 and rate.nominal <= 100):
        raise IllegalTimecode(f"{label!r} does not exist at {rate} frames a second")
    plain = f"{match[1]}:{match[2]}:{match[3]}{';' if drop else ':'}{frames:02d}"
    number = int(Timecode(_counter(rate, drop), plain).frames) - 1
    if timecode_label(number, rate, drop) != plain:
        raise IllegalTimecode(f"{label!r} is a label that drop-frame counting skips")
    return number, drop


def timecode_label(start_frame: int, rate: Rate, drop: bool) -> str:
    """Returns the label of a frame number since midnight; after 24 hours it restarts at 00:00:00:00."""
    hours, minutes, seconds, frames = Timecode(_counter(rate, drop), frames=start_frame + 1).frames_to_tc(
        start_frame + 1
    )
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if drop else ':'}{int(frames):02d}"
