"""Reads the values and lines that ffmpeg and ffprobe print. Pure."""

from __future__ import annotations


def parse_integer(value: object) -> int | None:
    """Returns the whole number that a JSON value, a text or ASCII bytes hold; None for `N/A` and anything else."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() else None


def compact_fields(line: bytes) -> dict[bytes, bytes]:
    """Returns the `key=value` pairs of one line of ffprobe's `-of compact=p=0`: `stream_index=0|pts=1|dts=N/A`."""
    return dict(item.partition(b"=")[::2] for item in line.split(b"|"))
