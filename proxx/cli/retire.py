"""`proxx retire`: ends a job permanently and frees its outputs for another job."""

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
@store_option
@json_option
def retire(job: str, reason: str) -> int:
    """Retire JOB permanently, so that another job can use its output names.

    JOB is a job id, the beginning of one, or a spec file. A retired job can never run again. Its published proxies
    stay where they are. A job with an open attempt cannot be retired.
    """
    from proxx.contracts.event import this_worker
    from proxx.store.lock import retire as retire_job

    store = store_from_options()
    job_id = resolve_job_id(job, store)
    attempt = retire_job(store, job_id, reason, this_worker())
    if current_settings().json:
        out_json({"job_id": job_id, "attempt": attempt, "state": "RETIRED"})
    else:
        out(f"Job {short_id(job_id)} is retired: it can never run again, and another job may use its outputs.")
    return 0
