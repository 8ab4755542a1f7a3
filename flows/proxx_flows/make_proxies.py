"""The flow `make-proxies`, for pipelines: creates jobs from sources, runs each as `proxy-job`, returns a summary."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from typing import Final

from prefect import flow, get_run_logger, runtime, tags
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from proxx.console.wording import last_part, plural, safe
from proxx.contracts.error_bases import Problem, ProxxError
from proxx.contracts.errors import PreflightRefused
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.output_names import DEFAULT_TEMPLATE
from proxx.contracts.profile import find_profile
from proxx.contracts.uri import without_secrets
from proxx.create.jobs import Created, ExamineProgress, create_jobs
from proxx.create.request import CreateRequest
from proxx.engine.execute import register_job
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.store.base import Store
from proxx.store.opening import initialize_store
from proxx_flows.common import api, connection
from proxx_flows.common.form import (
    AttemptField,
    Build,
    ClipsPerJob,
    Damage,
    DeploymentField,
    JobName,
    LeaveOut,
    OutputField,
    Profile,
    Sources,
    StorePlace,
    Template,
    ToolchainField,
)
from proxx_flows.common.reference import SHORT, JobReference, run_tags
from proxx_flows.common.shared_store import open_shared_store, places_from_environment
from proxx_flows.proxy_job import proxy_job
from proxx_flows.submission.dispatch import dispatch_job, follow
from proxx_flows.submission.outcome import (
    RequestedAttempt,
    RunEnd,
    asked_before,
    ended_before,
    outcome_of_attempt,
    refused_summary,
)
from proxx_flows.submission.summary import JobSummary, Summary, failures_in_words, in_words, nothing_made, summarize

_ABSOLUTE: Final = ("/", "~", "s3://", "file:/")
_RELATIVE: Final = (
    "This is a relative path, or a root that this worker does not have. Give an absolute path, `s3://bucket/prefix`, "
    "or a path below one of the worker's roots (PROXX_ROOTS)."
)


def _run_name() -> str:
    """Returns the run's name. Prefect calls it before it checks the parameters."""
    parameters = runtime.flow_run.parameters
    sources = parameters.get("sources")
    first = last_part(str(sources[0])).rstrip(":") if isinstance(sources, list) and sources else ""
    return safe(f"{parameters.get('name') or first or 'proxies'} · {parameters.get('profile')}")[:200]


@flow(
    name="make-proxies",
    flow_run_name=_run_name,
    description="Makes editing proxies of camera files. It examines every source, creates one job or several, runs "
    "each as a `proxy-job` run, and returns a summary as JSON. It retries nothing and overwrites nothing.",
    retries=0,
    persist_result=True,
    result_serializer="json",
)
def make_proxies(
    sources: Sources,
    profile: Profile,
    output: OutputField,
    store: StorePlace = None,
    name: JobName = None,
    clips_per_job: ClipsPerJob = None,
    template: Template = DEFAULT_TEMPLATE,
    toolchain: Build = "static",
    leave_out_refused: LeaveOut = False,
    accept_damage: Damage = [],  # noqa: B006  (validated into a new list, and shown in the form as empty)
    attempt: AttemptField = 1,
    deployment: DeploymentField = None,
) -> State[dict[str, object]]:
    """Makes editing proxies of camera files. The state's data is a Summary in plain JSON: `summary_of` reads it."""
    try:
        shared_store = open_shared_store(store)
        pool = api.find_deployment(deployment) if deployment else None  # fails here, before hours of reading
        installed = find_toolchain(toolchain)
        created = _create_jobs(
            CreateRequest(
                sources=tuple(sources),
                profile=find_profile(profile),
                toolchain=installed.identity,
                output=output,
                name=name or None,  # an empty field of the form
                template=template,
                clips_per_job=clips_per_job,
                leave_out_refused=leave_out_refused,
                accept_damage=tuple(accept_damage),
                date=datetime.date.today().isoformat(),
                places=places_from_environment(),
            ),
            installed,
        )
    except ProxxError as error:
        return _final_state(nothing_made(error))
    if pool is None:
        jobs = tuple(_log_summary(_run_as_subflow(shared_store, job, attempt)) for job in created.jobs)
    else:
        jobs = _run_on_pool(shared_store, created.jobs, attempt, pool)
    return _final_state(summarize(jobs, created.left_out))


def _final_state(summary: Summary) -> State[dict[str, object]]:
    kind = Completed if summary.status == "COMPLETED" else Failed
    return kind(message=in_words(summary), data=summary.to_json())


# --- creating the jobs -----------------------------------------------------------------------------------


def _create_jobs(request: CreateRequest, installed: InstalledToolchain) -> Created:
    """Creates the jobs like `proxx create`, and logs its progress. Raises PreflightRefused with every problem."""
    _require_absolute(request)
    logger = get_run_logger()
    logged: set[int] = set()

    def log_progress(step: ExamineProgress) -> None:
        if step.index not in logged:
            logged.add(step.index)
            logger.info("reading %d of %d: %s", step.index + 1, step.count, safe(step.path))

    created = create_jobs(
        request, ffprobe=installed.ffprobe, decoders=decoders(installed.ffmpeg), on_progress=log_progress
    )
    for notice in created.notices:
        logger.info("%s: %s", safe(notice.path), safe(notice.text))
    for problem in created.left_out:
        logger.warning("left out: %s", safe(problem))
    return created


def _require_absolute(request: CreateRequest) -> None:
    """Raises PreflightRefused for a relative path in a deployed run: the worker's current folder is arbitrary."""
    if runtime.deployment.id is None:
        return
    places = [*map(str, request.sources), request.output]
    problems = tuple(
        Problem(without_secrets(place), PreflightRefused.code, _RELATIVE)
        for place in places
        if not (place.startswith(_ABSOLUTE) or request.places.roots.is_below_a_root(place))
    )
    if problems:
        raise PreflightRefused(message="The request cannot be met.", problems=problems)


# --- running them ----------------------------------------------------------------------------------------


def _register(store: Store, job: JobSpec, requested: RequestedAttempt) -> JobSummary | None:
    """Registers the job and claims its outputs. Returns a summary if there is nothing to run for it."""
    try:
        register_job(job, spec_bytes(job), store, this_worker(), str(runtime.flow_run.id))
        return ended_before(store, requested)
    except ProxxError as error:  # another job has claimed an output, or the store is unavailable or damaged
        return refused_summary(requested, error)


def _run_as_subflow(store: Store, job: JobSpec, attempt: int) -> JobSummary:
    """Runs one job as a subflow, unless there is nothing to run."""
    requested = RequestedAttempt.of(job, attempt)
    if (summary := _register(store, job, requested)) is not None:
        return summary
    with tags(*run_tags(requested.name, requested.profile, requested.job_id)):
        state = proxy_job(reference=_reference(store, requested), return_state=True)
    run_id = str(state.state_details.flow_run_id)
    return outcome_of_attempt(
        store, requested, RunEnd(run_id=run_id, state=state.name or "", message=state.message or "")
    )


def _run_on_pool(store: Store, jobs: Sequence[JobSpec], attempt: int, pool: api.Deployment) -> tuple[JobSummary, ...]:
    """Hands all jobs to the pool's workers and waits for all. The workers decide how many run at once."""
    logger = get_run_logger()
    if not pool.ready:
        logger.warning("no worker polls for %s at present: the jobs wait until one does", pool.name)
    summaries: dict[str, JobSummary] = {}
    runs: dict[str, RequestedAttempt] = {}
    ended_earlier: set[str] = set()
    try:
        with connection.connected():
            for job in jobs:
                requested = RequestedAttempt.of(job, attempt)
                summary = _register(store, job, requested)
                try:
                    if summary is None:
                        dispatched = dispatch_job(pool, _reference(store, requested), requested)
                        runs[dispatched.run_id] = requested
                        ended_earlier |= {dispatched.run_id} if dispatched.ended else set()
                except ProxxError as error:
                    summary = refused_summary(requested, error)
                if summary is not None:
                    summaries[requested.job_id] = _log_summary(summary)
        logger.info("waiting for %s of %s", plural(len(runs), "run"), pool.name)
        for end in follow(list(runs), logger.warning):
            outcome = outcome_of_attempt(store, runs[end.run_id], end)
            outcome = asked_before(store, outcome) if end.run_id in ended_earlier else outcome
            summaries[outcome.job_id] = _log_summary(outcome)
    except BaseException:  # most likely this run was cancelled
        waiting = [safe(requested.name) for requested in runs.values() if requested.job_id not in summaries]
        logger.warning(
            "this run ends before its jobs; %s without it: %s",
            plural(len(waiting), "job continues", "jobs continue"),
            ", ".join(waiting),
        )
        raise
    return tuple(summaries[job.job_id] for job in jobs)


def _reference(store: Store, requested: RequestedAttempt) -> JobReference:
    job_id, attempt, uuid = requested.job_id, requested.attempt, initialize_store(store).uuid
    return JobReference(store=store.uri, job_id=job_id, attempt=attempt, store_uuid=uuid)


def _log_summary(job: JobSummary) -> JobSummary:
    """Writes the summary to the run's log, and returns it."""
    logger = get_run_logger()
    earlier = " in an earlier run, and is not run again" if job.recorded else ""
    text = f"{safe(job.name)}: job {job.job_id[:SHORT]}, attempt {job.attempt}: {job.status}{earlier}"
    if job.status == "COMPLETED":
        logger.info("%s", text)
    else:
        logger.error("%s\n%s", text, "\n".join(failures_in_words(job)))
    return job


# --- for callers -----------------------------------------------------------------------------------------


def proxies(
    sources: Sequence[str | os.PathLike[str]],
    profile: str,
    output: str | os.PathLike[str],
    *,
    store: str | None = None,
    name: str | None = None,
    clips_per_job: int | None = None,
    template: str = DEFAULT_TEMPLATE,
    toolchain: ToolchainField = "static",
    leave_out_refused: bool = False,
    accept_damage: Sequence[str] = (),
    attempt: int = 1,
    deployment: str | None = None,
) -> Summary:
    """Runs `make-proxies`, as a subflow if called in a flow, and returns its summary, also if it failed.

    Raises only if there is no summary: wrong parameters, or a run that was cancelled or crashed.
    """
    state = make_proxies(
        sources=[os.fspath(source) for source in sources],
        profile=profile,
        output=os.fspath(output),
        store=store,
        name=name,
        clips_per_job=clips_per_job,
        template=template,
        toolchain=toolchain,
        leave_out_refused=leave_out_refused,
        accept_damage=list(accept_damage),
        attempt=attempt,
        deployment=deployment,
        return_state=True,
    )
    return summary_of(state)


def summary_of(state: State) -> Summary:
    """Returns the summary of a `make-proxies` run from its state, for example `run_deployment(...).state`.

    Raises the run's exception if it has no summary.
    """
    data = state.result(raise_on_failure=False, _sync=True)  # type: ignore[call-overload]  # in an async flow too
    if isinstance(data, BaseException):
        raise data
    return Summary.read(data)
