"""Results for tests: one of each kind of clip, in jobs that completed, failed and stopped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from proxx.contracts.canonical import Json
from proxx.contracts.event import Event, Worker
from proxx.contracts.result import (
    Check,
    ClipCompleted,
    ClipFailed,
    ClipNotRun,
    Envelope,
    ExecutionResult,
    Failure,
    make_result,
)

AnyClip: TypeAlias = ClipCompleted | ClipFailed | ClipNotRun
JOB = "0123456789abcdef" * 4


def completed(index: int = 0) -> ClipCompleted:
    return ClipCompleted(
        index=index,
        source=f"/media/A{index:03d}.mov",
        output=f"/proxies/A{index:03d}.mov",
        status="COMPLETED",
        output_sha256="sha256:" + "c" * 64,
        output_size=4096,
        frames=25,
        checks=(Check(name="frames", expected="25", found="25"),),
        argv=("ffmpeg", "-i", "file:{source}", "file:{output}"),
        log=f"clips/{index:03d}.log",
        failure=None,
    )


def failed(index: int = 0) -> ClipFailed:
    return ClipFailed(
        index=index,
        source=f"/media/A{index:03d}.mov",
        output=f"/proxies/A{index:03d}.mov",
        status="FAILED",
        output_sha256=None,
        output_size=None,
        frames=None,
        checks=(Check(name="frames", expected="25", found="24"),),
        argv=("ffmpeg", "-i", "file:{source}", "file:{output}"),
        log=f"clips/{index:03d}.log",
        failure=failure("FRAMES_MISMATCH"),
    )


def not_run(index: int = 0) -> ClipNotRun:
    return ClipNotRun(
        index=index,
        source=f"/media/A{index:03d}.mov",
        output=f"/proxies/A{index:03d}.mov",
        status="NOT_RUN",
        output_sha256=None,
        output_size=None,
        frames=None,
        checks=(),
        argv=(),
        log=None,
        failure=None,
    )


def failure(code: str) -> Failure:
    return Failure(code=code, message="What happened.", remedy="What to do.", stage="verify", exit=None)


def envelope(host: str = "one") -> Envelope:
    return Envelope(
        worker=Worker(host=host, pid=17, user="editor"),
        run_id="run-1",
        started="2026-01-31T10:00:00Z",
        ended="2026-01-31T10:01:00Z",
        elapsed_ms=60_000,
    )


def result(
    *clips: AnyClip, stopped: Failure | None = None, attempt: int = 1, around: Envelope | None = None
) -> ExecutionResult:
    return make_result(JOB, attempt, clips, stopped, around or envelope())


def canonical_log(events: Iterable[Event]) -> tuple[dict[str, Json], ...]:
    """Returns the events in order without their envelopes: equal wherever and whenever a job runs."""
    log = [event.to_json() for event in events]
    assert [event["number"] for event in log] == list(range(1, len(log) + 1)), "an event is missing from the log"
    return tuple({key: value for key, value in event.items() if key != "envelope"} for event in log)
