"""Timecode counted a second way, by SMPTE ST 12-1's own rule, to hold the library against. Integers only."""

from __future__ import annotations


def frame_of(hours: int, minutes: int, seconds: int, frames: int, nominal: int, drop: bool) -> int:
    """Frames since midnight. Drop-frame leaves out 2 labels (at 30) a minute, save each tenth minute."""
    left_out = nominal // 15 if drop else 0
    minute = 60 * hours + minutes
    return (60 * minute + seconds) * nominal + frames - left_out * (minute - minute // 10)


def exists(minutes: int, seconds: int, frames: int, nominal: int, drop: bool) -> bool:
    """Whether counting passes this label."""
    return frames < nominal and not (drop and minutes % 10 and seconds == 0 and frames < nominal // 15)


def day(nominal: int, drop: bool) -> int:
    """Frames in 24 hours of labels."""
    return frame_of(24, 0, 0, 0, nominal, drop)
