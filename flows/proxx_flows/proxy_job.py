"""The flow `proxy-job`: one job is one flow run with one task, whose body is one call of the engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, Final

from prefect import flow, get_run_logger, runtime, task
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Completed, Failed
from pydantic import Field

from proxx.contracts.error_bases import ProxxError, Refusal
from proxx.contracts.errors import AttemptClosed, Locked
from proxx.contracts.event import this_worker
from proxx.engine.execute import RunEnvironment, execute
from proxx_flows.common.errors import AskedWrongly
from proxx_flows.common.form import shown
from proxx_flows.common.reference import JobReference
from proxx_flows.common.shared_store import places_here
from proxx_flows.job.cancellation import cancellable_execution
from proxx_flows.job.duplicate_run import is_own, started_again_after_end
from proxx_flows.job.final_state import FinalState, final_state_of, refused_state, repeat_final_state
from proxx_flows.job.inline_spec import InlineSpec, register_inline
from proxx_flows.job.registered_job import load_registered_job
from proxx_flows.job.report import refused_line
from proxx_flows.job.reporter import RunReporter
from proxx_flows.job.run_name import name_of_run, tag_run

RESULT_KEY: Final = "proxx/{parameters[reference].job_id}/{parameters[reference].attempt:04d}/{flow_run.id}.json"
WORKER: Final = "PREFECT__WORKER_NAME"
"""Set by Prefect's workers for the runs they start."""

Reference = Annotated[
    JobReference | None,
    Field(
        json_schema_extra=shown(
            "Registered job", "One attempt of a job that is in a store: what `proxx submit` sends."
        )
    ),
]
Spec = Annotated[
    InlineSpec | None,
    Field(json_schema_extra=shown("Whole spec", "Or a spec file's content; it is registered before it runs.")),
]
StorePlace = Annotated[
    str | None,
    Field(
        json_schema_extra=shown(
            "Store", "With a whole spec: where its job files go, a folder or s3://bucket/prefix. Else PROXX_STORE."
        )
    ),
]
Attempt = Annotated[
    int,
    Field(
        ge=1,
        le=9999,
        json_schema_extra=shown(
            "Attempt", "With a whole spec: which try this is. One that has begun is never run again."
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
    refresh_cache=True,  # a result that is there already never stands for an execution
)
def execute_job(reference: JobReference) -> State[dict[str, Any]]:
    """One attempt of one job."""
    run_id = str(runtime.flow_run.id)  # asked here: the engine's thread is not Prefect's
    answer = cancellable_execution(lambda should_stop: _execute(reference, run_id, should_stop))
    return _state(answer)


def _execute(reference: JobReference, run_id: str, should_stop: Callable[[], bool]) -> FinalState:
    worker = this_worker(os.environ.get(WORKER))
    try:
        job = load_registered_job(reference)
        tag_run(job.about)
        with RunReporter.of(job.about, worker) as telling:
            site = RunEnvironment(
                store=job.store,
                worker=worker,
                run_id=run_id,
                attempt=reference.attempt,
                store_uuid=reference.store_uuid,
                places=places_here(),
                should_stop=should_stop,
                watch=telling,
            )
            try:
                result = execute(job.data, site)
            except Exception as why:
                if not isinstance(why, Refusal):
                    telling.broken(job.store)
                raise
            telling.ended(result)
            return final_state_of(result)
    except Refusal as why:
        return _refused(why, run_id)


def _refused(why: Refusal, run_id: str) -> FinalState:
    """Nothing was begun by this process. The very run may have been handed out twice: then it speaks for itself."""
    line = refused_line(why, this_worker(os.environ.get(WORKER)))
    get_run_logger().log(line.level, "%s", line.text)
    if not is_own(why, run_id):
        return refused_state(why)
    if isinstance(why, AttemptClosed):
        return repeat_final_state(why) or refused_state(why)
    if isinstance(why, Locked) and started_again_after_end(run_id):
        return refused_state(why)
    raise Abort("another process executes this very run; this one does nothing and reports nothing")


@flow(
    name="proxy-job",
    flow_run_name=name_of_run,
    description="Makes the proxies of one job and proves them: one attempt, one task, nothing retried. Find a job "
    "again by the first 12 digits of its id, which are in the run's name and in its tag `job:…`, or by the tags of "
    "its profile and its name; `proxx status` and `proxx history` tell its story from the store.",
    retries=0,
    persist_result=True,
    result_serializer="json",
)
def proxy_job(
    reference: Reference = None, spec: Spec = None, store: StorePlace = None, attempt: Attempt = 1
) -> State[dict[str, Any]]:
    """Make the proxies of one job. The state's data is its ExecutionResult as plain JSON: `read_result` reads it."""
    try:
        asked = _asked(reference, spec, store, attempt)
    except ProxxError as why:
        line = refused_line(why, this_worker(os.environ.get(WORKER)))
        get_run_logger().log(line.level, "%s", line.text)
        return _state(refused_state(why))
    done = execute_job(asked)  # the state it returned; a bug or a signal leaves here as the exception it is
    kind = Completed if done.is_completed() else Failed
    return kind(message=done.message, data=done.data)


def _asked(
    reference: JobReference | None, spec: dict[str, Any] | None, store: str | None, attempt: int
) -> JobReference:
    """The attempt that is meant; a whole spec is registered first."""
    if spec is not None and reference is None:
        return register_inline(spec, store, attempt, str(runtime.flow_run.id))
    if reference is None or spec is not None:
        found = "both" if reference else "neither"
        raise AskedWrongly(message=f"One job is asked for, by its reference or by its whole spec: {found} was given")
    if store or attempt != 1:
        raise AskedWrongly(message="A reference names its store and its attempt itself: nothing goes beside it")
    return reference


def _state(answer: FinalState) -> State[dict[str, Any]]:
    kind = Completed if answer.completed else Failed
    return kind(message=answer.message, data=answer.data)
