"""Progress over many jobs: a bar on a terminal, plain lines elsewhere, nothing with --json."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

from proxx.console.output import err, out
from proxx.console.terminal import on_a_terminal
from proxx.console.wording import duration, safe

_REDRAW_NS: Final = 50_000_000  # between two redraws


class ProgressView(Protocol):
    """Shows the progress of one step after another. count: how many jobs are done, of `whole`. current: a job."""

    def begin(self, label: str, whole: int) -> None: ...
    def step(self, count: int, current: str) -> None: ...
    def line(self, text: str, *, bad: bool = False, dull: bool = False) -> None:
        """Shows a line. bad: about a failure. dull: about one of many successes, which a bar shows without a line."""

    def warn(self, text: str) -> None: ...


class PlainProgress:
    """Plain lines, for pipes, logs and dumb terminals."""

    def begin(self, label: str, whole: int) -> None:
        pass

    def step(self, count: int, current: str) -> None:
        pass

    def line(self, text: str, *, bad: bool = False, dull: bool = False) -> None:
        (err if bad else out)(text)

    def warn(self, text: str) -> None:
        err(f"proxx: {text}")


class NoProgress(PlainProgress):
    """For --json: standard output has one document, standard error only warnings."""

    def line(self, text: str, *, bad: bool = False, dull: bool = False) -> None:
        pass


class BarProgress:
    """A bar on standard error. Lines above it stay, except for one of many successes."""

    def __init__(self, progress: Any) -> None:  # noqa: ANN401  (rich's, imported only where it is used)
        self._progress = progress
        self._task: Any = None
        self._began = self._drawn = 0
        self._label, self._whole = "", 0

    def begin(self, label: str, whole: int) -> None:
        self._began, self._drawn, self._label, self._whole = time.monotonic_ns(), 0, label, whole
        with suppress(OSError, ValueError):  # the terminal was closed
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task("", total=whole, label=label, current="", count="", left="")
        self.step(0, "")

    def step(self, count: int, current: str) -> None:
        now = time.monotonic_ns()
        if self._task is None or (now - self._drawn < _REDRAW_NS and count < self._whole):
            return
        self._drawn = now
        spent = (now - self._began) // 1_000_000
        left = f"{duration((self._whole - count) * spent // count)} left" if count and count < self._whole else ""
        with suppress(OSError, ValueError):
            counted = f"{count:,}/{self._whole:,}"
            self._progress.update(self._task, completed=count, count=counted, left=left, current=safe(current))
            self._progress.refresh()

    def line(self, text: str, *, bad: bool = False, dull: bool = False) -> None:
        if bad or not dull:
            self._print(text, "bold red" if bad else "")

    def warn(self, text: str) -> None:
        self._print(f"proxx: {safe(text)}", "yellow")

    def _print(self, text: str, style: str) -> None:
        from rich.text import Text

        with suppress(OSError, ValueError):
            self._progress.console.print(Text(text, style=style), soft_wrap=True)


@contextmanager
def showing(*, as_json: bool) -> Iterator[ProgressView]:
    """Yields a view: a bar if standard error is a terminal, plain lines elsewhere, nothing with --json."""
    if as_json or not on_a_terminal():
        yield NoProgress() if as_json else PlainProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    progress = Progress(
        TextColumn("{task.fields[label]}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[count]}", markup=False, justify="right"),
        TextColumn("{task.fields[left]}", markup=False, justify="right"),
        TextColumn("{task.fields[current]}", markup=False, table_column=Column(no_wrap=True, max_width=32)),
        console=Console(stderr=True, markup=False, emoji=False, highlight=False),
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
        expand=True,
    )
    try:
        with suppress(OSError, ValueError):
            progress.start()
        yield BarProgress(progress)
    finally:
        with suppress(OSError, ValueError):
            progress.stop()
