"""The outcome of one attempt of a job, as the store recorded it, or as Prefect has it if the store has no record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, Self

from proxx.contracts.error_bases import ProxxError, Refusal
from proxx.contracts.errors import AttemptClosed, JobRetired, StoreDamaged
from proxx.contracts.errors_by_code import remedy_of
from proxx.contracts.job import JobSpec
from proxx.contracts.result import ExecutionResult
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx.store.registration import RefusalRecord
from proxx.store.status import job_status
from proxx_flows.common.errors import RunLost
from proxx_flows.common.reference import SHORT
from proxx_flows.submission.summary import Fault, JobSummary, job_summary, without_result


@dataclass(frozen=True, kw_only=True)
class RequestedAttempt:
    """A requested attempt of a job. name: of the job. profile: its name. clips: how many the job has."""

    job_id: str
    attempt: int
    name: str
    profile: str
    clips: int

    @classmethod
    def of(cls, job: JobSpec, attempt: int) -> Self:
        clips = len(job.clips)
        return cls(job_id=job.job_id, attempt=attempt, name=job.name, profile=job.profile.name, clips=clips)


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How a flow run ended: the name and the message of its last state in Prefect."""

    run_id: str
    state: str
    message: str


def ended_before(store: Store, requested: RequestedAttempt) -> JobSummary | None:
    """Returns the summary of a job that needs no run: its attempt has ended, or an earlier attempt completed the job.

    Returns None if the attempt can be run. A request for attempt N of a whole card is meant for the jobs that failed
    in attempt N - 1, so those that completed are not run again.
    """
    states = [attempt.state for attempt in read_attempts(store, requested.job_id)]
    closed = [state for state in states if isinstance(state, Closed)]
    earlier = closed[: requested.attempt - 1]
    completed = [state for state in earlier if state.result and state.result.get("status") == "COMPLETED"]
    if closed and closed[-1].last.type == "retired":
        return _of_closed(closed[-1], requested, None)
    if len(closed) >= requested.attempt:  # only the last attempt can be open
        return _of_closed(closed[requested.attempt - 1], requested, None)
    return _of_closed(completed[-1], requested, None) if completed else None


def outcome_of_attempt(store: Store, requested: RequestedAttempt, end: RunEnd) -> JobSummary:
    """Returns the summary of the attempt after its flow run has ended."""
    try:
        closed = _closed(store, requested)
        if closed is not None:
            return _of_closed(closed, requested, end.run_id)
        for refusal in job_status(store, requested.job_id).refusals:
            if refusal.envelope.run_id == end.run_id:
                return _without(requested, _fault(refusal), end.run_id, "REFUSED")
    except ProxxError as error:  # the store became unavailable, or is damaged
        return _without(requested, Fault.of(error), end.run_id, "LOST")
    lost = RunLost(message=f"Its run ended {end.state} and recorded no result", detail=end.message or None)
    return _without(requested, Fault.of(lost), end.run_id, "LOST")


def asked_before(store: Store, job: JobSummary) -> JobSummary:
    """Returns the summary of a job whose run had ended before this call.

    If that run never began the attempt, the remedies name the command that creates another run.
    """
    if job.status not in ("REFUSED", "LOST") or len(read_attempts(store, job.job_id)) >= job.attempt:
        return job
    again = f" Then submit it again: `proxx submit {job.job_id[:SHORT]} --again`."
    failures = tuple(fault.model_copy(update={"remedy": fault.remedy + again}) for fault in job.failures)
    return job.model_copy(update={"recorded": True, "failures": failures})


def refused_summary(requested: RequestedAttempt, error: ProxxError) -> JobSummary:
    """Returns the summary of a job that was refused before it had a flow run."""
    return _without(requested, Fault.of(error), None, "REFUSED")


def _closed(store: Store, requested: RequestedAttempt) -> Closed | None:
    attempts = read_attempts(store, requested.job_id)
    if len(attempts) < requested.attempt:
        return None
    state = attempts[requested.attempt - 1].state
    return state if isinstance(state, Closed) else None


def _of_closed(closed: Closed, requested: RequestedAttempt, run_id: str | None) -> JobSummary:
    if closed.result is not None:
        try:
            result = ExecutionResult.model_validate_json(json.dumps(closed.result))
        except ValueError as error:
            raise StoreDamaged(message="the result of an attempt cannot be read", detail=str(error)) from error
        return job_summary(requested.name, result, recorded=result.envelope.run_id != run_id)
    reason = closed.last.data.get("reason")
    if closed.last.type == "retired":
        retired = Fault.of(JobRetired(message=f"an operator retired the job: {reason}"))
        return _without(requested, retired, None, "REFUSED", recorded=True)
    unlocked = Fault.of(AttemptClosed(message=f"an operator closed attempt {requested.attempt}: {reason}"))
    run = closed.acquired.envelope.run_id if closed.acquired else None
    return _without(requested, unlocked, run, "LOST", recorded=True)


def _fault(refusal: RefusalRecord) -> Fault:
    message = refusal.message if refusal.detail is None else f"{refusal.message} ({refusal.detail})"
    remedy = remedy_of(refusal.code) or Refusal.remedy
    return Fault(clip=None, source=None, output=None, code=refusal.code, message=message, remedy=remedy)


def _without(
    requested: RequestedAttempt,
    fault: Fault,
    run_id: str | None,
    status: Literal["REFUSED", "LOST"],
    *,
    recorded: bool = False,
) -> JobSummary:
    return without_result(
        requested.job_id,
        requested.name,
        requested.clips,
        requested.attempt,
        fault,
        run_id=run_id,
        status=status,
        recorded=recorded,
    )
