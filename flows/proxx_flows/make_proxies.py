"""The flow `make-proxies`, for pipelines: sources become jobs, each one `proxy-job` run, all of it one summary."""

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
from proxx.contracts.naming import DEFAULT_TEMPLATE
from proxx.contracts.profile import find_profile
from proxx.contracts.uri import without_secrets
from proxx.create.jobs import Created, ExamineProgress, create_jobs
from proxx.create.request import CreateRequest
from proxx.engine.execute import register_job
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import InstalledToolchain, find_toolchain
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
from proxx_flows.common.shared_store import places_here, shared_store
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

_WHOLE: Final = ("/", "~", "s3://", "file:/")
_RELATIVE: Final = "This is a relative path, or a root that the worker does not have, and it has no folder of yours."


def _run_name() -> str:
    """For Prefect, which asks before it has checked the parameters."""
    asked = runtime.flow_run.parameters
    sources = asked.get("sources")
    first = last_part(str(sources[0])).rstrip(":") if isinstance(sources, list) and sources else ""
    return safe(f"{asked.get('name') or first or 'proxies'} · {asked.get('profile')}")[:200]


@flow(
    name="make-proxies",
    flow_run_name=_run_name,
    description="Makes editing proxies of camera files: looks at every source, writes one job or several, runs each "
    "as a `proxy-job` run, and says as data what came of it. Nothing is retried and nothing is overwritten.",
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
    accept_damage: Damage = [],  # noqa: B006  (validated into a list of its own, and shown in the form as empty)
    attempt: AttemptField = 1,
    deployment: DeploymentField = None,
) -> State[dict[str, object]]:
    """Make editing proxies of camera files. The state's data is a Summary in plain JSON: `summary_of` reads it."""
    try:
        place = shared_store(store)
        pool = api.find_deployment(deployment) if deployment else None  # before hours of reading
        installed = find_toolchain(toolchain)
        created = _look(
            CreateRequest(
                sources=tuple(sources),
                profile=find_profile(profile),
                toolchain=installed.identity,
                output=output,
                name=name or None,  # a form's empty field
                template=template,
                clips_per_job=clips_per_job,
                leave_out_refused=leave_out_refused,
                accept_damage=tuple(accept_damage),
                date=datetime.date.today().isoformat(),
                places=places_here(),
            ),
            installed,
        )
    except ProxxError as why:
        return _answer(nothing_made(why))
    if pool is None:
        jobs = tuple(_tell(_run_here(place, job, attempt)) for job in created.jobs)
    else:
        jobs = _run_there(place, created.jobs, attempt, pool)
    return _answer(summarize(jobs, created.left_out))


def _answer(summary: Summary) -> State[dict[str, object]]:
    kind = Completed if summary.status == "COMPLETED" else Failed
    return kind(message=in_words(summary), data=summary.to_json())


# --- deciding --------------------------------------------------------------------------------------------


def _look(request: CreateRequest, installed: InstalledToolchain) -> Created:
    """Creation as `proxx create` does it, told in the run's log. Raises PreflightRefused with every problem."""
    _require_absolute(request)
    logger = get_run_logger()
    told: set[int] = set()

    def tell(step: ExamineProgress) -> None:
        if step.index not in told:
            told.add(step.index)
            logger.info("reading %d of %d: %s", step.index + 1, step.count, safe(step.path))

    created = create_jobs(request, ffprobe=installed.ffprobe, decoders=decoders(installed.ffmpeg), on_progress=tell)
    for one in created.notices:
        logger.info("%s: %s", safe(one.path), safe(one.text))
    for problem in created.left_out:
        logger.warning("left out: %s", safe(problem))
    return created


def _require_absolute(request: CreateRequest) -> None:
    """Below the folder a worker happens to stand in nobody would find anything."""
    if runtime.deployment.id is None:
        return
    places = [*map(str, request.sources), request.output]
    problems = tuple(
        Problem(without_secrets(place), PreflightRefused.code, _RELATIVE)
        for place in places
        if not (place.startswith(_WHOLE) or request.places.roots.is_below_a_root(place))
    )
    if problems:
        raise PreflightRefused(message="The request cannot be met.", problems=problems)


# --- executing -------------------------------------------------------------------------------------------


def _known(store: Store, job: JobSpec, asked: RequestedAttempt) -> JobSummary | None:
    """Put the job into the store, its outputs its own. A summary where there is nothing to be run for it."""
    try:
        register_job(job, spec_bytes(job), store, this_worker(), str(runtime.flow_run.id))
        return ended_before(store, asked)
    except ProxxError as why:  # another job has an output, or the store is not well
        return refused_summary(asked, why)


def _run_here(store: Store, job: JobSpec, attempt: int) -> JobSummary:
    """One job as a subflow, or what is known of it where there is nothing to run."""
    asked = RequestedAttempt.of(job, attempt)
    if (known := _known(store, job, asked)) is not None:
        return known
    with tags(*run_tags(asked.name, asked.profile, asked.job_id)):
        state = proxy_job(reference=_reference(store, asked), return_state=True)
    run_id = str(state.state_details.flow_run_id)
    return outcome_of_attempt(
        store, asked, RunEnd(run_id=run_id, state=state.name or "", message=state.message or "")
    )


def _run_there(store: Store, jobs: Sequence[JobSpec], attempt: int, pool: api.Deployment) -> tuple[JobSummary, ...]:
    """All jobs by the pool's workers, as many at once as those take."""
    logger = get_run_logger()
    if not pool.ready:
        logger.warning("no worker polls for %s now: the jobs wait for one", pool.name)
    ends: dict[str, JobSummary] = {}
    runs: dict[str, RequestedAttempt] = {}
    in_vain: set[str] = set()
    try:
        with connection.connected():
            for job in jobs:
                asked = RequestedAttempt.of(job, attempt)
                known = _known(store, job, asked)
                try:
                    if known is None:
                        handed = dispatch_job(pool, _reference(store, asked), asked)
                        runs[handed.run_id] = asked
                        in_vain |= {handed.run_id} if handed.ended else set()
                except ProxxError as why:
                    known = refused_summary(asked, why)
                if known is not None:
                    ends[asked.job_id] = _tell(known)
        logger.info("%s with %s", plural(len(runs), "job is", "jobs are"), pool.name)
        for end in follow(list(runs), logger.warning):
            came = outcome_of_attempt(store, runs[end.run_id], end)
            ends[came.job_id] = _tell(asked_before(store, came) if end.run_id in in_vain else came)
    except BaseException:  # cancelled, most likely
        left = [safe(asked.name) for asked in runs.values() if asked.job_id not in ends]
        logger.warning(
            "this run ends; %s on without it: %s", plural(len(left), "job goes", "jobs go"), ", ".join(left)
        )
        raise
    return tuple(ends[job.job_id] for job in jobs)


def _reference(store: Store, asked: RequestedAttempt) -> JobReference:
    return JobReference(
        store=store.uri, job_id=asked.job_id, attempt=asked.attempt, store_uuid=initialize_store(store).uuid
    )


def _tell(job: JobSummary) -> JobSummary:
    """Into the run's log, and back."""
    logger = get_run_logger()
    before = " before, and is not run again" if job.recorded else ""
    said = f"{safe(job.name)}: job {job.job_id[:SHORT]}, attempt {job.attempt}: {job.status}{before}"
    if job.status == "COMPLETED":
        logger.info("%s", said)
    else:
        logger.error("%s\n%s", said, "\n".join(failures_in_words(job)))
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
    """Run `make-proxies`, within a flow as its subflow, and give its summary, of a failure too.

    Raises only where there is none: wrong parameters, a run that was cancelled or has crashed.
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
    """The summary in the state of a `make-proxies` run: of one made here, or the `.state` of `run_deployment`'s.

    Raises what the run raised where it has no summary.
    """
    data = state.result(raise_on_failure=False, _sync=True)  # type: ignore[call-overload]  # in an async flow too
    if isinstance(data, BaseException):
        raise data
    return Summary.read(data)
