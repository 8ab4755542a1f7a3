"""Reads what a running ffmpeg prints, as it arrives: splits it into lines and parses progress reports. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxx.contracts.measures import parse_integer

LINE_LIMIT: Final = 1 << 20  # bytes; a longer line is dropped and `lost` set


@dataclass(frozen=True, kw_only=True)
class EncodeProgress:
    """One report of ffmpeg's `-progress pipe:1`. fps and speed in thousandths; None where ffmpeg prints N/A."""

    frame: int
    out_time_us: int | None
    fps_milli: int | None
    speed_milli: int | None
    done: bool


class ProgressReader:
    """Collects `key=value` lines into reports; a `progress=` line completes each one."""

    def __init__(self, on_progress: Callable[[EncodeProgress], None]) -> None:
        self._on_progress = on_progress
        self._fields: dict[str, str] = {}

    def line(self, line: bytes) -> None:
        key, equals, value = line.decode("utf-8", "replace").partition("=")
        if not equals:
            return
        self._fields[key.strip()] = value.strip()
        if key.strip() == "progress":
            fields, self._fields = self._fields, {}
            self._on_progress(
                EncodeProgress(
                    frame=parse_integer(fields.get("frame")) or 0,
                    out_time_us=parse_integer(fields.get("out_time_us")),
                    fps_milli=_milli(fields.get("fps", "")),
                    speed_milli=_milli(fields.get("speed", "").removesuffix("x")),
                    done=fields["progress"] == "end",
                )
            )


class LineSplitter:
    """Splits a stream of bytes into lines, keeping at most LINE_LIMIT bytes. lost: whether a line was too long."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._skipping = False
        self.lost = False

    def feed(self, data: bytes) -> None:
        *complete, rest = (self._rest + data).split(b"\n")
        for line in complete:
            if not self._skipping:
                self._on_line(line.removesuffix(b"\r"))
            self._skipping = False
        if len(rest) > LINE_LIMIT:
            rest, self._skipping, self.lost = b"", True, True
        self._rest = rest

    def end(self) -> None:
        if self._rest and not self._skipping:
            self._on_line(self._rest)


def _milli(text: str) -> int | None:
    """Returns 23980 for `23.98`; None for `1.2e+03` and N/A."""
    whole, _, part = text.strip().partition(".")
    if not whole.isdigit() or (part and not part.isdigit()):
        return None
    return int(whole) * 1000 + int(part[:3].ljust(3, "0"))
