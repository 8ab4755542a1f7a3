"""Requests to stop as a flag: the engine looks at it, ends ffmpeg, records the end and gives the lock back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

ASKS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HEARD: Final = b"\nproxx: stopping: ending ffmpeg and writing down how far it got ...\n"


class StopRequest:
    """Whether somebody asked. A second request changes nothing: ffmpeg is being ended already."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    def hear(self, number: int, _: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            with suppress(OSError):  # the terminal may be what went away
                os.write(2, _HEARD)  # not print: this runs in the middle of anything


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Hear SIGINT, SIGTERM and SIGHUP while the block runs. What was ignored (nohup, `&`) stays ignored."""
    request = StopRequest()
    before = {}
    for number in ASKS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, request.hear)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
