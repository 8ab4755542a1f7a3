"""Whatever interrupts the wait, the engine is told, ends, and only then the interruption goes its way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

import pytest
from prefect.exceptions import TerminationSignal
from prefect.utilities.engine import capture_sigterm
from proxx_flows.job.cancellation import cancellable_execution

HERE: ContextVar[str] = ContextVar("here")
DEADLINE = 60


class Engine:
    """Works until it is told to stop, and then for a moment longer."""

    def __init__(self, *signals: signal.Signals) -> None:
        self.signals, self.ended = signals, False

    def __call__(self, should_stop: Callable[[], bool]) -> str:
        until = time.monotonic() + DEADLINE
        for number in self.signals:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            time.sleep(0.05)  # so that the second comes while the first is being waited for; nothing hangs on it
        while not should_stop():
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.1)
        self.ended = True
        return "interrupted"


def test_what_the_work_returns_or_raises() -> None:
    assert cancellable_execution(lambda _: 3) == 3
    with pytest.raises(ZeroDivisionError):
        cancellable_execution(lambda _: 1 // 0)


def test_the_work_knows_what_its_caller_knows() -> None:
    token = HERE.set("in the run")
    try:
        assert cancellable_execution(lambda _: HERE.get()) == "in the run"
    finally:
        HERE.reset(token)


def test_nobody_asks_it_to_stop() -> None:
    assert cancellable_execution(lambda should_stop: should_stop()) is False


def test_work_that_was_not_begun_never_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    begun: list[object] = []
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cancellable_execution(begun.append)
    assert begun == []


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)], ids=["once", "twice"])
def test_sigterm_ends_the_work_first(signals: tuple[signal.Signals, ...]) -> None:
    engine = Engine(*signals)
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # Prefect passes the signal on to what was there
    try:
        with pytest.raises(TerminationSignal), capture_sigterm():
            handler = signal.getsignal(signal.SIGTERM)
            try:
                cancellable_execution(engine)
            finally:
                assert engine.ended
                assert signal.getsignal(signal.SIGTERM) is handler  # by it a cancelled run is known
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_ends_the_work_first() -> None:
    engine = Engine(signal.SIGINT, signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started from
    try:
        with pytest.raises(KeyboardInterrupt):
            cancellable_execution(engine)
    finally:
        signal.signal(signal.SIGINT, before)
    assert engine.ended
