"""What came of one attempt of a job: as the store recorded it, the run's own words only where it did not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Literal, Self

from flows.errors import RunLost
from flows.reference import JobReference
from flows.summary import Fault, JobSummary, job_summary, without_result
from proxx import errors
from proxx.errors import AttemptClosed, JobRetired, ProxxError, Refusal, StoreDamaged
from proxx.job import JobSpec
from proxx.ledger import Closed, read_attempts
from proxx.register import Refused
from proxx.result import ExecutionResult
from proxx.status import job_status
from proxx.store import Store

_REMEDIES: Final = {
    kind.code: kind.remedy
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ProxxError)
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A job that was asked for. clips: how many it has. profile: its name."""

    reference: JobReference
    name: str
    profile: str
    clips: int

    @classmethod
    def of(cls, job: JobSpec, reference: JobReference) -> Self:
        return cls(reference=reference, name=job.name, profile=job.profile.name, clips=len(job.clips))


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How a run ended in Prefect's words. run_id: of the flow run."""

    run_id: str
    state: str
    message: str


def ended_before(store: Store, asked: Asked) -> JobSummary | None:
    """The summary of an attempt that has ended already; None of one that may still be run."""
    closed = _closed(store, asked)
    return None if closed is None else _of_closed(closed, asked, None)


def came_of(store: Store, asked: Asked, end: RunEnd) -> JobSummary:
    """The summary of the attempt after its run has ended so. Raises what reading the store raises."""
    closed = _closed(store, asked)
    if closed is not None:
        return _of_closed(closed, asked, end.run_id)
    for refusal in job_status(store, asked.reference.job_id).refusals:
        if refusal.envelope.run_id == end.run_id:
            return _without(asked, _fault(refusal), end.run_id, "REFUSED")
    why = RunLost(message=f"Its run ended {end.state} and recorded no result", detail=end.message or None)
    return _without(asked, Fault.of(why), end.run_id, "LOST")


def refused(asked: Asked, why: ProxxError) -> JobSummary:
    """A job that was refused before there was a run."""
    return _without(asked, Fault.of(why), None, "REFUSED")


def _closed(store: Store, asked: Asked) -> Closed | None:
    attempts = read_attempts(store, asked.reference.job_id)
    if len(attempts) < asked.reference.attempt:
        return None
    state = attempts[asked.reference.attempt - 1].state
    return state if isinstance(state, Closed) else None


def _of_closed(closed: Closed, asked: Asked, run_id: str | None) -> JobSummary:
    if closed.result is not None:
        try:
            result = ExecutionResult.model_validate_json(json.dumps(closed.result))
        except ValueError as why:
            raise StoreDamaged(message="the result of an attempt cannot be read", detail=str(why)) from why
        return job_summary(asked.name, result, recorded=result.envelope.run_id != run_id)
    said = f"attempt {asked.reference.attempt}: {closed.last.data.get('reason')}"
    if closed.last.type == "retired":
        retired = Fault.of(JobRetired(message=f"the job was retired at {said}"))
        return _without(asked, retired, None, "REFUSED", recorded=True)
    unlocked = Fault.of(AttemptClosed(message=f"an operator closed {said}"))
    run = closed.acquired.envelope.run_id if closed.acquired else None
    return _without(asked, unlocked, run, "LOST", recorded=True)


def _fault(refusal: Refused) -> Fault:
    said = refusal.message if refusal.detail is None else f"{refusal.message} ({refusal.detail})"
    remedy = _REMEDIES.get(refusal.code, Refusal.remedy)
    return Fault(clip=None, source=None, output=None, code=refusal.code, message=said, remedy=remedy)


def _without(
    asked: Asked, why: Fault, run_id: str | None, status: Literal["REFUSED", "LOST"], *, recorded: bool = False
) -> JobSummary:
    return without_result(
        asked.reference.job_id,
        asked.name,
        asked.clips,
        asked.reference.attempt,
        why,
        run_id=run_id,
        status=status,
        recorded=recorded,
    )
