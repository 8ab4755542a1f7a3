"""A running job on a terminal: a bar for each clip and one for the whole, drawn by rich on standard error.

Drawn only when the engine tells something, in its own thread: no clock, no lock, nothing that outlives it. A clip
that ended stays above as a line, so that a thousand clips need no taller window than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from proxx.cli.progress_lines import ending
from proxx.console.wording import duration, last_part, plural, thousandths
from proxx.engine.steps import ClipEnded, ClipProgress, ClipStage, ClipStarted, Step


class JobBars:
    """frames: what each clip's proxy will have, by its index.

    Never raises: a terminal that went away must not fail a job.
    """

    def __init__(self, frames: Mapping[int, int], console: Console | None = None) -> None:
        self._frames = dict(frames)
        self._sum = sum(frames.values())
        self._progress = Progress(
            TextColumn("{task.fields[label]}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}", markup=False, justify="right"),
            TextColumn("{task.fields[pace]}", markup=False, justify="right"),
            TextColumn("{task.fields[left]}", markup=False, justify="right"),
            console=console or Console(stderr=True, markup=False, emoji=False, highlight=False),
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._clips = len(self._frames)
        self._done = 0
        self._began = self._clip_began = time.monotonic_ns()
        self._total: TaskID | None = None
        self._clip: TaskID | None = None
        self._gone = False

    def __enter__(self) -> Self:
        self._try(self._open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, ValueError):
            self._progress.stop()

    def __call__(self, step: Step) -> None:
        self._try(lambda: self._show(step))

    def _try(self, draw: Callable[[], None]) -> None:
        if self._gone:
            return
        try:
            draw()
        except (OSError, ValueError):  # the terminal was closed
            self._gone = True

    def _open(self) -> None:
        self._progress.start()
        self._whole(0)
        self._progress.refresh()

    def _show(self, step: Step) -> None:
        match step:
            case ClipStarted(index=index, clips=clips, source=source, frames=frames):
                self._clips, self._clip_began = clips, time.monotonic_ns()
                label = f"[{index + 1}/{clips}] {last_part(source)}"
                self._clip = self._progress.add_task("", total=frames, label=label, count="", pace="", left="")
                if self._total is not None:  # drawn in the order of their making: the whole goes below
                    self._progress.remove_task(self._total)
                    self._total = None
                self._whole(0)
            case ClipProgress(frame=frame, fps_milli=fps, speed_milli=speed):
                self._advance(frame, fps, speed)
            case ClipStage(stage=stage) if self._clip is not None and stage != "encode":
                self._progress.update(self._clip, pace=f"{stage} ...", left="")
            case ClipEnded(index=index, result=result):
                took = duration((time.monotonic_ns() - self._clip_began) // 1_000_000)
                line = f"[{index + 1}/{self._clips}] {last_part(result.source)}: {ending(result)} in {took}"
                style = "green" if result.status == "COMPLETED" else "bold red"
                self._progress.console.print(Text(line, style=style), soft_wrap=True)
                if self._clip is not None:
                    self._progress.remove_task(self._clip)
                self._clip = None
                self._done += self._frames[index]
                self._whole(0)
            case _:
                pass
        self._progress.refresh()

    def _advance(self, frame: int, fps: int | None, speed: int | None) -> None:
        if self._clip is None:
            return
        task = next(task for task in self._progress.tasks if task.id == self._clip)
        total = int(task.total or 0)
        if not fps:  # ffmpeg does not say at first
            fps = frame * 10**12 // max(1, time.monotonic_ns() - self._clip_began)
        pace = f"{thousandths(fps)} frames/s" if fps else ""
        pace += f"  {thousandths(speed)}x" if speed else ""
        left = f"{duration(max(0, total - frame) * 1_000_000 // fps)} left" if fps else ""
        self._progress.update(
            self._clip, completed=min(frame, total), count=f"{frame:,}/{total:,}", pace=pace, left=left
        )
        self._whole(frame)

    def _whole(self, frame: int) -> None:
        if self._total is None:
            label = f"all {plural(len(self._frames), 'clip')}"
            self._total = self._progress.add_task("", total=self._sum, label=label, count="", pace="", left="")
        done, total = self._done + frame, self._sum
        spent = (time.monotonic_ns() - self._began) // 1_000_000
        pace = f"{thousandths(done * 1_000_000 // spent)} frames/s" if done and spent else ""
        left = f"{duration((total - done) * spent // done)} left" if done and done < total else ""
        self._progress.update(
            self._total, completed=min(done, total), count=f"{done:,}/{total:,}", pace=pace, left=left
        )
