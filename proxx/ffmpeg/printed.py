"""Reads the lines that ffmpeg and ffprobe print. Pure."""

from __future__ import annotations


def compact_fields(line: bytes) -> dict[bytes, bytes]:
    """Returns the `key=value` pairs of one line of ffprobe's `-of compact=p=0`: `stream_index=0|pts=1|dts=N/A`."""
    return dict(item.partition(b"=")[::2] for item in line.split(b"|"))
