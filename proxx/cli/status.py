"""`proxx status`: the state of all jobs in the store, or of one."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from proxx.console.output import facts, out, out_json, table
from proxx.console.settings import (
    current_settings,
    json_option,
    no_store_yet,
    resolve_job_id,
    since_option,
    store_from_options,
    store_option,
)
from proxx.console.wording import plural, safe, short_id

if TYPE_CHECKING:
    from proxx.store.status import AttemptStatus, JobStatus


@click.command()
@click.argument("job", required=False)
@since_option
@store_option
@json_option
def status(job: str | None, since: date | None) -> int:
    """Show the state of all jobs in the store, or of JOB: a job id, the beginning of one, or a spec file.

    HELD means that an attempt is open: its worker is running or has died. The store cannot tell which, so status
    shows which worker it is and since when.
    """
    from proxx.store.listing import list_jobs
    from proxx.store.status import job_status

    store = store_from_options()
    if job is not None:
        shown = job_status(store, resolve_job_id(job, store))
        if current_settings().json:
            out_json(shown.to_json())
        else:
            _show_job(shown)
        return 0
    jobs = tuple(list_jobs(store, since))
    if current_settings().json:
        out_json({"store": store.uri, "jobs": [each.to_json() for each in jobs]})
    elif not jobs:
        out(no_store_yet(store) or f"No jobs in {safe(store.uri)}" + (f" since {since}" if since else ""))
    else:
        table(("JOB", "STATE", "ATTEMPT", "SINCE", "DETAILS"), [_row(each) for each in jobs])
    return 0


def _row(job: JobStatus) -> tuple[str, ...]:
    latest = job.latest
    since = (latest.ended or latest.since) if latest else (job.registered_at or "")
    return (
        short_id(job.job_id),
        job.state,
        str(latest.attempt) if latest else "-",
        moment(since),
        _details(job, latest),
    )


def _details(job: JobStatus, latest: AttemptStatus | None) -> str:
    if job.problems:
        return safe("; ".join(job.problems))
    if latest is None:
        return f"refused: {job.refusals[-1].code}" if job.refusals else ""
    return attempt_words(latest)


def attempt_words(attempt: AttemptStatus) -> str:
    """Returns who holds the attempt, the code it failed with, or the operator's reason."""
    worker = safe(attempt.worker) if attempt.worker else "an unknown worker"
    match attempt.state:
        case "HELD":
            return f"by {worker}"
        case "UNLOCKED" | "RETIRED":
            return safe(attempt.reason or "")
        case _:
            return attempt.code or ""


def moment(time: str) -> str:
    """Returns a recorded time to the second, `2026-01-31 12:00:00Z`; `-` for an empty one."""
    return safe(time[:19].replace("T", " ") + "Z") if time else "-"


def _show_job(job: JobStatus) -> None:
    latest = job.latest
    fields = {"job": job.job_id, "state": job.state.value}
    if latest is not None and latest.state == "HELD":
        fields["state"] = f"HELD by {safe(latest.worker)} since {moment(latest.since)}, run {safe(latest.run_id)}"
    fields["registered"] = moment(job.registered_at or "") if job.registered else "no"
    fields["outputs"] = str(len(job.outputs))
    facts(fields)
    if job.attempts:
        out()
        head = ("ATTEMPT", "STATE", "STARTED", "ENDED", "EVENTS", "DETAILS")
        table(head, [_attempt_row(attempt) for attempt in job.attempts])
    for refused in job.refusals:
        subject = f"attempt {refused.attempt}" if refused.attempt else "registration"
        detail = f" ({safe(refused.detail)})" if refused.detail else ""
        out(f"\nrefused {moment(refused.envelope.time)}: {subject}: {refused.code}: {safe(refused.message)}{detail}")
    for problem in job.problems:
        out(f"\nproblem: {safe(problem)}")
    out(f"\n{next_step(job)}")


def _attempt_row(attempt: AttemptStatus) -> tuple[str, ...]:
    return (
        str(attempt.attempt),
        attempt.state,
        moment(attempt.since),
        moment(attempt.ended or ""),
        str(attempt.events),
        attempt_words(attempt),
    )


def next_step(job: JobStatus) -> str:
    """Returns what an operator can do next, as one line."""
    next_attempt = len(job.attempts) + 1
    match job.state:
        case "HELD":
            return (
                "Its worker is running or has died. If you have made sure that it has died: "
                f"proxx unlock {short_id(job.job_id)} --reason TEXT --worker-is-dead"
            )
        case "REGISTERED":
            return "Not started yet. To start it: proxx run SPEC"
        case "UNREGISTERED":
            return "Its registration is not finished. proxx run SPEC finishes it; proxx retire frees its outputs."
        case "COMPLETED":
            return "proxx verify SPEC checks the proxies; proxx history shows every event."
        case "FAILED" | "UNLOCKED":
            retry = f"proxx run SPEC --attempt {next_attempt}"
            return f"proxx history {short_id(job.job_id)} shows why. To try again: {retry}"
        case "RETIRED":
            return "It can never run again."
        case _:
            return f"{plural(len(job.problems), 'problem')}: restore the missing objects from a backup of the store."
