"""`proxx unlock`: closes an attempt whose worker is dead, which only a person can know."""

from __future__ import annotations

import click

from proxx.console.output import out, out_json
from proxx.console.settings import (
    current_settings,
    json_option,
    reason_option,
    resolve_job_id,
    store_from_options,
    store_option,
)
from proxx.console.wording import short_id


@click.command()
@click.argument("job")
@reason_option
@click.option("--worker-is-dead", is_flag=True, help="Confirm that the worker is dead; check that first.")
@store_option
@json_option
def unlock(job: str, reason: str, worker_is_dead: bool) -> int:
    """Close the open attempt of JOB after its worker died.

    JOB is a job id, the beginning of one, or a spec file. proxx never closes an attempt by itself, because it
    cannot tell a dead worker from a slow one. To run the job again: `proxx run SPEC --attempt N`.
    """
    from proxx.contracts.event import this_worker
    from proxx.store.lock import unlock as close_attempt

    if not worker_is_dead:
        raise click.UsageError(
            "nothing was unlocked. Check whether the process that `proxx status` shows still runs on its machine. "
            "If it runs, stop it there: it then releases the lock itself. If the process or its machine is gone, "
            "confirm that with --worker-is-dead. A worker that is alive after all loses the lock and ends with "
            "LOCK_LOST; it publishes nothing more, except a verified proxy it may be publishing at that moment."
        )
    store = store_from_options()
    job_id = resolve_job_id(job, store)
    attempt = close_attempt(store, job_id, reason, this_worker())
    if current_settings().json:
        out_json({"job_id": job_id, "attempt": attempt, "state": "UNLOCKED", "next_attempt": attempt + 1})
    else:
        out(
            f"Attempt {attempt} of job {short_id(job_id)} is closed. "
            f"To run the job again: proxx run SPEC --attempt {attempt + 1}"
        )
    return 0
