"""The name and the tags of a job's run, set also for a run that was started by hand."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from prefect import get_run_logger, runtime
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from proxx.console.wording import safe
from proxx.contracts.canonical import read_json
from proxx.s3.transport import Transport
from proxx.store.keys import spec_key
from proxx_flows.common.connection import client
from proxx_flows.common.reference import JobReference, run_name, run_tags
from proxx_flows.common.shared_store import open_store_of
from proxx_flows.job.registered_job import JobFacts

UNNAMED: Final = "proxy-job"


def current_run_name() -> str:
    """Returns the name of the current run. Prefect calls it before the flow begins."""
    try:
        return _name(runtime.flow_run.parameters)
    except Exception:  # a missing name must not fail the run; the flow reports what is wrong with its parameters
        return UNNAMED


def tag_current_run(job: JobFacts) -> None:
    """Adds the tags that `proxx submit` sets, if the current run was started without them."""
    job_tags = run_tags(job.name, job.profile, job.job_id)
    tags = runtime.flow_run.tags
    if job_tags[-1] in tags:
        return
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), client() as prefect:
            prefect.update_flow_run(UUID(str(runtime.flow_run.id)), tags=sorted({*tags, *job_tags}))
    except Exception as error:  # missing tags must neither fail nor delay the job
        get_run_logger().warning("The run's tags could not be set (%s).", type(error).__name__)


def _name(parameters: dict[str, Any]) -> str:
    spec = parameters.get("spec")
    if spec is not None:
        reference = JobReference(store=".", job_id=spec["job_id"], attempt=parameters.get("attempt", 1))
        return run_name(_job_name(spec), reference)
    reference = JobReference.model_validate(parameters.get("reference"))
    try:
        store = open_store_of(reference, Transport(resends=0))  # no resends: the name must not delay the run
        data = store.read(spec_key(reference.job_id))
        return run_name(_job_name(read_json(data or b"")), reference)
    except Exception:  # the store or the job is missing, or the spec is damaged
        return run_name("job", reference)


def _job_name(spec: object) -> str:
    """Returns the job's name, 100 characters at most."""
    match spec:
        case {"name": str(name)}:
            return safe(name)[:100]
        case _:
            return "job"
