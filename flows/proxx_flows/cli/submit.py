"""`proxx submit`: submit jobs to the workers of a pool.

Each attempt gets one run, however often it is submitted.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.console.output import out, out_json, table
from proxx.console.settings import current_settings, day_option, json_option, store_option
from proxx.console.wording import plural, safe, short_id
from proxx_flows.cli.prefect_logging import prefect_quiet

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.store.base import Store
    from proxx_flows.submission.selection import FailedJob, SelectedJob
    from proxx_flows.submission.submit import Submitter


@click.command()
@click.argument("specs", metavar="[SPEC]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--attempt",
    type=click.IntRange(min=1, max=9999),
    metavar="N",
    help="Submit attempt N of each job, by default attempt 1. It must be the job's next attempt.",
)
@click.option("--again", is_flag=True, help="Submit again the attempts whose run ended without beginning them.")
@click.option(
    "--wait", is_flag=True, help="Wait until all jobs have ended, and report each. Ctrl-C stops the waiting only."
)
@click.option(
    "--failed-with",
    metavar="CODE",
    help="Instead of SPEC: select the jobs whose latest attempt failed with CODE, such as DECODE_FAILED.",
)
@day_option("With --failed-with: select only jobs that failed on DAY (UTC, such as 2026-01-31) or later.")
@click.option(
    "--yes",
    is_flag=True,
    help="With --failed-with: submit the next attempts. Without --yes the jobs are listed, and a terminal asks.",
)
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
    """Submit jobs to the workers of a Prefect work pool.

    SPEC is a spec file, a folder (each .json file in it is a spec), or the id of a job in the store or its first
    digits.

    All specs are read first. If one cannot be used, nothing is submitted and every problem is reported. Then each
    job is registered in the store and gets one run of Prefect's deployment proxy-job/proxx. A job can be refused,
    because another job owns its output or because the attempt is running or has ended; the other jobs are submitted.

    Submitting a job twice creates one run. After an interruption, repeat the command to submit the rest. The store
    must be one that all workers reach, so the default store in your home folder is refused.

    The exit status is 0 if every job has its run, or with --wait if every job is COMPLETED. Otherwise it is 6 for a
    problem of the environment, 1 for a failed job, 3 for an invalid spec, 4 for a refused job; if several apply, the
    first in this order.
    """
    _check_usage(specs, attempt, again, failed_with, since, yes)
    from proxx_flows.cli.job_progress import showing
    from proxx_flows.common.shared_store import open_shared_store
    from proxx_flows.submission.selection import read_selection, spec_files

    store = open_shared_store(current_settings().store)
    if failed_with is not None and since is not None:
        selected = _next_attempts(store, failed_with, since, yes)
        if selected is None:
            return 0
    else:
        with showing(as_json=current_settings().json) as view:
            files = spec_files(specs)
            view.begin("reading", len(files))
            selected = read_selection(files, store, attempt or 1, lambda path, count: view.step(count, path.name))
    with prefect_quiet():
        submitter = _submitter(store, again)
        from proxx_flows.cli.submitting import submit_and_report

        return submit_and_report(submitter, selected, wait=wait, as_json=current_settings().json)


def _check_usage(
    specs: tuple[Path, ...], attempt: int | None, again: bool, failed_with: str | None, since: date | None, yes: bool
) -> None:
    if failed_with is None:
        if since is not None or yes:
            raise click.UsageError("--since and --yes need --failed-with.")
        if not specs:
            raise click.UsageError(
                "Name a spec file, a folder of spec files, a job id, or --failed-with CODE --since DAY."
            )
        return
    if specs or attempt is not None or again:
        raise click.UsageError("--failed-with selects the jobs and attempts: leave out SPEC, --attempt and --again.")
    if since is None:
        raise click.UsageError("--failed-with needs --since DAY, so that no old job is submitted by mistake.")
    from proxx.contracts.errors_by_code import ERROR_CLASSES

    if failed_with not in ERROR_CLASSES:
        raise click.UsageError(f"There is no failure code {failed_with} (`proxx history JOB` shows a job's code).")


def _submitter(store: Store, again: bool) -> Submitter:
    """Checks that Prefect and the deployment are reachable, then creates the store if it does not exist."""
    from proxx.store.opening import initialize_store
    from proxx_flows.common import api, connection
    from proxx_flows.submission.submit import Submitter

    connection.require_prefect()
    deployment = api.find_deployment()
    return Submitter(store=store, store_uuid=initialize_store(store).uuid, deployment=deployment, again=again)


def _next_attempts(store: Store, code: str, since: date, yes: bool) -> tuple[SelectedJob, ...] | None:
    """Returns the next attempts of the jobs that failed with the code.

    Returns None if there are none, or if nobody confirmed; the answer has been printed then.
    """
    from proxx.contracts.errors import StoreUnavailable
    from proxx.store.opening import store_identity
    from proxx_flows.submission.selection import SelectedJob, failed_with

    if store_identity(store) is None:
        raise StoreUnavailable(message="There is no job store here, or its share is not mounted.", detail=store.uri)
    failed = tuple(failed_with(store, code, since))
    confirmed = bool(failed) and (yes or _confirmed(failed, code, since))
    if not confirmed:
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
            out("Nothing was submitted: add --yes to submit these jobs.")
        return None
    return tuple(SelectedJob(job_id=job.job_id, attempt=job.attempt + 1, spec=None) for job in failed)


def _confirmed(failed: tuple[FailedJob, ...], code: str, since: date) -> bool:
    """Lists the jobs, and asks for confirmation on a terminal."""
    if current_settings().json:
        return False
    rows = [(short_id(job.job_id), str(job.attempt), job.ended[:19] + "Z", safe(job.message)) for job in failed]
    table(("JOB", "ATTEMPT", "ENDED", "MESSAGE"), rows)
    out(f"{plural(len(failed), 'job')} failed with {code} since {since}.")
    return (
        sys.stdin is not None
        and sys.stdin.isatty()
        and click.confirm(f"Submit the next attempt of {plural(len(failed), 'job')}?", err=True)
    )
