"""Steps for watchers, and times for envelopes."""

from __future__ import annotations

import re

from proxx.engine.steps import ClipProgress, Stopwatch, now, silent


def test_times_are_rfc_3339_in_utc() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", now())


def test_a_stopwatch_never_runs_backwards() -> None:
    watch = Stopwatch()
    first = watch.elapsed_ms
    assert 0 <= first <= watch.elapsed_ms
    assert watch.started <= now()


def test_the_silent_watcher_accepts_any_step() -> None:
    silent(ClipProgress(0, 1, None, None))
