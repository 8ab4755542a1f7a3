"""By what name and tags an operator finds a job's run: also where it was started by hand."""

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
from proxx_flows.common.shared_store import store_of
from proxx_flows.job.registered_job import JobFacts

UNNAMED: Final = "proxy-job"


def name_of_run() -> str:
    """For Prefect, which asks before the flow begins."""
    try:
        return _name(runtime.flow_run.parameters)
    except Exception:  # a name is no reason to fail: the flow itself says what is wrong with its parameters
        return UNNAMED


def tag_run(about: JobFacts) -> None:
    """The tags that `proxx submit` gives a run, for one that was started without them."""
    wanted = run_tags(about.name, about.profile, about.job_id)
    found = runtime.flow_run.tags
    if wanted[-1] in found:
        return
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), client() as prefect:
            prefect.update_flow_run(UUID(str(runtime.flow_run.id)), tags=sorted({*found, *wanted}))
    except Exception as why:  # a tag is no reason to fail, or to wait
        get_run_logger().warning("The run's tags could not be set (%s).", type(why).__name__)


def _name(asked: dict[str, Any]) -> str:
    spec = asked.get("spec")
    if spec is not None:
        reference = JobReference(store=".", job_id=spec["job_id"], attempt=asked.get("attempt", 1))
        return run_name(_project(spec), reference)
    reference = JobReference.model_validate(asked.get("reference"))
    try:
        store = store_of(reference, Transport(resends=0))  # a name is no reason to wait either
        data = store.read(spec_key(reference.job_id))
        return run_name(_project(read_json(data or b"")), reference)
    except Exception:  # no such store or job, or a damaged one
        return run_name("job", reference)


def _project(spec: object) -> str:
    """The job's name, as far as a run's name should go."""
    match spec:
        case {"name": str(name)}:
            return safe(name)[:100]
        case _:
            return "job"
