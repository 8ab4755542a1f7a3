"""Submits the selected jobs, follows their runs with `--wait`, and reports as lines or as one JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from proxx.console.failures import failure_data
from proxx.console.output import err, out, out_json
from proxx.console.wording import plural, safe, short_id
from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors_by_code import ERROR_CLASSES
from proxx_flows.cli.job_progress import ProgressView, showing
from proxx_flows.common import connection
from proxx_flows.submission.selection import SelectedJob
from proxx_flows.submission.submit import RefusedJob, Submitted, Submitter, await_outcomes
from proxx_flows.submission.summary import JobSummary, failures_in_words

STOPPED: Final = 130
GRAVEST: Final = (STOPPED, 70, 6, 1, 5, 3, 2, 4, 0)
"""The exit statuses of `proxx`, gravest first: of several, `submit` exits with the first one in this order."""

FEW: Final = 20
"""Up to this many jobs, a terminal shows a line for each job that was submitted; above it, the bar alone."""

BADLY: Final = frozenset({"Failed", "Crashed", "Cancelled"})
"""States of an earlier run that has ended and will not complete its job."""
OVER: Final = BADLY | {"Completed"}

_STATUSES: Final = {code: kind.status for code, kind in ERROR_CLASSES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """What is kept of a job that ended: a thousand summaries with all their outputs would take too much memory."""

    word: str
    status: int
    data: dict[str, Json]


@dataclass(kw_only=True)
class SubmissionProgress:
    """What has happened so far. wanted: the number of selected jobs. ends: by run id."""

    wanted: int
    answers: list[Submitted | RefusedJob] = field(default_factory=list)
    ends: dict[str, EndedJob] = field(default_factory=dict)
    stopped: ProxxError | None = None
    interrupted: bool = False

    @property
    def submitted(self) -> list[Submitted]:
        return [answer for answer in self.answers if isinstance(answer, Submitted)]

    @property
    def refused(self) -> list[RefusedJob]:
        return [answer for answer in self.answers if isinstance(answer, RefusedJob)]

    @property
    def status(self) -> int:
        statuses = {job.error.status for job in self.refused} | {end.status for end in self.ends.values()}
        if self.stopped is not None:
            statuses.add(self.stopped.status)
        if self.interrupted:
            statuses.add(STOPPED)
        return gravest_status(statuses)


def gravest_status(statuses: Collection[int]) -> int:
    """Returns the gravest of these exit statuses, 0 if there are none.

    A status that GRAVEST lacks is graver than all it has, so that it is never reported as success.
    """
    unlisted = [status for status in statuses if status not in GRAVEST]
    return max(unlisted) if unlisted else next((status for status in GRAVEST if status in statuses), 0)


def submit_and_report(submitter: Submitter, selected: Sequence[SelectedJob], *, wait: bool, as_json: bool) -> int:
    """Submits, follows and reports; returns the exit status.

    Raises the error that stopped the submission, unless it is in the JSON document.
    """
    progress = SubmissionProgress(wanted=len(selected))
    with showing(as_json=as_json) as view, connection.connected():
        try:
            _submit(submitter, selected, progress, view)
            if wait:
                _follow(submitter, progress, view, keep=as_json)
        except ProxxError as error:
            progress.stopped = error
        except KeyboardInterrupt:
            progress.interrupted = True
    if as_json:
        out_json(_document(submitter, progress))
        return progress.status
    _summary(submitter, progress, wait)
    if progress.stopped is not None:
        if not progress.interrupted and len(progress.answers) < progress.wanted:
            progress.stopped.add_note("Repeat the command to submit the rest: no job is submitted twice.")
        raise progress.stopped
    return progress.status


def _submit(
    submitter: Submitter, selected: Sequence[SelectedJob], progress: SubmissionProgress, view: ProgressView
) -> None:
    view.begin("submitting", len(selected))
    for answer in submitter.submit(selected):
        progress.answers.append(answer)
        count = f"[{len(progress.answers)}/{len(selected)}]"
        if isinstance(answer, Submitted):
            view.line(f"{count} {_submitted(answer)}", dull=len(selected) > FEW)
        else:
            view.line(f"{count} {_refused(answer)}", bad=True)
        view.step(len(progress.answers), answer.requested.name if isinstance(answer, Submitted) else "")


def _follow(submitter: Submitter, progress: SubmissionProgress, view: ProgressView, *, keep: bool) -> None:
    """Reports each run as it ends. keep: keep the outcomes for the JSON document."""
    submitted = progress.submitted
    runs = len({job.run_id for job in submitted})
    view.begin("done", runs)
    for job, summary in await_outcomes(submitter.store, submitted, view.warn):
        data = {key: summary.to_json()[key] for key in _OUTCOME} if keep else {}
        status = {"COMPLETED": 0, "FAILED": 1, "LOST": 1}.get(summary.status)
        if status is None:
            status = _STATUSES.get(summary.failures[0].code, 4)
        progress.ends[job.run_id] = EndedJob(word=summary.status, status=status, data=data)
        bad = summary.status != "COMPLETED"
        view.line(f"[{len(progress.ends)}/{runs}] {_end(job, summary)}", bad=bad)
        view.step(len(progress.ends), job.requested.name)


# --- as text ---------------------------------------------------------------------------------------------


def _submitted(job: Submitted) -> str:
    verb = "submitted" if job.created else "was submitted before"
    state = "" if job.created else f" ({safe(job.state)})"
    dispatch = f", dispatch {job.dispatch}" if job.dispatch > 1 else ""
    name = f"{safe(job.requested.name)}: job {short_id(job.requested.job_id)}"
    return f"{name}, attempt {job.requested.attempt}{dispatch}: {verb}, run {job.run_id}{state}"


def _refused(job: RefusedJob) -> str:
    detail = f" ({safe(job.error.detail)})" if job.error.detail else ""
    error = f"{job.error.code}: {safe(job.error.message).rstrip('.')}{detail}. {safe(job.error.remedy)}"
    return f"{name_of(job.selected)}: {error}"


def _end(job: Submitted, end: JobSummary) -> str:
    name = f"{safe(job.requested.name)}: job {short_id(end.job_id)}, attempt {end.attempt}"
    if end.status == "COMPLETED":
        frames = sum(proxy.frames for proxy in end.outputs)
        return f"{name}: COMPLETED, {plural(end.clips.completed, 'clip')}, {plural(frames, 'frame')}"
    made = f", {end.clips.completed} of {plural(end.clips.total, 'clip')} made" if end.status == "FAILED" else ""
    failures = "".join(f"\n  {safe(line)}" for line in failures_in_words(end))
    return f"{name}: {end.status}{made}{failures}"


def name_of(selected: SelectedJob) -> str:
    """Returns the path of the spec file, or the first digits of the job id if the spec is read from the store."""
    return safe(selected.spec) if selected.spec is not None else f"job {short_id(selected.job_id)}"


def _summary(submitter: Submitter, progress: SubmissionProgress, wait: bool) -> None:
    """Prints the counts and what to do next."""
    new = sum(job.created for job in progress.submitted)
    before, refused = len(progress.submitted) - new, len(progress.refused)
    not_reached = progress.wanted - len(progress.answers)
    parts = [f"{new:,} submitted"] if new or not progress.answers else []
    parts += [f"{before:,} submitted before"] if before else []
    parts += [f"{refused:,} refused"] if refused else []
    parts += [f"{not_reached:,} not reached"] if not_reached else []
    out(f"{plural(progress.wanted, 'job')}: {', '.join(parts)}.")
    if progress.ends:
        words = Counter(end.word for end in progress.ends.values())
        running = len({job.run_id for job in progress.submitted}) - len(progress.ends)
        counts = [f"{count:,} {word}" for word, count in sorted(words.items())]
        out(f"Ended: {', '.join(counts)}" + (f"; {running:,} still running." if running else "."))
    ended_badly = not progress.ends and any(job.state in BADLY for job in progress.submitted)
    if ended_badly or any(end.word != "COMPLETED" for end in progress.ends.values()):
        out("Next: `proxx audit` shows what each job that is not completed needs.")
    if progress.interrupted:
        notice = "The runs go on unwatched." if wait and not not_reached else "Stopped: the submitted runs go on."
        purpose = " to submit the rest" if not_reached else ""
        err(f"proxx: {notice} Repeat the command{purpose}: no job is submitted twice.")
    elif not wait and not submitter.deployment.ready and any(job.state not in OVER for job in progress.submitted):
        pool = f" of work pool {safe(submitter.deployment.work_pool)}" if submitter.deployment.work_pool else ""
        out(f"No worker{pool} is online: the runs wait until one is.")


# --- as JSON ---------------------------------------------------------------------------------------------

_OUTCOME: Final = ("status", "fingerprint", "clips", "failures")


def _document(submitter: Submitter, progress: SubmissionProgress) -> dict[str, Json]:
    """Returns the whole answer, always with the same keys.

    complete: whether every job was submitted or refused. error: the error that stopped the submission.
    """
    jobs: list[Json] = [_as_data(answer, progress.ends) for answer in progress.answers]
    complete = len(progress.answers) == progress.wanted and not progress.interrupted and progress.stopped is None
    return {
        "store": submitter.store.uri,
        "store_uuid": submitter.store_uuid,
        "deployment": submitter.deployment.name,
        "complete": complete,
        "jobs": jobs,
        "error": failure_data(progress.stopped) if progress.stopped is not None else None,
    }


def _as_data(job: Submitted | RefusedJob, ended: dict[str, EndedJob]) -> dict[str, Json]:
    """Returns one job. outcome: with --wait, the outcome by the ledger. error: why the job was refused."""
    data: dict[str, Json] = {
        "spec": str(job.selected.spec) if job.selected.spec is not None else None,
        "job_id": job.selected.job_id,
        "attempt": job.selected.attempt,
        "dispatch": None,
        "run_id": None,
        "created": False,
        "state": None,
        "outcome": None,
        "error": None,
    }
    match job:
        case Submitted(dispatch=dispatch, run_id=run_id, created=created, state=state):
            data |= {"dispatch": dispatch, "run_id": run_id, "created": created, "state": state}
            data["outcome"] = ended[run_id].data if run_id in ended else None
        case RefusedJob(error=error):
            data["error"] = failure_data(error)
    return data
