"""`proxx unlock` and `proxx retire`: the two decisions that only a person can make."""

from __future__ import annotations

import click

from proxx.console.output import out, out_json
from proxx.console.settings import current_settings, json_option, resolve_job_id, store_from_options, store_option
from proxx.console.wording import short_id


def _reason(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("say why: it stays in the job's history.")
    return value


reason_option = click.option(
    "--reason", metavar="TEXT", required=True, callback=_reason, help="Why; it stays in the job's history."
)


@click.command()
@click.argument("job")
@reason_option
@click.option("--worker-is-dead", is_flag=True, help="You made sure of that yourself.")
@store_option
@json_option
def unlock(job: str, reason: str, worker_is_dead: bool) -> int:
    """Close the open attempt of JOB, whose worker died.

    JOB is an id, the beginning of one, or a spec file. Nothing else ever closes it: proxx cannot tell a dead
    worker from a slow one. The next attempt is asked for with `proxx run SPEC --attempt N`.
    """
    from proxx.contracts.event import this_worker
    from proxx.store.lock import unlock as close

    if not worker_is_dead:
        raise click.UsageError(
            "nothing was unlocked. Look whether the process that `proxx status` names still runs on its machine. "
            "If it does, stop it there: it gives the lock back itself. If it or its machine is gone, say so with "
            "--worker-is-dead. Should it live after all, it loses the lock and ends LOCK_LOST; it publishes nothing "
            "more, save one verified proxy that it is giving its name at that moment."
        )
    store = store_from_options()
    job_id = resolve_job_id(job, store)
    attempt = close(store, job_id, reason, this_worker())
    if current_settings().json:
        out_json({"job_id": job_id, "attempt": attempt, "state": "UNLOCKED", "next_attempt": attempt + 1})
    else:
        out(
            f"Attempt {attempt} of job {short_id(job_id)} is closed. To go on: proxx run SPEC --attempt {attempt + 1}"
        )
    return 0


@click.command()
@click.argument("job")
@reason_option
@store_option
@json_option
def retire(job: str, reason: str) -> int:
    """End JOB for good, so that another job may have its outputs.

    It is never run again. Published proxies stay where they are. A job that is being run cannot be retired.
    """
    from proxx.contracts.event import this_worker
    from proxx.store.lock import retire as end

    store = store_from_options()
    job_id = resolve_job_id(job, store)
    attempt = end(store, job_id, reason, this_worker())
    if current_settings().json:
        out_json({"job_id": job_id, "attempt": attempt, "state": "RETIRED"})
    else:
        out(f"Job {short_id(job_id)} is retired: it never runs again, and another job may claim its outputs.")
    return 0
