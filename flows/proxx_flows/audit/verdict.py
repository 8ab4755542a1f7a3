"""What to think of one job, seen in the store and in Prefect: one verdict, and what an operator can do. Pure.

The ledger is the truth about what was made; Prefect is the truth about what somebody still asks for. Where they
contradict each other it is said, and the ledger decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxx.contracts.error_codes import ERROR_CLASSES
from proxx.store.registration import RefusalRecord
from proxx.store.status import AttemptStatus, JobStatus, State
from proxx_flows.audit.finding import AuditFinding, JobVerdict
from proxx_flows.audit.next_steps import Advice, NextStep
from proxx_flows.audit.prefect_run import LONGEST, SeenRun

AGREES: Final[dict[State, frozenset[str]]] = {
    State.COMPLETED: frozenset({"COMPLETED"}),
    State.FAILED: frozenset({"FAILED"}),
    State.UNLOCKED: frozenset({"FAILED", "CRASHED", "CANCELLED"}),
}
"""What Prefect may say of a run whose attempt ended so, without a contradiction."""
STOPPED: Final = frozenset({"FAILED", "CANCELLED", "CRASHED"})
"""The same for an attempt that was stopped on request."""

REMEDIES: Final = {code: kind.remedy for code, kind in ERROR_CLASSES.items()}
"""What each failure's own sentence says can be done, by its code."""


@dataclass(frozen=True, kw_only=True)
class _View:
    """One job and its runs; what is asked of it next."""

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
        """The run that took the attempt, where Prefect knows it."""
        return next((run for run in self.runs if run.id == attempt.run_id), None)


def judge_job(job: JobStatus, runs: Sequence[SeenRun], advice: Advice, *, spec: bool = True) -> AuditFinding:
    """The verdict on a job the store has something of. runs: all of them, oldest first. spec: spec.json is there."""
    taken = {attempt.run_id: attempt.attempt for attempt in job.attempts}
    known = (replace(run, attempt=taken.get(run.id, run.attempt)) for run in runs)  # the ledger knows better
    view = _View(job=job, runs=tuple(known), advice=advice)
    match job.state:
        case State.DAMAGED:
            problems = "; ".join(job.problems)
            said = f"The store's records of this job are damaged: {problems}. Restore them from a copy of the store."
            return _finding(view, JobVerdict.LOST, said, (advice.history(),), decide=True)
        case State.RETIRED:
            return _retired(view)
        case State.UNREGISTERED:
            return _unregistered(view, spec)
        case State.HELD:
            return _held(view, job.attempts[-1])
        case State.COMPLETED | State.FAILED | State.UNLOCKED:
            return _asked_again(view) or _ended(view, job.attempts[-1])
        case State.REGISTERED:
            return _asked_again(view) or _nobody_began(view)


def unknown(job_id: str, runs: Sequence[SeenRun], advice: Advice, why: str) -> AuditFinding:
    """The verdict on a job that only runs name. why: what of it the store lacks, as a sentence."""
    last, by_hand = runs[-1], _registers_itself(runs)
    steps: list[NextStep] = []
    if by_hand is not None:
        verdict, said = by_hand
        decide = False
    else:
        verdict = JobVerdict.UNKNOWN_TO_STORE
        said = f"{why} Run {last.id} {last.stands}{', and will be refused' if last.alive else ''}."
        steps = [advice.cancel(run.id) for run in runs if run.alive] + [advice.forget(run.id) for run in runs]
        decide = not (last.inline and last.state_type == "CANCELLED")  # nobody wants it, and nothing is promised
    return AuditFinding(
        job_id=job_id,
        verdict=verdict,
        state=None,
        attempt=None,
        decide=decide,
        differs=decide,
        since=last.since,
        said=said,
        steps=tuple(steps),
        runs=tuple(run.id for run in runs),
    )


def _registers_itself(runs: Sequence[SeenRun]) -> tuple[JobVerdict, str] | None:
    """A run that carries the whole spec needs no registered job: it comes to be when the run begins."""
    for run in runs:
        if run.alive and run.inline:
            said = f"Run {run.id}, started by hand, is {run.state_name} and registers the job itself."
            return (JobVerdict.WAITING if run.waits else JobVerdict.RUNNING), said
    return None


def _asked_again(view: _View) -> AuditFinding | None:
    """The attempt that comes next is asked for: that is what becomes of the job."""
    alive = [run for run in view.of(view.next) if run.alive]
    if not alive:
        return None
    run = next((run for run in alive if not run.waits), alive[0])
    before = f" Attempt {view.begun} {_ended_as(view.job.attempts[-1])}." if view.begun else ""
    if run.state_type == "PAUSED":
        said = f"Run {run.id} for attempt {view.next} is paused in Prefect: resume it there, or cancel it.{before}"
        return _finding(view, JobVerdict.WAITING, said, (view.advice.cancel(run.id),), decide=True)
    if run.waits:
        late = " Its time has come and no worker has taken it yet." if run.state_name == "Late" else ""
        said = f"Run {run.id} waits for a worker, for attempt {view.next} ({run.state_name}).{late}{before}"
        return _finding(view, JobVerdict.WAITING, said)
    said = f"Run {run.id} is {run.state_name} and has not taken attempt {view.next} yet.{before}"
    return _finding(view, JobVerdict.RUNNING, said)


def _nobody_began(view: _View) -> AuditFinding:
    ended = view.of(1)
    if not ended:
        others = f" Run {view.runs[-1].id} asks for attempt {view.runs[-1].attempt}." if view.runs else ""
        said = f"It is registered and Prefect has no run for attempt 1: nothing will happen.{others}"
        steps = (view.advice.submit(1), view.advice.retire())
        return _finding(view, JobVerdict.UNKNOWN_TO_PREFECT, said, steps, decide=True)
    steps = (view.advice.submit(1, again=_keyed(ended)), view.advice.retire())
    said = f"{_never_began(view, ended[-1])} Nothing will happen."
    return _finding(view, JobVerdict.LOST, said, steps, decide=True, differs=ended[-1].state_type == "COMPLETED")


def _held(view: _View, latest: AttemptStatus) -> AuditFinding:
    run = view.run_of(latest)
    who = f"Attempt {latest.attempt} is open, taken by {latest.worker} at {latest.since}"
    if run is not None and run.state_type in ("RUNNING", "CANCELLING", "PENDING"):
        return _finding(
            view, JobVerdict.RUNNING, f"{who}; run {run.id} is {run.state_name}.", (view.advice.unlock(),)
        )
    if run is None:
        said = (
            f"{who}, run {latest.run_id or '-'}, which Prefect does not know: a `proxx run` beside Prefect, or a run "
            "that was deleted there. While that process lives there is nothing to do."
        )
    elif run.alive:
        said = f"{who}; Prefect says run {run.id} is {run.state_name}, so nothing shows whether its process lives."
    else:
        said = (
            f"{who}; run {run.id} {run.stands} in Prefect and has not given the attempt back: its process died, or "
        )
        said += "is only cut off from Prefect."
        if run.state_type == "COMPLETED":
            said += " The ledger has no result, so nothing counts as made."
    if early := [run for run in view.of(view.next) if run.alive]:
        said += (
            f" Run {early[0].id} for attempt {view.next} is {early[0].state_name}: begun before that it is refused."
        )
    steps = (view.advice.unlock(), view.advice.submit(view.next, again=_keyed(view.of(view.next)), then=True))
    return _finding(view, JobVerdict.HELD, said, steps, decide=True, differs=run is not None)


def _ended(view: _View, latest: AttemptStatus) -> AuditFinding:
    """The latest attempt is closed and no run is asked for the next one."""
    said, differs = _of_latest(view, latest)
    refused = view.of(view.next)
    if refused:
        said += f" {_never_began(view, refused[-1])}"
        differs = differs or refused[-1].state_type == "COMPLETED"
    mended = latest.state == State.FAILED and latest.code != "INTERRUPTED"
    again = view.advice.submit(view.next, again=_keyed(refused), mended=mended)
    if latest.state == State.COMPLETED:
        steps = (again,) if refused else ()
        return _finding(view, JobVerdict.COMPLETED, said, steps, differs=differs)
    verdict = JobVerdict.FAILED if latest.state == State.FAILED else JobVerdict.LOST
    return _finding(view, verdict, said, (view.advice.history(), again, view.advice.retire()), True, differs)


def _of_latest(view: _View, latest: AttemptStatus) -> tuple[str, bool]:
    """What became of the latest attempt, and whether Prefect says otherwise."""
    said = f"Attempt {latest.attempt} {_ended_as(latest)}.{_remedy(latest.code)}"
    run = view.run_of(latest)
    if run is None:
        return f"{said} It ran beside Prefect, or Prefect has no record of it any more.", False
    agrees = STOPPED if latest.code == "INTERRUPTED" else AGREES[latest.state]
    if run.state_type in agrees:
        return said, False
    said += f" Prefect says otherwise: run {run.id} {run.stands}. The ledger is the truth about what was made."
    return said, True


def _retired(view: _View) -> AuditFinding:
    """An operator decided; whether it was made before is what counts."""
    latest = view.job.attempts[-1]
    made = [attempt.attempt for attempt in view.job.attempts if attempt.state == State.COMPLETED]
    said = f"Retired by {latest.worker} at {latest.since}: {latest.reason or '-'}."
    if made:
        said = f"Attempt {made[-1]} completed it. {said}"
    return _finding(view, JobVerdict.COMPLETED if made else JobVerdict.FAILED, said)


def _unregistered(view: _View, spec: bool) -> AuditFinding:
    alive = [run for run in view.runs if run.alive]
    if by_hand := _registers_itself(view.runs):
        return _finding(view, *by_hand)
    refusal = view.job.refusals[-1] if view.job.refusals else None
    why = ""
    if refusal is not None:
        why = f" The last refusal: {_refused(refusal)}"
    steps = (view.advice.submit(1), view.advice.retire())
    if spec:
        said = f"Its registration was begun and not finished, so it may hold claims on outputs.{why}"
        return _finding(view, JobVerdict.UNKNOWN_TO_STORE, said, steps, decide=True)
    if alive:
        said = f"Run {alive[0].id} is {alive[0].state_name} and will be refused: the job is not registered.{why}"
        return _finding(view, JobVerdict.UNKNOWN_TO_STORE, said, (view.advice.cancel(alive[0].id),), True, True)
    said = f"It was refused before it was registered, so nothing was begun and nothing is claimed.{why}"
    return _finding(view, JobVerdict.UNKNOWN_TO_STORE, said)


def _finding(
    view: _View,
    verdict: JobVerdict,
    said: str,
    steps: tuple[NextStep, ...] = (),
    decide: bool = False,
    differs: bool = False,
) -> AuditFinding:
    """With what is to be said of runs that can do nothing any more."""
    latest = view.job.latest
    since = (latest.ended or latest.since) if latest else (view.job.registered_at or "")
    idle = [run for run in view.runs if run.alive and _in_vain(view, run)]
    for run in idle[:3]:
        said += f" Run {run.id} for attempt {run.attempt} is {run.state_name} in Prefect and can do nothing any more."
    more = tuple(view.advice.cancel(run.id) for run in idle[:3])
    return AuditFinding(
        job_id=view.job.job_id,
        verdict=verdict,
        state=view.job.state,
        attempt=latest.attempt if latest else None,
        decide=decide,
        differs=differs or bool(idle),
        since=since or (view.runs[-1].since if view.runs else ""),
        said=said,
        steps=steps + tuple(step for step in more if step not in steps),
        runs=tuple(run.id for run in view.runs),
    )


def _in_vain(view: _View, run: SeenRun) -> bool:
    """Whether the run will be refused whatever happens: its attempt has begun by another run or is over."""
    if view.job.state in (State.RETIRED, State.DAMAGED):
        return view.job.state == State.RETIRED
    if run.attempt > view.begun:
        return False
    attempt = view.job.attempts[run.attempt - 1]
    return attempt.run_id != run.id or attempt != view.job.latest  # of the latest's own run its sentence tells


def _never_began(view: _View, run: SeenRun) -> str:
    refusal = next((r for r in reversed(view.job.refusals) if run.id == r.envelope.run_id), None)
    stands = run.stands if refusal is None else f"ended {run.state_name}"
    said = f"Run {run.id} for attempt {run.attempt} {stands} and never began it."
    return said if refusal is None else f"{said} It was refused: {_refused(refusal)}"


def _refused(refusal: RefusalRecord) -> str:
    detail = f" ({' '.join(refusal.detail.split())[:LONGEST]})" if refusal.detail else ""
    return f"{refusal.code}: {refusal.message.rstrip('.')}{detail}.{_remedy(refusal.code)}"


def _keyed(runs: Sequence[SeenRun]) -> bool:
    """Whether `submit` would only be given back a run that has ended."""
    return any(run.submitted for run in runs)


def _ended_as(attempt: AttemptStatus) -> str:
    match attempt.state:
        case State.COMPLETED:
            return "completed"
        case State.FAILED:
            return f"failed: {attempt.code or 'its result does not say why'}"
        case _:
            return f"was closed by an operator, without a result: {attempt.reason or '-'}"


def _remedy(code: str | None) -> str:
    return f" {REMEDIES[code]}" if code in REMEDIES else ""
