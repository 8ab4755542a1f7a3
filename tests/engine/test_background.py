"""Background work: its result, its error, and its end with the block."""

from __future__ import annotations

import threading

import pytest

from proxx.engine.background import in_background


def test_the_work_runs_while_the_block_runs() -> None:
    ready, go = threading.Event(), threading.Event()

    def work() -> int:
        ready.set()
        assert go.wait(30)
        return 7

    with in_background(work) as running:
        assert ready.wait(30)  # the work has begun, and this block still runs
        go.set()
        assert running.result() == 7


def test_an_error_of_the_work_is_raised_by_result() -> None:
    def work() -> int:
        raise OSError("disk on fire")

    with in_background(work) as running, pytest.raises(OSError, match="disk on fire"):
        running.result()


def test_no_thread_outlives_the_block() -> None:
    go, before = threading.Event(), threading.active_count()

    def fail() -> None:
        with in_background(lambda: go.wait(30)):
            threading.Timer(0.05, go.set).start()
            raise KeyError("the block failed")

    with pytest.raises(KeyError):
        fail()
    assert go.is_set()
    for thread in threading.enumerate():
        assert thread.name != "proxx-background"
    assert threading.active_count() <= before + 1  # the timer's thread may still be ending
