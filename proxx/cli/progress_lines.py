"""A running job in plain lines, one when a clip starts and one when it ends; for logs, pipes and dumb terminals."""

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
    """Says start and end of each clip. Like every watcher it never raises: watching must not fail a job."""

    def __init__(self) -> None:
        self._clips = 0
        self._since = time.monotonic_ns()

    def __call__(self, step: Step) -> None:
        match step:
            case ClipStarted(index=index, clips=clips, source=source, frames=frames):
                self._clips, self._since = clips, time.monotonic_ns()
                out(f"[{index + 1}/{clips}] {last_part(source)}: started, {plural(frames, 'frame')}")
            case ClipEnded(index=index, result=result):
                took = duration((time.monotonic_ns() - self._since) // 1_000_000)
                out(f"[{index + 1}/{self._clips}] {last_part(result.source)}: {ending(result)} in {took}")
            case _:
                pass


def ending(result: ClipResult) -> str:
    """`COMPLETED, 75 frames, 1.2 MB, /proxies/A001.mov`, or how it failed."""
    if result.status == "COMPLETED":
        space = size(result.output_size)
        return f"COMPLETED, {plural(result.frames, 'frame')}, {space}, {safe(result.output)}"
    code = result.failure.code if result.failure else ""
    return f"{result.status} {code}".rstrip()
