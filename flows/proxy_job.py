"""The flow `proxy-job`: one job is one flow run with one task, whose body is one call of the engine."""

from __future__ import annotations

import json
from typing import Annotated, Any

from prefect import flow, runtime, task
from prefect.states import Completed, Failed, State
from pydantic import BeforeValidator, Field

from flows.answer import Answer, answer_of, refused
from flows.attend import attend
from flows.reference import JobReference
from flows.sharing import shared_store, store_of
from proxx.errors import JobUnknown
from proxx.event import this_worker
from proxx.execute import Site, execute, register_job
from proxx.job import JobSpec, spec_bytes
from proxx.layout import spec_key
from proxx.outcome import Refusal
from proxx.store import identity

RESULT_KEY = "proxx/{parameters[job_id]}/{parameters[attempt]:04d}/{flow_run.id}.json"


def _strict(value: object) -> object:
    """A form's lists and numbers as the strict contract wants them: read as JSON, which is what they came as."""
    return value if isinstance(value, JobSpec) else JobSpec.model_validate_json(json.dumps(value))


InlineSpec = Annotated[JobSpec, BeforeValidator(_strict)]


@task(
    name="execute",
    task_run_name="job {job_id}, attempt {attempt}",
    retries=0,
    persist_result=True,
    result_serializer="json",
    result_storage_key=RESULT_KEY,
)
def execute_job(reference: dict[str, Any], job_id: str, attempt: int) -> State[Any]:
    """One attempt of one job: the engine's own story, nothing round it."""
    meant = JobReference.model_validate(reference)
    run_id = str(runtime.flow_run.id)  # asked here: the engine's thread is not Prefect's

    def work(should_stop: Any) -> Answer:  # noqa: ANN401
        try:
            store = store_of(meant)
            data = store.read(spec_key(meant.job_id))
            if data is None:
                raise JobUnknown(message="the job is not in this store", detail=f"{meant.job_id} in {store.uri}")
            site = Site(
                store=store,
                worker=this_worker(),
                run_id=run_id,
                attempt=meant.attempt,
                store_uuid=meant.store_uuid,
                should_stop=should_stop,
            )
            return answer_of(execute(data, site))
        except Refusal as why:
            return refused(why)

    answer = attend(work)
    state = Completed if answer.completed else Failed
    return state(message=answer.message, data=answer.data)


@flow(name="proxy-job", retries=0, persist_result=True, result_serializer="json", log_prints=False)
def proxy_job(
    reference: JobReference | None = None,
    spec: InlineSpec | None = None,
    store: Annotated[str | None, Field(description="For a spec given here: where its job files go.")] = None,
    attempt: Annotated[int, Field(ge=1, le=9999)] = 1,
) -> State[Any]:
    """Make the proxies of one job."""
    if reference is None:
        if spec is None:
            return Failed(message="SPEC_INVALID: Give a reference or a spec.")
        place = shared_store(store)
        data = spec_bytes(spec)
        register_job(spec, data, place, this_worker(), str(runtime.flow_run.id))
        found = identity(place)
        reference = JobReference(
            store=place.uri, job_id=spec.job_id, attempt=attempt, store_uuid=found.uuid if found else None
        )
    done = execute_job(reference.model_dump(mode="json"), reference.job_id, reference.attempt, return_state=True)
    state = Completed if done.is_completed() else Failed
    return state(message=done.message, data=done.data)
