"""Runs the engine so that a signal makes it stop ffmpeg and record how far it got, before the process ends.

Prefect turns SIGTERM and Ctrl-C into an exception in the main thread, at any line. It must not interrupt the engine,
and Prefect's signal handler must stay installed, because Prefect recognises a cancelled run by it. So the engine
works in a thread of its own. The exception is kept until the engine has ended and is raised then, and Prefect sets
the state to Cancelled or Crashed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def cancellable_execution(work: Callable[[Callable[[], bool]], T]) -> T:
    """Runs `work(should_stop)` to its end. Returns or raises what it did, or raises what interrupted the wait."""
    stop_requested, ended = threading.Event(), threading.Event()
    begin = threading.Lock()  # taken once: by the work when it begins, or below so that it never begins
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        if not begin.acquire(blocking=False):
            return
        try:
            returned.append(work(stop_requested.is_set))
        except BaseException as error:
            raised.append(error)
        finally:
            ended.set()

    # A daemon: if this wait ends in an unexpected way, the process does not hang for the length of an encode.
    thread = threading.Thread(target=copy_context().run, args=(run,), name="proxx-engine", daemon=True)
    started = False
    interrupted: BaseException | None = None
    try:
        while not ended.is_set():
            try:
                if not started:
                    started = True
                    thread.start()
                ended.wait()  # not thread.join(): if interrupted, it takes a living thread for dead (Python 3.11)
            except BaseException as error:
                interrupted = interrupted or error
                stop_requested.set()
                if begin.acquire(blocking=False):
                    ended.set()
    finally:  # also after an exception between the lines above
        stop_requested.set()
        if begin.locked():
            ended.wait()
    if interrupted is not None:
        raise interrupted
    if raised:
        raise raised[0]
    return returned[0]
