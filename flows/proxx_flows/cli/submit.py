"""`proxx submit`: jobs handed to a pool's workers, once each, however often it is said."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.console.settings import current_settings, json_option, store_option
from proxx.console.wording import out, out_json, plural, safe, short_id, table
from proxx_flows.cli.prefect_logging import prefect_quiet

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.store.base import Store
    from proxx_flows.submission.selection import FailedJob, SelectedJob
    from proxx_flows.submission.submit import Submitter


def _day(_: click.Context, __: click.Parameter, value: datetime | None) -> date | None:
    return value.date() if value is not None else None


@click.command()
@click.argument("specs", metavar="[SPEC]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--attempt",
    type=click.IntRange(min=1, max=9999),
    metavar="N",
    help="Which try is asked for; 1 where nothing is said. It must be the job's next.",
)
@click.option("--again", is_flag=True, help="Ask once more for attempts whose run ended without beginning them.")
@click.option("--wait", is_flag=True, help="Stay until all are done, and tell each end. Ctrl-C only stops watching.")
@click.option(
    "--failed-with",
    metavar="CODE",
    help="Instead of SPEC: all jobs whose latest attempt failed with CODE (DECODE_FAILED, ...).",
)
@click.option(
    "--since",
    type=click.DateTime(("%Y-%m-%d",)),
    callback=_day,
    metavar="DAY",
    help="With --failed-with: those that ended on DAY (2026-01-31, UTC) or later.",
)
@click.option("--yes", is_flag=True, help="With --failed-with: ask for their next attempts; else they are listed.")
@store_option
@json_option
def submit(
    specs: tuple[Path, ...],
    attempt: int | None,
    again: bool,
    wait: bool,
    failed_with: str | None,
    since: date | None,
    yes: bool,
) -> int:
    """Hand jobs to the workers of a pool: each SPEC, and each .json file of a SPEC that is a folder. A job that is in
    the store can be named by its id, or the beginning of it, as other commands take it.

    All specs are read first; if one cannot be used, nothing is submitted and every problem is told. Then each job
    is registered in the store and asked for as one run of Prefect's deployment proxy-job/proxx. A job that is
    refused (its output belongs to another, its attempt is taken or over) is named, and the others go on.

    The same command twice makes nothing twice, and after an interruption it does the rest. The store is one that
    all workers reach: the default in a user's home is refused.

    The exit status is 0 where every job has its run, with --wait where every job is COMPLETED. Of several
    it is the gravest: 6 environment, 1 a job failed, 3 a spec, 4 refused.
    """
    _check_usage(specs, attempt, again, failed_with, since, yes)
    from proxx_flows.cli.job_progress import showing
    from proxx_flows.common.shared_store import open_shared_store
    from proxx_flows.submission.selection import read_selection, spec_files

    store = open_shared_store(current_settings().store)
    if failed_with is not None and since is not None:
        chosen = _next_attempts(store, failed_with, since, yes)
        if chosen is None:
            return 0
    else:
        with showing(as_json=current_settings().json) as show:
            files = spec_files(specs)
            show.begin("reading", len(files))
            chosen = read_selection(files, store, attempt or 1, lambda path, count: show.step(count, path.name))
    with prefect_quiet():
        desk = _desk(store, again)
        from proxx_flows.cli.submitting import submit_and_report

        return submit_and_report(desk, chosen, wait=wait, as_json=current_settings().json)


def _check_usage(
    specs: tuple[Path, ...], attempt: int | None, again: bool, failed_with: str | None, since: date | None, yes: bool
) -> None:
    if failed_with is None:
        if since is not None or yes:
            raise click.UsageError("--since and --yes belong to --failed-with.")
        if not specs:
            raise click.UsageError(
                "Name a spec file, a folder of them, a job of the store, or --failed-with CODE --since DAY."
            )
        return
    if specs or attempt is not None or again:
        raise click.UsageError("--failed-with finds the jobs and their next attempts itself.")
    if since is None:
        raise click.UsageError("--failed-with needs --since DAY, so that nothing old is asked for by mistake.")
    from proxx.contracts.error_codes import ERROR_CLASSES

    if failed_with not in ERROR_CLASSES:
        raise click.UsageError(f"No failure has the code {failed_with} (`proxx history JOB` shows what a job has).")


def _desk(store: Store, again: bool) -> Submitter:
    """Where to hand in, once Prefect and the deployment are known to be there. Only then the store is touched."""
    from proxx.store.opening import initialize_store
    from proxx_flows.common import api, connection
    from proxx_flows.submission.submit import Submitter

    connection.require_prefect()
    deployment = api.find_deployment()
    return Submitter(store=store, store_uuid=initialize_store(store).uuid, deployment=deployment, again=again)


def _next_attempts(store: Store, code: str, since: date, yes: bool) -> tuple[SelectedJob, ...] | None:
    """The next attempts of the jobs that failed so; None where there are none, or nobody wants them."""
    from proxx.contracts.errors import StoreUnavailable
    from proxx.store.opening import store_identity
    from proxx_flows.submission.selection import SelectedJob, failed_with

    if store_identity(store) is None:
        raise StoreUnavailable(message="There is no job store here, or its share is not mounted.", detail=store.uri)
    failed = tuple(failed_with(store, code, since))
    asked = bool(failed) and (yes or _confirmed(failed, code, since))
    if not asked:
        if current_settings().json:
            jobs: list[Json] = [
                {"job_id": job.job_id, "attempt": job.attempt, "ended": job.ended, "message": job.message}
                for job in failed
            ]
            data: dict[str, Json] = {"store": store.uri, "failed_with": code, "since": since.isoformat()}
            out_json({**data, "failed": jobs, "jobs": []})
        elif not failed:
            out(f"No job's latest attempt failed with {code} since {since}.")
        else:
            out("Nothing was asked for; --yes does.")
        return None
    return tuple(SelectedJob(job_id=job.job_id, attempt=job.attempt + 1, spec=None) for job in failed)


def _confirmed(failed: tuple[FailedJob, ...], code: str, since: date) -> bool:
    """Show them, and ask where a person can answer."""
    if current_settings().json:
        return False
    rows = [(short_id(job.job_id), str(job.attempt), job.ended[:19] + "Z", safe(job.message)) for job in failed]
    table(("JOB", "ATTEMPT", "ENDED", "SAID"), rows)
    out(f"{plural(len(failed), 'job')} failed with {code} since {since}.")
    return (
        sys.stdin is not None
        and sys.stdin.isatty()
        and click.confirm(f"Ask for the next attempt of {plural(len(failed), 'job')}?", err=True)
    )
