"""Runs a job of a ground in this process, and collects its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from proxx.contracts.canonical import Json
from proxx.contracts.event import Event, this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.result import ExecutionResult, result_core
from proxx.engine.execute import RunEnvironment, execute
from proxx.store.attempts import read_attempts
from tests.objects.ground import Ground
from tests.support.results import canonical_log


@dataclass(frozen=True)
class Outcome:
    """What must be the same wherever sources, outputs and store are."""

    outputs: Mapping[str, str]
    log: tuple[dict[str, Json], ...]
    core: Mapping[str, Json]
    fingerprint: str


def run(ground: Ground, job: JobSpec, attempt: int = 1, **changes: object) -> ExecutionResult:
    site = RunEnvironment(
        store=ground.store(), worker=this_worker(), run_id="run", attempt=attempt, places=ground.places()
    )
    return execute(spec_bytes(job), replace(site, **changes))  # type: ignore[arg-type]


def events(ground: Ground, job: JobSpec, attempt: int = 1) -> tuple[Event, ...]:
    return read_attempts(ground.store(), job.job_id)[attempt - 1].events


def outcome(ground: Ground, job: JobSpec, result: ExecutionResult) -> Outcome:
    log = canonical_log(events(ground, job, result.attempt))
    return Outcome(ground.outputs(), log, result_core(result), result.fingerprint)


def codes(result: ExecutionResult) -> list[str]:
    """Returns for each clip the code of its failure, or its status."""
    return [clip.failure.code if clip.failure else clip.status for clip in result.clips]
