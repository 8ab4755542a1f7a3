"""Progress counts frames, reaches 100 only at the end, and an API that is gone takes nothing from the job."""

from __future__ import annotations

import re
import time

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from proxx_flows.job.artifacts import EVERY, PATIENCE, FrameCount, ProgressArtifact, artifact_key

from proxx.engine.steps import ClipEnded, ClipProgress, ClipStage, ClipStarted, Step
from tests.flows.job.test_report import about
from tests.flows.server import free_port
from tests.support.results import completed, failed


def test_frames_of_all_clips_count() -> None:
    frames = FrameCount(about(3))  # of 25 frames each
    steps: list[tuple[Step, float]] = [
        (ClipStarted(0, 3, "a", 25), 0),
        (ClipProgress(0, 5, None, None), 6.6),
        (ClipProgress(0, 30, None, None), 33.3),  # more than there can be is no more than all
        (ClipStage(0, "verify"), 33.3),
        (ClipEnded(0, completed(0)), 33.3),
        (ClipStarted(1, 3, "b", 25), 33.3),
        (ClipProgress(1, 5, None, None), 40),
        (ClipEnded(1, failed(1)), 66.6),
        (ClipStarted(2, 3, "c", 25), 66.6),
        (ClipProgress(2, 24, None, None), 98.6),
        (ClipEnded(2, completed(2)), 100),
    ]
    seen = []
    for step, _ in steps:
        frames.note(step)
        seen.append(frames.percent)
    assert seen == [percent for _, percent in steps]


def test_keys_are_what_prefect_takes() -> None:
    for what in ("progress", "clips", "report"):
        assert re.fullmatch("[a-z0-9-]+", artifact_key(about(), what))
    assert artifact_key(about(), "clips") == "proxx-0123456789ab-clips"


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_an_api_that_is_gone_is_told_once_and_holds_nobody() -> None:
    told: list[Exception] = []
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        progress = ProgressArtifact("proxx-key", "A001", told.append)
        progress.start()
        began = time.monotonic()
        for percent in range(100):
            progress.show(float(percent))
        assert time.monotonic() - began < EVERY  # nobody waits for an answer
        progress.end()
        assert time.monotonic() - began < PATIENCE + EVERY
    assert len(told) == 1


def test_what_never_began_ends_at_once() -> None:
    ProgressArtifact("proxx-key", "A001", lambda _: None).end()
