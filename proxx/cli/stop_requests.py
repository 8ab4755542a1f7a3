"""Turns stop signals into a flag for the engine, which then ends ffmpeg, records the stop and releases the lock."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STOPPING: Final = b"\nproxx: stopping: ending ffmpeg and recording how far the job got ...\n"


class StopRequest:
    """Whether a stop signal has arrived. Later signals change nothing: ffmpeg is already being ended."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    def receive(self, number: int, _: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            with suppress(OSError):  # the terminal may have been closed
                os.write(2, _STOPPING)  # not print: a signal handler can interrupt a print


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Handles SIGINT, SIGTERM and SIGHUP in the block. A signal ignored before (nohup, `&`) stays ignored."""
    request = StopRequest()
    before = {}
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, request.receive)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
