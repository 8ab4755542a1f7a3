"""The progress of a running job as a watcher sees it, for bars and plain lines; never part of a log or result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from proxx.contracts.result import ClipResult


@dataclass(frozen=True)
class ClipStarted:
    """A clip begins. index: from 0. clips: how many the job has. frames: how many the proxy will have."""

    index: int
    clips: int
    source: str
    frames: int


@dataclass(frozen=True)
class ClipProgress:
    """A clip advances. frame: frames so far. fps_milli, speed_milli: thousandths, None until ffmpeg reports them."""

    index: int
    frame: int
    fps_milli: int | None
    speed_milli: int | None


@dataclass(frozen=True)
class ClipStage:
    """A clip enters a stage: `fetch` (a source in object storage), `encode`, `verify`, `publish`."""

    index: int
    stage: str


@dataclass(frozen=True)
class ClipEnded:
    """A clip is completed or failed."""

    index: int
    result: ClipResult


Step: TypeAlias = ClipStarted | ClipProgress | ClipStage | ClipEnded
Watcher: TypeAlias = Callable[[Step], None]


def silent(_: Step) -> None:
    """Ignores the step: the watcher of a job that nobody watches."""


class Stopwatch:
    """The start time (RFC 3339, UTC) and the milliseconds since; for envelopes only."""

    def __init__(self) -> None:
        self.started = now()
        self._since = time.monotonic_ns()

    @property
    def elapsed_ms(self) -> int:
        return (time.monotonic_ns() - self._since) // 1_000_000


def now() -> str:
    """Returns the current time, RFC 3339 in UTC with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
