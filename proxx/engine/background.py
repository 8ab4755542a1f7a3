"""One piece of work in a thread of its own while another goes on: it ends with its block, its error is not lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundWork(Generic[T]):
    """Work that has begun; `result` waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done: list[T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="proxx-beside", daemon=True).start()

    def _run(self) -> None:
        try:
            self._done.append(self._work())
        except BaseException as why:
            self._error = why
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Until the work has ended. Not Thread.join: interrupted, it takes a living thread for a dead one (3.11)."""
        self._ended.wait()

    def result(self) -> T:
        """What the work returned; raises what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._done[0]


@contextmanager
def in_background(work: Callable[[], T]) -> Iterator[BackgroundWork[T]]:
    """`work` while the block runs. The block is not left before the work has ended."""
    running = BackgroundWork(work)
    try:
        yield running
    finally:
        running.wait()
