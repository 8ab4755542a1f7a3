"""What a watcher is told while a job runs, for bars and plain lines: frames, never part of any log or result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from proxx.contracts.result import ClipResult


@dataclass(frozen=True)
class ClipStarted:
    """index from 0, of `clips`; frames: what the proxy will have."""

    index: int
    clips: int
    source: str
    frames: int


@dataclass(frozen=True)
class ClipProgress:
    """Frames written so far; fps and speed in thousandths, None while ffmpeg does not say."""

    index: int
    frame: int
    fps_milli: int | None
    speed_milli: int | None


@dataclass(frozen=True)
class ClipStage:
    """What happens to the clip now: `fetch` (a source in object storage), `encode`, `verify`, `publish`."""

    index: int
    stage: str


@dataclass(frozen=True)
class ClipEnded:
    index: int
    result: ClipResult


Step: TypeAlias = ClipStarted | ClipProgress | ClipStage | ClipEnded
Watcher: TypeAlias = Callable[[Step], None]


def silent(_: Step) -> None:
    """A watcher that tells nobody."""


class Stopwatch:
    """When something began (RFC 3339, UTC) and how many milliseconds ago; for envelopes only."""

    def __init__(self) -> None:
        self.started = now()
        self._since = time.monotonic_ns()

    @property
    def elapsed_ms(self) -> int:
        return (time.monotonic_ns() - self._since) // 1_000_000


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
