"""Progress of a job on a terminal: one bar for the current clip and one for the job, drawn by rich on standard error.

Drawn only when the engine reports a step, in the engine's own thread: there is no timer, no lock and no thread to
end. Each finished clip becomes a line above the bars, so a thousand clips need no taller window than one.
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
    """A watcher that draws bars. frames: the frame count of each proxy, by clip index.

    Never raises: a closed terminal must not fail a job.
    """

    def __init__(self, frames: Mapping[int, int], console: Console | None = None) -> None:
        self._frames = dict(frames)
        self._total_frames = sum(frames.values())
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
        self._clip_count = len(self._frames)
        self._done = 0  # frames of finished clips
        self._started = self._clip_started = time.monotonic_ns()
        self._job_task: TaskID | None = None
        self._clip_task: TaskID | None = None
        self._closed = False

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
        if self._closed:
            return
        try:
            draw()
        except (OSError, ValueError):  # the terminal was closed
            self._closed = True

    def _open(self) -> None:
        self._progress.start()
        self._update_job(0)
        self._progress.refresh()

    def _show(self, step: Step) -> None:
        match step:
            case ClipStarted(index=index, clips=clips, source=source, frames=frames):
                self._clip_count, self._clip_started = clips, time.monotonic_ns()
                label = f"[{index + 1}/{clips}] {last_part(source)}"
                self._clip_task = self._progress.add_task("", total=frames, label=label, count="", pace="", left="")
                if self._job_task is not None:  # bars are drawn in the order they are added: the job's goes last
                    self._progress.remove_task(self._job_task)
                    self._job_task = None
                self._update_job(0)
            case ClipProgress(frame=frame, fps_milli=fps, speed_milli=speed):
                self._update_clip(frame, fps, speed)
            case ClipStage(stage=stage) if self._clip_task is not None and stage != "encode":
                self._progress.update(self._clip_task, pace=f"{stage} ...", left="")
            case ClipEnded(index=index, result=result):
                took = duration((time.monotonic_ns() - self._clip_started) // 1_000_000)
                line = f"[{index + 1}/{self._clip_count}] {last_part(result.source)}: {ending(result)} in {took}"
                style = "green" if result.status == "COMPLETED" else "bold red"
                self._progress.console.print(Text(line, style=style), soft_wrap=True)
                if self._clip_task is not None:
                    self._progress.remove_task(self._clip_task)
                self._clip_task = None
                self._done += self._frames[index]
                self._update_job(0)
            case _:
                pass
        self._progress.refresh()

    def _update_clip(self, frame: int, fps: int | None, speed: int | None) -> None:
        """Redraws the clip's bar. fps: thousandths of frames a second; speed: thousandths of real time."""
        if self._clip_task is None:
            return
        task = next(task for task in self._progress.tasks if task.id == self._clip_task)
        total = int(task.total or 0)
        if not fps:  # ffmpeg's first reports have none
            fps = frame * 10**12 // max(1, time.monotonic_ns() - self._clip_started)
        pace = f"{thousandths(fps)} frames/s" if fps else ""
        pace += f"  {thousandths(speed)}x" if speed else ""
        left = f"{duration(max(0, total - frame) * 1_000_000 // fps)} left" if fps else ""
        self._progress.update(
            self._clip_task, completed=min(frame, total), count=f"{frame:,}/{total:,}", pace=pace, left=left
        )
        self._update_job(frame)

    def _update_job(self, frame: int) -> None:
        """Redraws the job's bar. frame: of the current clip."""
        if self._job_task is None:
            label = f"all {plural(len(self._frames), 'clip')}"
            self._job_task = self._progress.add_task(
                "", total=self._total_frames, label=label, count="", pace="", left=""
            )
        done, total = self._done + frame, self._total_frames
        spent = (time.monotonic_ns() - self._started) // 1_000_000
        pace = f"{thousandths(done * 1_000_000 // spent)} frames/s" if done and spent else ""
        left = f"{duration((total - done) * spent // done)} left" if done and done < total else ""
        self._progress.update(
            self._job_task, completed=min(done, total), count=f"{done:,}/{total:,}", pace=pace, left=left
        )
