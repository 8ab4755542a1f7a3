"""The flow `proxy-job`: one attempt of one job is one flow run with one task, which calls the engine once."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, Final

from prefect import flow, get_run_logger, runtime, task
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Completed, Failed
from pydantic import Field

from proxx.contracts.error_bases import EnvironmentFailure, ProxxError, Refusal
from proxx.contracts.errors import AttemptClosed, Locked
from proxx.contracts.event import Worker, this_worker
from proxx.engine.execute import RunEnvironment, execute
from proxx_flows.common.errors import AskedWrongly
from proxx_flows.common.form import form_text
from proxx_flows.common.reference import JobReference
from proxx_flows.common.shared_store import places_from_environment
from proxx_flows.job.cancellation import cancellable_execution
from proxx_flows.job.duplicate_run import is_own, started_again_after_end
from proxx_flows.job.final_state import FinalState, final_state_of, refused_state, repeat_final_state
from proxx_flows.job.inline_spec import InlineSpec, register_inline
from proxx_flows.job.page_texts import refused_line
from proxx_flows.job.registered_job import load_registered_job
from proxx_flows.job.reporter import RunReporter
from proxx_flows.job.run_name import current_run_name, tag_current_run

RESULT_KEY: Final = "proxx/{parameters[reference].job_id}/{parameters[reference].attempt:04d}/{flow_run.id}.json"
WORKER_NAME: Final = "PREFECT__WORKER_NAME"
"""The variable that Prefect's workers set for the runs they start."""

Reference = Annotated[
    JobReference | None,
    Field(
        json_schema_extra=form_text(
            "Registered job",
            "One attempt of a job that is already in a store. `proxx submit` fills this in. Leave it empty to give a "
            "whole spec.",
        )
    ),
]
Spec = Annotated[
    InlineSpec | None,
    Field(
        json_schema_extra=form_text(
            "Whole spec",
            "The content of a spec file made by `proxx create`, instead of a registered job. The run registers it.",
        )
    ),
]
StorePlace = Annotated[
    str | None,
    Field(
        json_schema_extra=form_text(
            "Store",
            "Only with a whole spec: where its job files are kept, a folder that all workers share or "
            "`s3://bucket/prefix`. If empty, the worker's PROXX_STORE.",
        )
    ),
]
Attempt = Annotated[
    int,
    Field(
        ge=1,
        le=9999,
        json_schema_extra=form_text(
            "Attempt",
            "Only with a whole spec: the number of this attempt. An attempt that has begun never runs again.",
        ),
    ),
]


@task(
    name="execute",
    task_run_name="job {reference.short}, attempt {reference.attempt}",
    retries=0,
    persist_result=True,
    result_serializer="json",
    result_storage_key=RESULT_KEY,
    refresh_cache=True,  # an existing result never replaces an execution
)
def execute_job(reference: JobReference) -> State[dict[str, Any]]:
    """Runs one attempt of one job."""
    run_id = str(runtime.flow_run.id)  # read here: the engine's thread has no Prefect context of its own
    return _prefect_state(cancellable_execution(lambda should_stop: _execute(reference, run_id, should_stop)))


def _execute(reference: JobReference, run_id: str, should_stop: Callable[[], bool]) -> FinalState:
    worker = _worker()
    try:
        job = load_registered_job(reference)
        tag_current_run(job.facts)
        with RunReporter.of(job.facts, worker) as reporter:
            environment = RunEnvironment(
                store=job.store,
                worker=worker,
                run_id=run_id,
                attempt=reference.attempt,
                store_uuid=reference.store_uuid,
                places=places_from_environment(),
                should_stop=should_stop,
                watch=reporter,
            )
            try:
                result = execute(job.spec, environment)
            except Exception as error:
                if not isinstance(error, Refusal | EnvironmentFailure):
                    reporter.report_recorded_end(job.store)
                raise
            reporter.report_end(result)
            return final_state_of(result)
    except (Refusal, EnvironmentFailure) as error:
        return _refused(error, run_id)


def _refused(error: Refusal | EnvironmentFailure, run_id: str) -> FinalState:
    """Returns the final state of a run whose process began nothing.

    If the same run was handed out twice, the process that has the attempt reports the end. Raises Abort then, which
    leaves the run's state as it is.
    """
    _log_refusal(error)
    if not is_own(error, run_id):
        return refused_state(error)
    if isinstance(error, AttemptClosed):
        return repeat_final_state(error) or refused_state(error)
    if isinstance(error, Locked) and started_again_after_end(run_id):
        return refused_state(error)
    raise Abort("another process executes this same run; this process does nothing and reports nothing")


@flow(
    name="proxy-job",
    flow_run_name=current_run_name,
    description="Makes the proxies of one job and checks them. One run is one attempt; nothing is retried. To find "
    "the run of a job, search for the first 12 digits of the job's id, which are in the run's name and in its tag "
    "`job:…`, or for the tags with its profile and its name. `proxx status` and `proxx history` show what the store "
    "knows of the job.",
    retries=0,
    persist_result=True,
    result_serializer="json",
)
def proxy_job(
    reference: Reference = None, spec: Spec = None, store: StorePlace = None, attempt: Attempt = 1
) -> State[dict[str, Any]]:
    """Makes the proxies of one job. The state's data is its ExecutionResult as plain JSON: `read_result` reads it."""
    try:
        job_reference = _job_reference(reference, spec, store, attempt)
    except ProxxError as error:
        _log_refusal(error)
        return _prefect_state(refused_state(error))
    state = execute_job(job_reference)  # the task's state; a bug or a signal is raised here as its exception
    kind = Completed if state.is_completed() else Failed
    return kind(message=state.message, data=state.data)


def _job_reference(
    reference: JobReference | None, spec: dict[str, Any] | None, store: str | None, attempt: int
) -> JobReference:
    """Returns the reference that the parameters give. Registers a whole spec first. Raises AskedWrongly."""
    if spec is not None and reference is None:
        return register_inline(spec, store, attempt, str(runtime.flow_run.id))
    if reference is None or spec is not None:
        given = "Both were given" if reference else "Neither was given"
        raise AskedWrongly(message=f"A run needs either a registered job or a whole spec. {given}")
    if store or attempt != 1:
        raise AskedWrongly(message="A registered job names its store and attempt: leave Store and Attempt unchanged")
    return reference


def _prefect_state(final: FinalState) -> State[dict[str, Any]]:
    kind = Completed if final.completed else Failed
    return kind(message=final.message, data=final.data)


def _log_refusal(error: ProxxError) -> None:
    line = refused_line(error, _worker())
    get_run_logger().log(line.level, "%s", line.text)


def _worker() -> Worker:
    return this_worker(os.environ.get(WORKER_NAME))
