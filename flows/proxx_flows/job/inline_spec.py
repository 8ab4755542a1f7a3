"""A whole spec as a parameter, for runs started by hand: a form in Prefect's pages, a registered job in the store."""

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
from proxx_flows.common.shared_store import shared_store


class _Form:
    """Shown and checked at creation as a JobSpec; taken as it came, so that the run says itself what is wrong."""

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(JobSpec.__pydantic_core_schema__)


def _plain(value: object) -> object:
    return value.to_json() if isinstance(value, JobSpec) else value


InlineSpec: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_plain), _Form()]


def register_inline(given: dict[str, Any], store: str | None, attempt: int, run_id: str) -> JobReference:
    """Register the job of the given spec where it is not yet; the reference that it is dispatched by.

    Raises SpecInvalid, SpecAltered (naming each path), StoreNotShared, and what registration refuses with.
    """
    spec = checked_spec(given)
    place, me = shared_store(store), this_worker()
    try:
        register_job(spec, spec_bytes(spec), place, me, run_id)
    except Refusal as why:
        note_refusal(place, spec.job_id, attempt, why, stamp(me, run_id))
        raise
    return JobReference(store=place.uri, job_id=spec.job_id, attempt=attempt, store_uuid=initialize_store(place).uuid)


def checked_spec(given: dict[str, Any]) -> JobSpec:
    """The spec given, as sealed as one that is read from a file. Key order and layout are not what was given."""
    loaded = load_contract(JobSpec, json.dumps(given).encode(), JOB_SCHEMA, SpecInvalid.code)
    if isinstance(loaded, tuple):
        raise SpecInvalid(message="The spec cannot be used.", problems=loaded)
    return read_spec(spec_bytes(loaded))
