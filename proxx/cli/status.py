"""`proxx status`: what the store says of all jobs, or of one."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from proxx.console.output import facts, out, out_json, table
from proxx.console.settings import (
    current_settings,
    json_option,
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
    """Show all jobs of the store, or JOB: an id, the beginning of one, or a spec file.

    HELD means that an attempt is open: its worker runs, or died. Nothing in the store can tell which, so it is
    shown who it is and since when.
    """
    from proxx.store.listing import list_jobs
    from proxx.store.status import job_status

    store = store_from_options()
    if job is not None:
        found = job_status(store, resolve_job_id(job, store))
        if current_settings().json:
            out_json(found.to_json())
        else:
            _one(found)
        return 0
    jobs = tuple(list_jobs(store, since))
    if current_settings().json:
        out_json({"store": store.uri, "jobs": [each.to_json() for each in jobs]})
    elif not jobs:
        out(f"No jobs in {safe(store.uri)}" + (f" since {since}" if since else ""))
    else:
        table(("JOB", "STATE", "ATTEMPT", "SINCE", "SAID"), [_row(each) for each in jobs])
    return 0


def _row(job: JobStatus) -> tuple[str, ...]:
    latest = job.latest
    since = (latest.ended or latest.since) if latest else (job.registered_at or "")
    return (
        short_id(job.job_id),
        job.state,
        str(latest.attempt) if latest else "-",
        moment(since),
        _said(job, latest),
    )


def _said(job: JobStatus, latest: AttemptStatus | None) -> str:
    if job.problems:
        return safe("; ".join(job.problems))
    if latest is None:
        return f"refused: {job.refusals[-1].code}" if job.refusals else ""
    return attempt_words(latest)


def attempt_words(attempt: AttemptStatus) -> str:
    """Who holds it, why it failed, or what the operator said."""
    who = safe(attempt.worker) if attempt.worker else "somebody"
    match attempt.state:
        case "HELD":
            return f"by {who}"
        case "UNLOCKED" | "RETIRED":
            return safe(attempt.reason or "")
        case _:
            return attempt.code or ""


def moment(time: str) -> str:
    """`2026-01-31 12:00:00Z` from the record's form: seconds are enough for people."""
    return safe(time[:19].replace("T", " ") + "Z") if time else "-"


def _one(job: JobStatus) -> None:
    latest = job.latest
    said = {"job": job.job_id, "state": job.state.value}
    if latest is not None and latest.state == "HELD":
        said["state"] = f"HELD by {safe(latest.worker)} since {moment(latest.since)}, run {safe(latest.run_id)}"
    said["registered"] = moment(job.registered_at or "") if job.registered else "no"
    said["outputs"] = str(len(job.outputs))
    facts(said)
    if job.attempts:
        out()
        head = ("ATTEMPT", "STATE", "TAKEN", "ENDED", "EVENTS", "SAID")
        table(head, [_attempt_row(attempt) for attempt in job.attempts])
    for refused in job.refusals:
        asked = f"attempt {refused.attempt}" if refused.attempt else "registration"
        detail = f" ({safe(refused.detail)})" if refused.detail else ""
        out(f"\nrefused {moment(refused.envelope.time)}: {asked}: {refused.code}: {safe(refused.message)}{detail}")
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
    """What an operator can do about it."""
    following = len(job.attempts) + 1
    match job.state:
        case "HELD":
            return (
                "It is being run, or its worker died. In the second case, and only then: "
                f"proxx unlock {short_id(job.job_id)} --reason TEXT --worker-is-dead"
            )
        case "REGISTERED":
            return "Nobody has begun: proxx run SPEC"
        case "UNREGISTERED":
            return "Its registration was not finished: proxx run SPEC does it, proxx retire gives up what it claimed."
        case "COMPLETED":
            return "proxx verify SPEC checks the files; proxx history tells how they came to be."
        case "FAILED" | "UNLOCKED":
            return f"proxx history {short_id(job.job_id)} tells why; then: proxx run SPEC --attempt {following}"
        case "RETIRED":
            return "It is never run again."
        case _:
            return f"{plural(len(job.problems), 'problem')}: restore what is missing from a copy of the store."
