"""The engine at work while Prefect may ask this process to end: it is told, ends ffmpeg, writes down how far it got."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from prefect.exceptions import TerminationSignal

from proxx.beside import Beside

T = TypeVar("T")


def attend(work: Callable[[Callable[[], bool]], T]) -> T:
    """Run `work(should_stop)` to its end in a thread of its own; what it returns, or raises.

    Prefect turns SIGTERM into an exception in the main thread, at any line. The engine must not be cut there: the
    exception sets should_stop, the engine ends as it does for Ctrl-C, then the exception goes its way, so that
    Prefect says Cancelled or Crashed. Its handler stays installed: cancelling asks for that handler by identity.
    """
    asked = threading.Event()
    running = Beside(lambda: work(asked.is_set))
    caught: BaseException | None = None
    while running.thread.is_alive():
        try:
            running.thread.join()
        except (KeyboardInterrupt, TerminationSignal) as why:
            caught = caught or why
            asked.set()
    if caught is not None:
        raise caught
    return running.result()
