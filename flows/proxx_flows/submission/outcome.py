"""What came of one attempt of a job: as the store recorded it, the run's own words only where it did not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Literal, Self

from proxx.contracts.error_bases import ProxxError, Refusal
from proxx.contracts.error_codes import ERROR_CLASSES
from proxx.contracts.errors import AttemptClosed, JobRetired, StoreDamaged
from proxx.contracts.job import JobSpec
from proxx.contracts.result import ExecutionResult
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx.store.registration import RefusalRecord
from proxx.store.status import job_status
from proxx_flows.common.errors import RunLost
from proxx_flows.common.reference import SHORT
from proxx_flows.submission.summary import Fault, JobSummary, job_summary, without_result

_REMEDIES: Final = {code: kind.remedy for code, kind in ERROR_CLASSES.items()}


@dataclass(frozen=True, kw_only=True)
class RequestedAttempt:
    """An attempt of a job that was asked for. clips: how many it has. profile: its name."""

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
    """How a run ended in Prefect's words. run_id: of the flow run."""

    run_id: str
    state: str
    message: str


def ended_before(store: Store, asked: RequestedAttempt) -> JobSummary | None:
    """The summary of a job of which there is nothing to run: its attempt has ended, or an earlier one completed it.

    None where the attempt may still be run. Whoever asks the next attempt of a card's jobs means those that failed.
    """
    states = [attempt.state for attempt in read_attempts(store, asked.job_id)]
    closed = [state for state in states if isinstance(state, Closed)]
    done = [one for one in closed[: asked.attempt - 1] if one.result and one.result.get("status") == "COMPLETED"]
    if closed and closed[-1].last.type == "retired":
        return _of_closed(closed[-1], asked, None)
    if len(closed) >= asked.attempt:  # only the last attempt can be open
        return _of_closed(closed[asked.attempt - 1], asked, None)
    return _of_closed(done[-1], asked, None) if done else None


def outcome_of_attempt(store: Store, asked: RequestedAttempt, end: RunEnd) -> JobSummary:
    """The summary of the attempt after its run has ended so."""
    try:
        closed = _closed(store, asked)
        if closed is not None:
            return _of_closed(closed, asked, end.run_id)
        for refusal in job_status(store, asked.job_id).refusals:
            if refusal.envelope.run_id == end.run_id:
                return _without(asked, _fault(refusal), end.run_id, "REFUSED")
    except ProxxError as why:  # the store went away, or is damaged
        return _without(asked, Fault.of(why), end.run_id, "LOST")
    lost = RunLost(message=f"Its run ended {end.state} and recorded no result", detail=end.message or None)
    return _without(asked, Fault.of(lost), end.run_id, "LOST")


def asked_before(store: Store, job: JobSummary) -> JobSummary:
    """The summary of a job whose run ended before this call: where it never began, a person may ask anew."""
    if job.status not in ("REFUSED", "LOST") or len(read_attempts(store, job.job_id)) >= job.attempt:
        return job
    anew = f" Then ask anew: `proxx submit {job.job_id[:SHORT]} --again`."
    failures = tuple(fault.model_copy(update={"remedy": fault.remedy + anew}) for fault in job.failures)
    return job.model_copy(update={"recorded": True, "failures": failures})


def refused_summary(asked: RequestedAttempt, why: ProxxError) -> JobSummary:
    """A job that was refused before there was a run."""
    return _without(asked, Fault.of(why), None, "REFUSED")


def _closed(store: Store, asked: RequestedAttempt) -> Closed | None:
    attempts = read_attempts(store, asked.job_id)
    if len(attempts) < asked.attempt:
        return None
    state = attempts[asked.attempt - 1].state
    return state if isinstance(state, Closed) else None


def _of_closed(closed: Closed, asked: RequestedAttempt, run_id: str | None) -> JobSummary:
    if closed.result is not None:
        try:
            result = ExecutionResult.model_validate_json(json.dumps(closed.result))
        except ValueError as why:
            raise StoreDamaged(message="the result of an attempt cannot be read", detail=str(why)) from why
        return job_summary(asked.name, result, recorded=result.envelope.run_id != run_id)
    reason = closed.last.data.get("reason")
    if closed.last.type == "retired":
        retired = Fault.of(JobRetired(message=f"an operator retired the job: {reason}"))
        return _without(asked, retired, None, "REFUSED", recorded=True)
    unlocked = Fault.of(AttemptClosed(message=f"an operator closed attempt {asked.attempt}: {reason}"))
    run = closed.acquired.envelope.run_id if closed.acquired else None
    return _without(asked, unlocked, run, "LOST", recorded=True)


def _fault(refusal: RefusalRecord) -> Fault:
    said = refusal.message if refusal.detail is None else f"{refusal.message} ({refusal.detail})"
    remedy = _REMEDIES.get(refusal.code, Refusal.remedy)
    return Fault(clip=None, source=None, output=None, code=refusal.code, message=said, remedy=remedy)


def _without(
    asked: RequestedAttempt,
    why: Fault,
    run_id: str | None,
    status: Literal["REFUSED", "LOST"],
    *,
    recorded: bool = False,
) -> JobSummary:
    return without_result(
        asked.job_id,
        asked.name,
        asked.clips,
        asked.attempt,
        why,
        run_id=run_id,
        status=status,
        recorded=recorded,
    )
