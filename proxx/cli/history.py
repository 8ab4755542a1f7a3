"""`proxx history`: the whole story of a job, or of all in one timeline, from their events alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from proxx.cli.status import moment
from proxx.console.output import out, out_json, table
from proxx.console.settings import current_settings, json_option, resolve_job_id, store_from_options, store_option
from proxx.console.wording import duration, last_part, plural, safe, short_id

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.store.base import Store
    from proxx.store.replay import JobStory
    from proxx.store.status import Entry, History


def _day(_: click.Context, __: click.Parameter, value: datetime | None) -> str:
    return value.date().isoformat() if value is not None else ""


@click.command()
@click.argument("job", required=False)
@click.option("--all", "everything", is_flag=True, help="All jobs of the store, in one timeline.")
@click.option(
    "--since",
    type=click.DateTime(("%Y-%m-%d",)),
    callback=_day,
    metavar="DAY",
    help="With --all: leave out what happened before DAY (2026-01-31, UTC).",
)
@store_option
@json_option
def history(job: str | None, everything: bool, since: str) -> int:
    """Tell what happened to JOB: an id, the beginning of one, or a spec file. Or to all of them.

    Every line is one event as it was written down at the time, before anything else was done. Nothing but events is
    read for --all, and with --json it holds what they tell: results, states, who owns which output.
    """
    if (job is None) != everything:
        raise click.UsageError("Name a job, or say --all; not both.")
    if since and not everything:
        raise click.UsageError("--since belongs to --all.")
    store = store_from_options()
    if job is None:
        _all(store, since)
        return 0
    from proxx.store.status import job_history as read_history

    told = read_history(store, resolve_job_id(job, store))
    if current_settings().json:
        out_json(told.to_json())
    else:
        _tell(told)
    return 0


def _tell(told: History) -> None:
    out(f"job {told.job_id}")
    attempt = 0
    for entry, what in _told(told.entries):
        if entry.attempt != attempt:
            attempt = entry.attempt
            run = f", run {safe(entry.run_id)}" if entry.run_id else ""
            out(f"\nattempt {attempt}, by {safe(entry.worker)}{run}")
        out(f"  {moment(entry.time)}  {entry.type:<16}  {what}".rstrip())
    for attempt, ended in _ends(told):
        if not ended:
            out(f"\nattempt {attempt} is open: its worker runs, or died")
    for problem in told.problems:
        out(f"\nproblem: {safe(problem)}")


def _all(store: Store, since: str) -> None:
    from proxx.store.replay import job_timeline, stories

    if current_settings().json:
        _all_as_json(store, since)
        return
    rows: list[tuple[tuple[str, str, int, int], tuple[str, ...]]] = []
    notes: list[str] = []
    for job in stories(store):  # of thousands of jobs only the words are kept
        called = short_id(job.job_id)
        for line, (entry, what) in zip(job_timeline(job), _told(job.entries), strict=True):
            if line.at >= since:
                by = safe(entry.worker)
                rows.append((line.order, (moment(entry.time), f"{called} {entry.attempt}", entry.type, by, what)))
        notes += [
            f"{called} attempt {attempt.status.attempt} is open: its worker runs, or died"
            for attempt in job.attempts
            if attempt.status.state == "HELD"
        ]
        notes += [f"problem: {called} {safe(problem)}" for problem in job.problems]
    if rows:
        rows.sort(key=lambda row: row[0])
        table(("TIME", "JOB, ATTEMPT", "EVENT", "BY", "WHAT"), [row for _, row in rows])
    else:
        out(f"No events in {safe(store.uri)}" + (f" since {since}" if since else ""))
    for note in notes:
        out(f"\n{note}")


def _all_as_json(store: Store, since: str) -> None:
    """The timeline, and what its jobs' events tell: a damaged job is among them whenever it was."""
    from proxx.store.replay import outputs, stories, timeline

    jobs = tuple(stories(store))
    told = timeline(jobs, since)
    shown = {line.job_id for line in told} | {job.job_id for job in jobs if job.problems}
    out_json(
        {
            "store": store.uri,
            "since": since or None,
            "entries": [{"job_id": line.job_id, **line.entry.to_json()} for line in told],
            "jobs": [_job_json(job) for job in jobs if job.job_id in shown],
            "outputs": [place.to_json() for place in outputs(jobs) if shown & {*place.owners, *place.former}],
        }
    )


def _job_json(job: JobStory) -> dict[str, Json]:
    """Without the entries, which stand in the timeline."""
    return {key: value for key, value in job.to_json().items() if key != "entries"}


def _told(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Each event with its words. The names of clips are those that the same attempt's events told before."""
    attempt, names = 0, dict[int, str]()
    for entry in entries:
        if entry.attempt != attempt:
            attempt, names = entry.attempt, {}
        yield entry, _what(entry, names)


def _ends(told: History) -> list[tuple[int, bool]]:
    from proxx.contracts.event import TERMINAL

    last = {entry.attempt: entry.type in TERMINAL for entry in told.entries}
    return sorted(last.items())


def _what(entry: Entry, names: dict[int, str]) -> str:
    """One event in words. names: sources by clip, as the attempt's events told them so far."""
    data = entry.data
    clip = data.get("clip")
    if isinstance(clip, int) and isinstance(source := data.get("source"), str):
        names[clip] = last_part(source)
    which = f"clip {clip + 1} {names.get(clip, '')}".rstrip() if isinstance(clip, int) else ""
    match entry.type:
        case "lock.acquired":
            return f"job {short_id(str(data.get('job_id', '')))}"
        case "clip.started":
            return which
        case "clip.publishing":
            return f"{which} -> {safe(data.get('output'))} {safe(data.get('sha256'))}"
        case "clip.completed":
            return f"{which}: {data.get('frames')} frames"
        case "clip.failed":
            return f"{which}: {_failure(data.get('failure'))}"
        case "lock.released":
            return _result(data.get("result"), entry.notes.get("result"))
        case _:
            return f"{safe(data.get('reason'))} (said by {safe(entry.worker)})"


def _failure(failure: object) -> str:
    if not isinstance(failure, dict):
        return ""
    return f"{safe(failure.get('code'))}: {safe(failure.get('message'))}"


def _result(result: object, envelope: object) -> str:
    if not isinstance(result, dict):
        return ""
    clips = [clip for clip in result.get("clips", []) if isinstance(clip, dict)]
    made = sum(clip.get("status") == "COMPLETED" for clip in clips)
    words = f"{safe(result.get('status'))}: {made} of {plural(len(clips), 'clip')}"
    if result.get("stopped"):
        words += f"; stopped: {_failure(result.get('stopped'))}"
    if isinstance(envelope, dict) and isinstance(took := envelope.get("elapsed_ms"), int):
        words += f"; {duration(took)}"
    return f"{words}; result {str(result.get('fingerprint', ''))[:16]}"
