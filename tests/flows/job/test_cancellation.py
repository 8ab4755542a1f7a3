"""Whatever interrupts the wait, the engine is asked to stop and ends before the interruption is raised."""

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

CONTEXT: ContextVar[str] = ContextVar("context")
DEADLINE = 60


class Engine:
    """Sends signals to this process, works until it is asked to stop, and then for a moment longer."""

    def __init__(self, *signals: signal.Signals) -> None:
        self.signals, self.ended = signals, False

    def __call__(self, should_stop: Callable[[], bool]) -> str:
        until = time.monotonic() + DEADLINE
        for number in self.signals:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            time.sleep(0.05)  # so that the second comes while the first is handled; no assertion depends on it
        while not should_stop():
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.1)
        self.ended = True
        return "interrupted"


def test_it_returns_or_raises_what_the_work_does() -> None:
    assert cancellable_execution(lambda _: 3) == 3
    with pytest.raises(ZeroDivisionError):
        cancellable_execution(lambda _: 1 // 0)


def test_the_work_has_its_callers_context() -> None:
    token = CONTEXT.set("in the run")
    try:
        assert cancellable_execution(lambda _: CONTEXT.get()) == "in the run"
    finally:
        CONTEXT.reset(token)


def test_without_an_interruption_the_work_is_not_asked_to_stop() -> None:
    assert cancellable_execution(lambda should_stop: should_stop()) is False


def test_work_interrupted_before_it_begins_never_begins(monkeypatch: pytest.MonkeyPatch) -> None:
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
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # Prefect also calls the handler that was set before
    try:
        with pytest.raises(TerminationSignal), capture_sigterm():
            handler = signal.getsignal(signal.SIGTERM)
            try:
                cancellable_execution(engine)
            finally:
                assert engine.ended
                assert signal.getsignal(signal.SIGTERM) is handler  # Prefect recognises a cancelled run by it
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_ends_the_work_first() -> None:
    engine = Engine(signal.SIGINT, signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run with SIGINT ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            cancellable_execution(engine)
    finally:
        signal.signal(signal.SIGINT, before)
    assert engine.ended
