"""Takes a whole spec as a flow parameter, for runs started by hand in Prefect's UI, and registers it in the store."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from proxx.contracts.error_bases import Refusal
from proxx.contracts.errors import SpecInvalid
from proxx.contracts.event import stamp, this_worker
from proxx.contracts.job import JOB_SCHEMA, JobSpec, read_spec, spec_bytes
from proxx.contracts.model import load_contract
from proxx.engine.execute import register_job
from proxx.engine.records import note_refusal
from proxx.store.opening import initialize_store
from proxx_flows.common.reference import JobReference
from proxx_flows.common.shared_store import open_shared_store


class _SpecForm:
    """Gives the parameter the JSON schema of a JobSpec, which the server checks when a run is created.

    The value itself is passed on unchecked, so that the run can report what is wrong with it.
    """

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(JobSpec.__pydantic_core_schema__)


def _to_json(value: object) -> object:
    return value.to_json() if isinstance(value, JobSpec) else value


InlineSpec: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_to_json), _SpecForm()]


def register_inline(content: dict[str, Any], store_url: str | None, attempt: int, run_id: str) -> JobReference:
    """Registers the job of this spec, unless the store has it already, and returns the reference to the attempt.

    Raises SpecInvalid or SpecAltered with the path of each problem, StoreNotShared, and what `register_job` raises.
    """
    spec = checked_spec(content)
    store, worker = open_shared_store(store_url), this_worker()
    try:
        register_job(spec, spec_bytes(spec), store, worker, run_id)
    except Refusal as error:
        note_refusal(store, spec.job_id, attempt, error, stamp(worker, run_id))
        raise
    uuid = initialize_store(store).uuid
    return JobReference(store=store.uri, job_id=spec.job_id, attempt=attempt, store_uuid=uuid)


def checked_spec(content: dict[str, Any]) -> JobSpec:
    """Returns the spec, checked against its seals like one read from a file. The order of keys does not matter."""
    loaded = load_contract(JobSpec, json.dumps(content).encode(), JOB_SCHEMA, SpecInvalid.code)
    if isinstance(loaded, tuple):
        raise SpecInvalid(message="The spec cannot be used.", problems=loaded)
    return read_spec(spec_bytes(loaded))
