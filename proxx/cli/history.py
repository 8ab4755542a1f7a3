"""`proxx history`: the whole story of a job, from its events alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from proxx.cli.settings import current, json_option, store_option, the_store, which_job
from proxx.cli.status import moment
from proxx.cli.words import duration, many, name_of, out, out_json, safe, short

if TYPE_CHECKING:
    from proxx.status import Entry, History


@click.command()
@click.argument("job")
@store_option
@json_option
def history(job: str) -> int:
    """Tell what happened to JOB: an id, the beginning of one, or a spec file.

    Every line is one event as it was written down at the time, before anything else was done.
    """
    from proxx.status import history as read_history

    store = the_store()
    told = read_history(store, which_job(job, store))
    if current().json:
        out_json(told.to_json())
    else:
        _tell(told)
    return 0


def _tell(told: History) -> None:
    out(f"job {told.job_id}")
    attempt, names = 0, dict[int, str]()
    for entry in told.entries:
        if entry.attempt != attempt:
            attempt, names = entry.attempt, {}
            run = f", run {safe(entry.run_id)}" if entry.run_id else ""
            out(f"\nattempt {attempt}, by {safe(entry.worker)}{run}")
        out(f"  {moment(entry.time)}  {entry.type:<16}  {_what(entry, names)}".rstrip())
    for attempt, ended in _ends(told):
        if not ended:
            out(f"\nattempt {attempt} is open: its worker runs, or died")
    for problem in told.problems:
        out(f"\nproblem: {safe(problem)}")


def _ends(told: History) -> list[tuple[int, bool]]:
    from proxx.event import TERMINAL

    last = {entry.attempt: entry.type in TERMINAL for entry in told.entries}
    return sorted(last.items())


def _what(entry: Entry, names: dict[int, str]) -> str:
    """One event in words. names: sources by clip, as the attempt's events told them so far."""
    data = entry.data
    clip = data.get("clip")
    if isinstance(clip, int) and isinstance(source := data.get("source"), str):
        names[clip] = name_of(source)
    which = f"clip {clip + 1} {names.get(clip, '')}".rstrip() if isinstance(clip, int) else ""
    match entry.type:
        case "lock.acquired":
            return f"job {short(str(data.get('job_id', '')))}"
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
    words = f"{safe(result.get('status'))}: {made} of {many(len(clips), 'clip')}"
    if result.get("stopped"):
        words += f"; stopped: {_failure(result.get('stopped'))}"
    if isinstance(envelope, dict) and isinstance(took := envelope.get("elapsed_ms"), int):
        words += f"; {duration(took)}"
    return f"{words}; result {str(result.get('fingerprint', ''))[:16]}"
