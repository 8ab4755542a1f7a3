"""Runs one piece of work in a thread beside a block of code. It ends with the block, and its error is not lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundWork(Generic[T]):
    """Work in progress in a thread of its own. `result` waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxx-background", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until the work has ended, for at most `seconds`, and returns whether it has.

        Thread.join alone is not enough: when interrupted, it takes a running thread for a finished one (Python 3.11).
        """
        ended = self._ended.wait(seconds)
        if ended:
            self._thread.join()
        return ended

    def result(self) -> T:
        """Returns what the work returned, or raises what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._results[0]


@contextmanager
def in_background(work: Callable[[], T]) -> Iterator[BackgroundWork[T]]:
    """Runs `work` while the block runs. The block does not end before the work has."""
    running = BackgroundWork(work)
    try:
        yield running
    finally:
        running.wait()
