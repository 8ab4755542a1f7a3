"""Timecode counted a second time, by the rule of SMPTE ST 12-1, to check the library. Integers only."""

from __future__ import annotations


def frame_of(hours: int, minutes: int, seconds: int, frames: int, nominal: int, drop: bool) -> int:
    """Frames since midnight. Drop-frame skips 2 labels (at 30) a minute, except in every tenth minute."""
    skipped = nominal // 15 if drop else 0
    minute = 60 * hours + minutes
    return (60 * minute + seconds) * nominal + frames - skipped * (minute - minute // 10)


def exists(minutes: int, seconds: int, frames: int, nominal: int, drop: bool) -> bool:
    """Returns whether this label exists."""
    return frames < nominal and not (drop and minutes % 10 and seconds == 0 and frames < nominal // 15)


def day(nominal: int, drop: bool) -> int:
    """Frames in 24 hours of labels."""
    return frame_of(24, 0, 0, 0, nominal, drop)
