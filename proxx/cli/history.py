"""`proxx history`: every event of a job, or of all jobs in one timeline, read from the events alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import click

from proxx.cli.status import moment
from proxx.console.output import out, out_json, table
from proxx.console.settings import (
    current_settings,
    day_option,
    json_option,
    no_store_yet,
    resolve_job_id,
    store_from_options,
    store_option,
)
from proxx.console.wording import duration, last_part, plural, safe, short_id

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.store.base import Store
    from proxx.store.replay import JobStory
    from proxx.store.status import Entry, History


@click.command()
@click.argument("job", required=False)
@click.option("--all", "everything", is_flag=True, help="Show all jobs of the store in one timeline.")
@day_option("With --all: only events on DAY (UTC, such as 2026-01-31) or later.")
@store_option
@json_option
def history(job: str | None, everything: bool, since: date | None) -> int:
    """Show every event of JOB: a job id, the beginning of one, or a spec file. With --all, of all jobs.

    Each line is one event, recorded when it happened and before the worker went on. --all reads nothing but events;
    with --json it also gives what follows from them: results, states, and which job owns which output.
    """
    if (job is None) != everything:
        raise click.UsageError("Give either JOB or --all.")
    if since and not everything:
        raise click.UsageError("--since can only be used with --all.")
    store = store_from_options()
    if job is None:
        _show_all(store, since.isoformat() if since else "")
        return 0
    from proxx.store.status import job_history

    events = job_history(store, resolve_job_id(job, store))
    if current_settings().json:
        out_json(events.to_json())
    else:
        _show(events)
    return 0


def _show(events: History) -> None:
    out(f"job {events.job_id}")
    attempt = 0
    for entry, text in _described(events.entries):
        if entry.attempt != attempt:
            attempt = entry.attempt
            run = f", run {safe(entry.run_id)}" if entry.run_id else ""
            out(f"\nattempt {attempt}, by {safe(entry.worker)}{run}")
        out(f"  {moment(entry.time)}  {entry.type:<16}  {text}".rstrip())
    for attempt, ended in _ends(events):
        if not ended:
            out(f"\nattempt {attempt} is open: its worker is running or has died")
    for problem in events.problems:
        out(f"\nproblem: {safe(problem)}")


def _show_all(store: Store, since: str) -> None:
    from proxx.store.replay import job_timeline, stories

    if current_settings().json:
        _all_as_json(store, since)
        return
    rows: list[tuple[tuple[str, str, int, int], tuple[str, ...]]] = []
    notes: list[str] = []
    for job in stories(store):  # only the text is kept in memory: there may be thousands of jobs
        name = short_id(job.job_id)
        for line, (entry, text) in zip(job_timeline(job), _described(job.entries), strict=True):
            if line.at >= since:
                by = safe(entry.worker)
                rows.append((line.order, (moment(entry.time), f"{name} {entry.attempt}", entry.type, by, text)))
        notes += [
            f"{name} attempt {attempt.status.attempt} is open: its worker is running or has died"
            for attempt in job.attempts
            if attempt.status.state == "HELD"
        ]
        notes += [f"problem: {name} {safe(problem)}" for problem in job.problems]
    if rows:
        rows.sort(key=lambda row: row[0])
        table(("TIME", "JOB, ATTEMPT", "EVENT", "BY", "DETAILS"), [row for _, row in rows])
    else:
        out(no_store_yet(store) or f"No events in {safe(store.uri)}" + (f" since {since}" if since else ""))
    for note in notes:
        out(f"\n{note}")


def _all_as_json(store: Store, since: str) -> None:
    """Prints the timeline and the jobs in it. Damaged jobs are always included, whatever their dates."""
    from proxx.store.replay import outputs, stories, timeline

    jobs = tuple(stories(store))
    lines = timeline(jobs, since)
    shown = {line.job_id for line in lines} | {job.job_id for job in jobs if job.problems}
    out_json(
        {
            "store": store.uri,
            "since": since or None,
            "entries": [{"job_id": line.job_id, **line.entry.to_json()} for line in lines],
            "jobs": [_job_json(job) for job in jobs if job.job_id in shown],
            "outputs": [each.to_json() for each in outputs(jobs) if shown & {*each.owners, *each.former}],
        }
    )


def _job_json(job: JobStory) -> dict[str, Json]:
    """Returns the job without its entries, which are in the timeline."""
    return {key: value for key, value in job.to_json().items() if key != "entries"}


def _described(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Yields each event with its description. A clip's name comes from an earlier event of the same attempt."""
    attempt, names = 0, dict[int, str]()
    for entry in entries:
        if entry.attempt != attempt:
            attempt, names = entry.attempt, {}
        yield entry, _describe(entry, names)


def _ends(events: History) -> list[tuple[int, bool]]:
    """Returns for each attempt whether its last event closed it."""
    from proxx.contracts.event import TERMINAL

    last = {entry.attempt: entry.type in TERMINAL for entry in events.entries}
    return sorted(last.items())


def _describe(entry: Entry, names: dict[int, str]) -> str:
    """Returns one event in words. names: source names by clip, filled from the attempt's events so far."""
    data = entry.data
    clip = data.get("clip")
    if isinstance(clip, int) and isinstance(source := data.get("source"), str):
        names[clip] = last_part(source)
    label = f"clip {clip + 1} {names.get(clip, '')}".rstrip() if isinstance(clip, int) else ""
    match entry.type:
        case "lock.acquired":
            return f"job {short_id(str(data.get('job_id', '')))}"
        case "clip.started":
            return label
        case "clip.publishing":
            return f"{label} -> {safe(data.get('output'))} {safe(data.get('sha256'))}"
        case "clip.completed":
            return f"{label}: {data.get('frames')} frames"
        case "clip.failed":
            return f"{label}: {_failure(data.get('failure'))}"
        case "lock.released":
            return _result(data.get("result"), entry.notes.get("result"))
        case _:
            return f"{safe(data.get('reason'))} (by {safe(entry.worker)})"


def _failure(failure: object) -> str:
    if not isinstance(failure, dict):
        return ""
    return f"{safe(failure.get('code'))}: {safe(failure.get('message'))}"


def _result(result: object, envelope: object) -> str:
    if not isinstance(result, dict):
        return ""
    clips = [clip for clip in result.get("clips", []) if isinstance(clip, dict)]
    completed = sum(clip.get("status") == "COMPLETED" for clip in clips)
    text = f"{safe(result.get('status'))}: {completed} of {plural(len(clips), 'clip')}"
    if result.get("stopped"):
        text += f"; stopped: {_failure(result.get('stopped'))}"
    if isinstance(envelope, dict) and isinstance(took := envelope.get("elapsed_ms"), int):
        text += f"; {duration(took)}"
    return f"{text}; result {str(result.get('fingerprint', ''))[:16]}"
