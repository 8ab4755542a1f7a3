"""Runs one piece of work in a thread while a block runs, and waits for it when the block ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundWork(Generic[T]):
    """Work that runs in a thread of its own from the start."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="proxx-background", daemon=True).start()

    def _run(self) -> None:
        try:
            self._value.append(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Waits until the work has ended.

        Thread.join would not do: if interrupted, it takes a running thread for a finished one (Python 3.11).
        """
        self._ended.wait()

    def result(self) -> T:
        """Waits, then returns what the work returned or raises what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value[0]


@contextmanager
def in_background(work: Callable[[], T]) -> Iterator[BackgroundWork[T]]:
    """Runs `work` in a thread while the block runs. The block does not end before the work."""
    running = BackgroundWork(work)
    try:
        yield running
    finally:
        running.wait()
