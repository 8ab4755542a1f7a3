"""Jobs handed in and followed, and told as lines or as one document: what `submit` does once it knows which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from proxx.console.failures import failure_data
from proxx.console.wording import err, out, out_json, plural, safe, short_id
from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import ProxxError
from proxx.contracts.error_codes import ERROR_CLASSES
from proxx_flows.cli.job_progress import ProgressView, showing
from proxx_flows.common import connection
from proxx_flows.submission.selection import SelectedJob
from proxx_flows.submission.submit import RefusedJob, Submitted, Submitter, ends
from proxx_flows.submission.summary import JobSummary, failures_in_words

STOPPED: Final = 130
GRAVEST: Final = (STOPPED, 70, 6, 1, 5, 3, 2, 4, 0)
"""The exit statuses of `proxx`, gravest first: of several, `submit` exits with the first one in this order."""

FEW: Final = 20
"""Jobs that a terminal shows each by a line of its own, also where all is well."""

BADLY: Final = frozenset({"Failed", "Crashed", "Cancelled"})
"""States of a run asked for before that ended, and will not make its job any more."""
OVER: Final = BADLY | {"Completed"}

_STATUSES: Final = {code: kind.status for code, kind in ERROR_CLASSES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """What is kept of an end: a thousand summaries with all their outputs would be many."""

    word: str
    status: int
    data: dict[str, Json]


@dataclass(kw_only=True)
class SubmissionProgress:
    """What has happened so far. ends: by run."""

    wanted: int
    answers: list[Submitted | RefusedJob] = field(default_factory=list)
    ends: dict[str, EndedJob] = field(default_factory=dict)
    stopped: ProxxError | None = None
    interrupted: bool = False

    @property
    def running(self) -> list[Submitted]:
        return [answer for answer in self.answers if isinstance(answer, Submitted)]

    @property
    def refused(self) -> list[RefusedJob]:
        return [answer for answer in self.answers if isinstance(answer, RefusedJob)]

    @property
    def status(self) -> int:
        statuses = {refused.why.status for refused in self.refused} | {end.status for end in self.ends.values()}
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


def submit_and_report(desk: Submitter, wanted: Sequence[SelectedJob], *, wait: bool, as_json: bool) -> int:
    """The exit status. Raises what stopped it half-way, unless that is in the document."""
    course = SubmissionProgress(wanted=len(wanted))
    with showing(as_json=as_json) as show, connection.connected():
        try:
            _submit(desk, wanted, course, show)
            if wait:
                _follow(desk, course, show, keep=as_json)
        except ProxxError as why:
            course.stopped = why
        except KeyboardInterrupt:
            course.interrupted = True
    if as_json:
        out_json(_document(desk, course))
        return course.status
    _summary(desk, course, wait)
    if course.stopped is not None:
        if not course.interrupted and len(course.answers) < course.wanted:
            course.stopped.add_note("The same command again does the rest, and nothing twice.")
        raise course.stopped
    return course.status


def _submit(desk: Submitter, wanted: Sequence[SelectedJob], course: SubmissionProgress, show: ProgressView) -> None:
    show.begin("submitting", len(wanted))
    for answer in desk.submit(wanted):
        course.answers.append(answer)
        count = f"[{len(course.answers)}/{len(wanted)}]"
        if isinstance(answer, Submitted):
            show.line(f"{count} {_submitted(answer)}", dull=len(wanted) > FEW)
        else:
            show.line(f"{count} {_refused(answer)}", bad=True)
        show.step(len(course.answers), answer.asked.name if isinstance(answer, Submitted) else "")


def _follow(desk: Submitter, course: SubmissionProgress, show: ProgressView, *, keep: bool) -> None:
    running = course.running
    runs = len({one.run_id for one in running})
    show.begin("done", runs)
    for one, summary in ends(desk.store, running, show.warn):
        data = {key: summary.to_json()[key] for key in _OUTCOME} if keep else {}
        status = {"COMPLETED": 0, "FAILED": 1, "LOST": 1}.get(summary.status)
        if status is None:
            status = _STATUSES.get(summary.failures[0].code, 4)
        course.ends[one.run_id] = EndedJob(word=summary.status, status=status, data=data)
        bad = summary.status != "COMPLETED"
        show.line(f"[{len(course.ends)}/{runs}] {_end(one, summary)}", bad=bad)
        show.step(len(course.ends), one.asked.name)


# --- in words --------------------------------------------------------------------------------------------


def _submitted(one: Submitted) -> str:
    said = "asked for" if one.created else "was asked for before"
    now = "" if one.created else f" ({safe(one.state)})"
    which = f", dispatch {one.dispatch}" if one.dispatch > 1 else ""
    return (
        f"{safe(one.asked.name)}: job {short_id(one.asked.job_id)}, attempt {one.asked.attempt}{which}: "
        f"{said}, run {one.run_id}{now}"
    )


def _refused(one: RefusedJob) -> str:
    detail = f" ({safe(one.why.detail)})" if one.why.detail else ""
    said = f"{one.why.code}: {safe(one.why.message).rstrip('.')}{detail}. {safe(one.why.remedy)}"
    return f"{name_of(one.wanted)}: {said}"


def _end(one: Submitted, end: JobSummary) -> str:
    what = f"{safe(one.asked.name)}: job {short_id(end.job_id)}, attempt {end.attempt}"
    if end.status == "COMPLETED":
        frames = sum(proxy.frames for proxy in end.outputs)
        return f"{what}: COMPLETED, {plural(end.clips.completed, 'clip')}, {plural(frames, 'frame')}"
    made = f", {end.clips.completed} of {plural(end.clips.total, 'clip')} made" if end.status == "FAILED" else ""
    told = "".join(f"\n  {safe(line)}" for line in failures_in_words(end))
    return f"{what}: {end.status}{made}{told}"


def name_of(wanted: SelectedJob) -> str:
    """The spec's file, or where the store's own copy is meant the beginning of the job's id."""
    return safe(wanted.spec) if wanted.spec is not None else f"job {short_id(wanted.job_id)}"


def _summary(desk: Submitter, course: SubmissionProgress, wait: bool) -> None:
    """Counts, and what is to be known now."""
    new = sum(one.created for one in course.running)
    before, refused = len(course.running) - new, len(course.refused)
    left = course.wanted - len(course.answers)
    parts = [f"{new:,} asked for"] if new or not course.answers else []
    parts += [f"{before:,} asked for before"] if before else []
    parts += [f"{refused:,} refused"] if refused else []
    parts += [f"{left:,} not reached"] if left else []
    out(f"{plural(course.wanted, 'job')}: {', '.join(parts)}.")
    if course.ends:
        kinds = Counter(end.word for end in course.ends.values())
        going = len({one.run_id for one in course.running}) - len(course.ends)
        told = [f"{count:,} {word}" for word, count in sorted(kinds.items())]
        out(f"Ended: {', '.join(told)}" + (f"; {going:,} go on." if going else "."))
    ended_badly = not course.ends and any(one.state in BADLY for one in course.running)
    if ended_badly or any(end.word != "COMPLETED" for end in course.ends.values()):
        out("Next: proxx audit says what each job that is not completed needs.")
    if course.interrupted:
        gone = "No longer watched: the runs go on." if wait and not left else "Stopped: the runs asked for go on."
        err(f"proxx: {gone} The same command again makes nothing twice" + (", and does the rest." if left else "."))
    elif not wait and not desk.deployment.ready and any(one.state not in OVER for one in course.running):
        pool = f" of work pool {safe(desk.deployment.work_pool)}" if desk.deployment.work_pool else ""
        out(f"No worker{pool} is there now: the runs wait for one.")


# --- as data ---------------------------------------------------------------------------------------------

_OUTCOME: Final = ("status", "fingerprint", "clips", "failures")


def _document(desk: Submitter, course: SubmissionProgress) -> dict[str, Json]:
    """All of it, always with the same keys. complete: whether every job was dealt with. error: what stopped it."""
    jobs: list[Json] = [_as_data(answer, course.ends) for answer in course.answers]
    return {
        "store": desk.store.uri,
        "store_uuid": desk.store_uuid,
        "deployment": desk.deployment.name,
        "complete": len(course.answers) == course.wanted and not course.interrupted and course.stopped is None,
        "jobs": jobs,
        "error": failure_data(course.stopped) if course.stopped is not None else None,
    }


def _as_data(one: Submitted | RefusedJob, ended: dict[str, EndedJob]) -> dict[str, Json]:
    """outcome: what the ledger says at the end, with --wait. error: why the job was refused."""
    data: dict[str, Json] = {
        "spec": str(one.wanted.spec) if one.wanted.spec is not None else None,
        "job_id": one.wanted.job_id,
        "attempt": one.wanted.attempt,
        "dispatch": None,
        "run_id": None,
        "created": False,
        "state": None,
        "outcome": None,
        "error": None,
    }
    match one:
        case Submitted(dispatch=dispatch, run_id=run_id, created=created, state=state):
            data |= {"dispatch": dispatch, "run_id": run_id, "created": created, "state": state}
            data["outcome"] = ended[run_id].data if run_id in ended else None
        case RefusedJob(why=why):
            data["error"] = failure_data(why)
    return data
