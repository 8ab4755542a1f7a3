"""The verdict on one job from its records in the store and its flow runs in Prefect, with the steps for it. Pure.

The ledger decides what was made; Prefect shows which attempts are still requested. Where the two contradict each
other, the finding reports it and follows the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxx.contracts.errors_by_code import remedy_of
from proxx.store.registration import RefusalRecord
from proxx.store.status import AttemptStatus, JobStatus, State
from proxx_flows.audit.finding import AuditFinding, JobVerdict
from proxx_flows.audit.next_steps import Advice, NextStep
from proxx_flows.audit.prefect_run import MESSAGE_LENGTH, SeenRun

AGREES: Final[dict[State, frozenset[str]]] = {
    State.COMPLETED: frozenset({"COMPLETED"}),
    State.FAILED: frozenset({"FAILED"}),
    State.UNLOCKED: frozenset({"FAILED", "CRASHED", "CANCELLED"}),
}
"""The Prefect states that do not contradict an attempt that ended in this state of the ledger."""
STOPPED: Final = frozenset({"FAILED", "CANCELLED", "CRASHED"})
"""The same for an attempt that was stopped on request."""


@dataclass(frozen=True, kw_only=True)
class _View:
    """One job and its flow runs, oldest first."""

    job: JobStatus
    runs: tuple[SeenRun, ...]
    advice: Advice

    @property
    def begun(self) -> int:
        return len(self.job.attempts)

    @property
    def next(self) -> int:
        return self.begun + 1

    def of(self, attempt: int) -> tuple[SeenRun, ...]:
        return tuple(run for run in self.runs if run.attempt == attempt)

    def run_of(self, attempt: AttemptStatus) -> SeenRun | None:
        """Returns the run that took the attempt, or None if Prefect does not have it."""
        return next((run for run in self.runs if run.id == attempt.run_id), None)


def judge_job(job: JobStatus, runs: Sequence[SeenRun], advice: Advice, *, spec: bool = True) -> AuditFinding:
    """Returns the finding about a job that the store has a record of.

    runs: all its flow runs, oldest first. spec: whether the store has its spec.json.
    """
    taken = {attempt.run_id: attempt.attempt for attempt in job.attempts}
    known = (replace(run, attempt=taken.get(run.id, run.attempt)) for run in runs)  # the ledger is more reliable
    view = _View(job=job, runs=tuple(known), advice=advice)
    match job.state:
        case State.DAMAGED:
            problems = "; ".join(job.problems)
            text = f"The store's records of this job are damaged: {problems}. Restore them from a copy of the store."
            return _finding(view, JobVerdict.LOST, text, (advice.history(),), decide=True)
        case State.RETIRED:
            return _retired(view)
        case State.UNREGISTERED:
            return _unregistered(view, spec)
        case State.HELD:
            return _held(view, job.attempts[-1])
        case State.COMPLETED | State.FAILED | State.UNLOCKED:
            return _next_requested(view) or _ended(view, job.attempts[-1])
        case State.REGISTERED:
            return _next_requested(view) or _not_begun(view)


def judge_unknown_job(job_id: str, runs: Sequence[SeenRun], advice: Advice, reason: str) -> AuditFinding:
    """Returns the finding about a job that only flow runs name. reason: why the store lacks it, as sentences."""
    last, by_hand = runs[-1], _registers_itself(runs)
    steps: list[NextStep] = []
    if by_hand is not None:
        verdict, text = by_hand
        decide = False
    else:
        verdict = JobVerdict.UNKNOWN_TO_STORE
        text = f"{reason} Run {last.id} {last.status_text}{', and will be refused' if last.alive else ''}."
        steps = [advice.cancel(run.id) for run in runs if run.alive] + [advice.forget(run.id) for run in runs]
        decide = not (last.inline and last.state_type == "CANCELLED")  # cancelled by hand, so nobody waits for it
    return AuditFinding(
        job_id=job_id,
        verdict=verdict,
        state=None,
        attempt=None,
        decide=decide,
        differs=decide,
        since=last.since,
        explanation=text,
        steps=tuple(steps),
        runs=tuple(run.id for run in runs),
    )


def _registers_itself(runs: Sequence[SeenRun]) -> tuple[JobVerdict, str] | None:
    """Returns verdict and text if a live run carries the whole spec: it registers the job when it begins."""
    for run in runs:
        if run.alive and run.inline:
            text = f"Run {run.id}, started by hand, is {run.state_name} and registers the job itself."
            return (JobVerdict.WAITING if run.waits else JobVerdict.RUNNING), text
    return None


def _next_requested(view: _View) -> AuditFinding | None:
    """Returns the finding if a live run is for the next attempt: that run decides what happens to the job."""
    alive = [run for run in view.of(view.next) if run.alive]
    if not alive:
        return None
    run = next((run for run in alive if not run.waits), alive[0])
    before = f" Attempt {view.begun} {_ended_as(view.job.attempts[-1])}." if view.begun else ""
    if run.state_type == "PAUSED":
        text = f"Run {run.id} for attempt {view.next} is paused in Prefect: resume it there, or cancel it.{before}"
        return _finding(view, JobVerdict.WAITING, text, (view.advice.cancel(run.id),), decide=True)
    if run.waits:
        late = " It is due and no worker has taken it yet." if run.state_name == "Late" else ""
        text = f"Run {run.id} for attempt {view.next} waits for a worker ({run.state_name}).{late}{before}"
        return _finding(view, JobVerdict.WAITING, text)
    text = f"Run {run.id} is {run.state_name} and has not taken attempt {view.next} yet.{before}"
    return _finding(view, JobVerdict.RUNNING, text)


def _not_begun(view: _View) -> AuditFinding:
    """Returns the finding about a registered job without an attempt and without a live run for attempt 1."""
    ended = view.of(1)
    if not ended:
        last = view.runs[-1] if view.runs else None
        other_run = f" Run {last.id} is for attempt {last.attempt}." if last else ""
        text = f"The job is registered and Prefect has no run for attempt 1: nothing will happen.{other_run}"
        steps = (view.advice.submit(1), view.advice.retire())
        return _finding(view, JobVerdict.UNKNOWN_TO_PREFECT, text, steps, decide=True)
    steps = (view.advice.submit(1, again=_is_submitted(ended)), view.advice.retire())
    text = f"{_never_began(view, ended[-1])} Nothing will happen."
    return _finding(view, JobVerdict.LOST, text, steps, decide=True, differs=ended[-1].state_type == "COMPLETED")


def _held(view: _View, latest: AttemptStatus) -> AuditFinding:
    run = view.run_of(latest)
    text = f"Attempt {latest.attempt} is open, taken by {latest.worker} at {latest.since}"
    if run is not None and run.state_type in ("RUNNING", "CANCELLING", "PENDING"):
        text += f"; run {run.id} is {run.state_name}."
        return _finding(view, JobVerdict.RUNNING, text, (view.advice.unlock(),))
    if run is None:
        text += (
            f", run {latest.run_id or '-'}, which Prefect does not have: it is a `proxx run` outside Prefect, or was "
            "deleted there. While that process lives there is nothing to do."
        )
    elif run.alive:
        text += f"; run {run.id} is {run.state_name} in Prefect, so nothing shows whether its process lives."
    else:
        text += (
            f"; run {run.id} {run.status_text} in Prefect without closing the attempt: its process died, or cannot "
            "reach Prefect."
        )
        if run.state_type == "COMPLETED":
            text += " The ledger has no result, so nothing counts as made."
    if early := [run for run in view.of(view.next) if run.alive]:
        text += (
            f" Run {early[0].id} for attempt {view.next} is {early[0].state_name}: it is refused if it begins now."
        )
    steps = (view.advice.unlock(), view.advice.submit(view.next, again=_is_submitted(view.of(view.next)), then=True))
    return _finding(view, JobVerdict.HELD, text, steps, decide=True, differs=run is not None)


def _ended(view: _View, latest: AttemptStatus) -> AuditFinding:
    """Returns the finding about a job whose latest attempt is closed, without a live run for the next one."""
    text, differs = _outcome(view, latest)
    refused = view.of(view.next)
    if refused:
        text += f" {_never_began(view, refused[-1])}"
        differs = differs or refused[-1].state_type == "COMPLETED"
    fix_first = latest.state == State.FAILED and latest.code != "INTERRUPTED"
    again = view.advice.submit(view.next, again=_is_submitted(refused), fix_first=fix_first)
    if latest.state == State.COMPLETED:
        steps = (again,) if refused else ()
        return _finding(view, JobVerdict.COMPLETED, text, steps, differs=differs)
    verdict = JobVerdict.FAILED if latest.state == State.FAILED else JobVerdict.LOST
    return _finding(view, verdict, text, (view.advice.history(), again, view.advice.retire()), True, differs)


def _outcome(view: _View, latest: AttemptStatus) -> tuple[str, bool]:
    """Returns the outcome of the latest attempt as text, and whether Prefect contradicts it."""
    text = f"Attempt {latest.attempt} {_ended_as(latest)}.{_remedy(latest.code)}"
    run = view.run_of(latest)
    if run is None:
        return f"{text} It ran outside Prefect, or Prefect no longer has its run.", False
    agrees = STOPPED if latest.code == "INTERRUPTED" else AGREES[latest.state]
    if run.state_type in agrees:
        return text, False
    text += f" Prefect contradicts the ledger: run {run.id} {run.status_text}. The ledger decides what was made."
    return text, True


def _retired(view: _View) -> AuditFinding:
    """Returns the finding about a retired job: COMPLETED if an attempt completed it before, else FAILED."""
    latest = view.job.attempts[-1]
    completed = [attempt.attempt for attempt in view.job.attempts if attempt.state == State.COMPLETED]
    text = f"Retired by {latest.worker} at {latest.since}: {latest.reason or '-'}."
    if completed:
        text = f"Attempt {completed[-1]} completed the job. {text}"
    return _finding(view, JobVerdict.COMPLETED if completed else JobVerdict.FAILED, text)


def _unregistered(view: _View, spec: bool) -> AuditFinding:
    alive = [run for run in view.runs if run.alive]
    if by_hand := _registers_itself(view.runs):
        return _finding(view, *by_hand)
    refusal = view.job.refusals[-1] if view.job.refusals else None
    last = f" The last refusal: {_refused(refusal)}" if refusal is not None else ""
    steps = (view.advice.submit(1), view.advice.retire())
    if spec:
        text = f"The registration of the job was begun and not finished, so the job may own outputs.{last}"
        return _finding(view, JobVerdict.UNKNOWN_TO_STORE, text, steps, decide=True)
    if alive:
        text = f"Run {alive[0].id} is {alive[0].state_name} and will be refused: the job is not registered.{last}"
        return _finding(view, JobVerdict.UNKNOWN_TO_STORE, text, (view.advice.cancel(alive[0].id),), True, True)
    text = f"The job was refused before it was registered, so nothing was begun and it owns no output.{last}"
    return _finding(view, JobVerdict.UNKNOWN_TO_STORE, text)


def _finding(
    view: _View,
    verdict: JobVerdict,
    text: str,
    steps: tuple[NextStep, ...] = (),
    decide: bool = False,
    differs: bool = False,
) -> AuditFinding:
    """Returns the finding, with text and steps about live runs that can no longer do anything."""
    latest = view.job.latest
    since = (latest.ended or latest.since) if latest else (view.job.registered_at or "")
    idle = [run for run in view.runs if run.alive and _will_be_refused(view, run)]
    for run in idle[:3]:
        text += f" Run {run.id} for attempt {run.attempt} is {run.state_name} in Prefect and will be refused."
    more = tuple(view.advice.cancel(run.id) for run in idle[:3])
    return AuditFinding(
        job_id=view.job.job_id,
        verdict=verdict,
        state=view.job.state,
        attempt=latest.attempt if latest else None,
        decide=decide,
        differs=differs or bool(idle),
        since=since or (view.runs[-1].since if view.runs else ""),
        explanation=text,
        steps=steps + tuple(step for step in more if step not in steps),
        runs=tuple(run.id for run in view.runs),
    )


def _will_be_refused(view: _View, run: SeenRun) -> bool:
    """Returns whether the run is refused in any case: another run took its attempt, or its attempt has ended."""
    if view.job.state in (State.RETIRED, State.DAMAGED):
        return view.job.state == State.RETIRED
    if run.attempt > view.begun:
        return False
    attempt = view.job.attempts[run.attempt - 1]
    return attempt.run_id != run.id or attempt != view.job.latest  # the text covers the latest attempt's own run


def _never_began(view: _View, run: SeenRun) -> str:
    refusal = next((r for r in reversed(view.job.refusals) if run.id == r.envelope.run_id), None)
    state = run.status_text if refusal is None else f"ended {run.state_name}"
    text = f"Run {run.id} for attempt {run.attempt} {state} and never began it."
    return text if refusal is None else f"{text} It was refused: {_refused(refusal)}"


def _refused(refusal: RefusalRecord) -> str:
    detail = f" ({' '.join(refusal.detail.split())[:MESSAGE_LENGTH]})" if refusal.detail else ""
    return f"{refusal.code}: {refusal.message.rstrip('.')}{detail}.{_remedy(refusal.code)}"


def _is_submitted(runs: Sequence[SeenRun]) -> bool:
    """Returns whether `submit` without `--again` would return one of these runs, which have ended."""
    return any(run.submitted for run in runs)


def _ended_as(attempt: AttemptStatus) -> str:
    match attempt.state:
        case State.COMPLETED:
            return "completed"
        case State.FAILED:
            return f"failed: {attempt.code or 'its result has no failure code'}"
        case _:
            return f"was closed by an operator, without a result: {attempt.reason or '-'}"


def _remedy(code: str | None) -> str:
    remedy = remedy_of(code) if code is not None else None
    return f" {remedy}" if remedy else ""
