"""The engine at work while Prefect may ask this process to end: it is told, ends ffmpeg, writes down how far it got.

Prefect turns SIGTERM and Ctrl-C into an exception in the main thread, at any line. The engine must not be cut there,
and Prefect's handler must stay installed: a cancelled run is known by it. So the engine works in a thread of its
own; the exception is kept until the engine has ended, then it goes its way, and Prefect says Cancelled or Crashed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def cancellable_execution(work: Callable[[Callable[[], bool]], T]) -> T:
    """Run `work(should_stop)` to its end; what it returned or raised, or the exception that interrupted the wait."""
    asked, ended = threading.Event(), threading.Event()
    begins = threading.Lock()  # taken once: by the work as it begins, or by who decides that it never will
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        if not begins.acquire(blocking=False):
            return
        try:
            returned.append(work(asked.is_set))
        except BaseException as why:
            raised.append(why)
        finally:
            ended.set()

    # A daemon: should this wait end in a way nobody thought of, no process hangs for the length of an encode.
    thread = threading.Thread(target=copy_context().run, args=(run,), name="proxx-engine", daemon=True)
    started = False
    interrupted: BaseException | None = None
    try:
        while not ended.is_set():
            try:
                if not started:
                    started = True
                    thread.start()
                ended.wait()  # not thread.join(): interrupted, it takes a living thread for a dead one (Python 3.11)
            except BaseException as why:
                interrupted = interrupted or why
                asked.set()
                if begins.acquire(blocking=False):
                    ended.set()
    finally:  # also after an exception between the lines above
        asked.set()
        if begins.locked():
            ended.wait()
    if interrupted is not None:
        raise interrupted
    if raised:
        raise raised[0]
    return returned[0]
