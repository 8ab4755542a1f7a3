"""One bar on a terminal for work that is counted in bytes or frames; nothing at all where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

from proxx.console.terminal import on_a_terminal

Gauge: TypeAlias = Callable[[str, int, int], None]
"""Told (label, done, whole)."""

_BETWEEN: Final = 80_000_000  # ns between two drawings: a gigabyte a second is a thousand reports


@contextmanager
def gauge() -> Iterator[Gauge]:
    """A bar on standard error. The label must be safe to print."""
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

    def show(label: str, done: int, whole: int) -> None:
        nonlocal drawn
        now = time.monotonic_ns()
        if now - drawn < _BETWEEN and done < whole:
            return
        drawn = now
        with suppress(OSError, ValueError):  # the terminal was closed
            bar.update(task, label=label, completed=done, total=whole)
            bar.refresh()

    try:
        with suppress(OSError, ValueError):
            bar.start()
        yield show
    finally:
        with suppress(OSError, ValueError):
            bar.stop()
