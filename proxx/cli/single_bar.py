"""One progress bar for work counted in bytes or frames; nothing is drawn unless standard error is a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

from proxx.console.terminal import on_a_terminal

Gauge: TypeAlias = Callable[[str, int, int], None]
"""Called with (label, done, total)."""

_INTERVAL_NS: Final = 80_000_000  # between two drawings; reading 1 GB/s gives a thousand reports a second


@contextmanager
def gauge() -> Iterator[Gauge]:
    """Yields a function that draws a bar on standard error. The label must be safe to print."""
    if not on_a_terminal():
        yield lambda _, __, ___: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    columns = (TextColumn("{task.fields[label]}", markup=False), BarColumn(bar_width=None))
    share = TextColumn("{task.percentage:>3.0f} %")
    bar = Progress(*columns, share, console=console, auto_refresh=False, transient=True, expand=True)
    task = bar.add_task("", label="")
    drawn = 0

    def show(label: str, done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic_ns()
        if now - drawn < _INTERVAL_NS and done < total:
            return
        drawn = now
        with suppress(OSError, ValueError):  # the terminal was closed
            bar.update(task, label=label, completed=done, total=total)
            bar.refresh()

    try:
        with suppress(OSError, ValueError):
            bar.start()
        yield show
    finally:
        with suppress(OSError, ValueError):
            bar.stop()
