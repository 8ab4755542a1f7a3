"""Progress counts frames and reaches 100 only at the end; a missing API does not delay the job."""

from __future__ import annotations

import re
import time

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from proxx_flows.job.progress_artifact import (
    LAST_UPDATE_TIMEOUT,
    UPDATE_INTERVAL,
    FrameCount,
    ProgressArtifact,
    artifact_key,
)

from proxx.engine.steps import ClipEnded, ClipProgress, ClipStage, ClipStarted, Step
from tests.flows.job.test_page_texts import example_facts
from tests.flows.server import free_port
from tests.support.results import completed, failed


def test_frames_of_all_clips_count() -> None:
    frames = FrameCount(example_facts(3))  # 25 frames each
    steps: list[tuple[Step, float]] = [
        (ClipStarted(0, 3, "a", 25), 0),
        (ClipProgress(0, 5, None, None), 6.6),
        (ClipProgress(0, 30, None, None), 33.3),  # counted as 25: a clip has no more frames
        (ClipStage(0, "verify"), 33.3),
        (ClipEnded(0, completed(0)), 33.3),
        (ClipStarted(1, 3, "b", 25), 33.3),
        (ClipProgress(1, 5, None, None), 40),
        (ClipEnded(1, failed(1)), 66.6),
        (ClipStarted(2, 3, "c", 25), 66.6),
        (ClipProgress(2, 24, None, None), 98.6),
        (ClipEnded(2, completed(2)), 100),
    ]
    percents = []
    for step, _ in steps:
        frames.note(step)
        percents.append(frames.percent)
    assert percents == [percent for _, percent in steps]


def test_keys_are_valid_in_prefect() -> None:
    for kind in ("progress", "clips", "report"):
        assert re.fullmatch("[a-z0-9-]+", artifact_key(example_facts(), kind))
    assert artifact_key(example_facts(), "clips") == "proxx-0123456789ab-clips"


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_a_missing_api_is_reported_once_and_delays_nothing() -> None:
    errors: list[Exception] = []
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        progress = ProgressArtifact("proxx-key", "A001", errors.append)
        progress.start()
        began = time.monotonic()
        for percent in range(100):
            progress.show(float(percent))
        assert time.monotonic() - began < UPDATE_INTERVAL  # `show` does not wait for an answer
        progress.end()
        assert time.monotonic() - began < LAST_UPDATE_TIMEOUT + UPDATE_INTERVAL
    assert len(errors) == 1


def test_progress_that_never_started_ends_at_once() -> None:
    ProgressArtifact("proxx-key", "A001", lambda _: None).end()
