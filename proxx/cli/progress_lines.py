"""Progress of a job in plain lines, for logs, pipes and dumb terminals."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from proxx.console.output import out
from proxx.console.wording import duration, last_part, plural, safe, size
from proxx.contracts.result import ClipResult
from proxx.engine.steps import ClipEnded, ClipStarted, Step

Watch: TypeAlias = Callable[[Step], None]


class ProgressLines:
    """Prints a line when a clip starts and one when it ends. Never raises: watching must not fail a job."""

    def __init__(self) -> None:
        self._clip_count = 0
        self._started = time.monotonic_ns()

    def __call__(self, step: Step) -> None:
        match step:
            case ClipStarted(index=index, clips=clips, source=source, frames=frames):
                self._clip_count, self._started = clips, time.monotonic_ns()
                out(f"[{index + 1}/{clips}] {last_part(source)}: started, {plural(frames, 'frame')}")
            case ClipEnded(index=index, result=result):
                took = duration((time.monotonic_ns() - self._started) // 1_000_000)
                out(f"[{index + 1}/{self._clip_count}] {last_part(result.source)}: {ending(result)} in {took}")
            case _:
                pass


def ending(result: ClipResult) -> str:
    """Returns `COMPLETED, 75 frames, 1.2 MB, /proxies/A001.mov`, or the status and the failure's code."""
    if result.status == "COMPLETED":
        space = size(result.output_size)
        return f"COMPLETED, {plural(result.frames, 'frame')}, {space}, {safe(result.output)}"
    code = result.failure.code if result.failure else ""
    return f"{result.status} {code}".rstrip()
