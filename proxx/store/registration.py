"""Registration: a job enters the store and claims its outputs. Only a registered job can run.

The order is spec.json, then one claim for each output in the order of the claims' keys, then registered.json, which
commits. Each step is an exclusive create and the same for the same job, so a registration that was interrupted is
repeated from the start. Claims are never removed: a job refused half-way keeps what it claimed until an operator
retires it. All claims are read before anything is written, so that happens only when two registrations race.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

from pydantic import Field

from proxx.contracts.canonical import Json, NotCanonical, canonical_bytes, read_json
from proxx.contracts.error_bases import InvalidInput, Problem, ProxxError
from proxx.contracts.errors import (
    JobRetired,
    SpecAltered,
    StoreRefused,
    StoreUnavailable,
)
from proxx.contracts.event import Stamp
from proxx.contracts.model import Contract
from proxx.store.attempts import is_retired
from proxx.store.base import Store
from proxx.store.claims import claim_output, in_claim_order
from proxx.store.keys import (
    index_begun_key,
    index_registered_key,
    is_job_id,
    refusal_key,
    registered_key,
    spec_key,
)
from proxx.store.parsing import parse_contract

PROBLEMS: Final = 20  # problems of a refusal that are recorded; a person fixes the first ones and tries again


class Registration(Contract):
    """registered.json: the outputs the job owns, and who registered it when."""

    schema_: Literal["proxx.registered/1"] = Field(alias="schema")
    job_id: str
    outputs: tuple[str, ...]
    envelope: Stamp


class RefusalRecord(Contract):
    """A refusal before an attempt began, recorded for the operator. attempt: the requested one, if any."""

    schema_: Literal["proxx.refusal/1"] = Field(alias="schema")
    code: str
    message: str
    detail: str | None
    attempt: int | None
    envelope: Stamp


def register(store: Store, spec_bytes: bytes, job_id: str, outputs: Sequence[str], registrar: Stamp) -> None:
    """Registers the job; does nothing if it is registered. The caller has checked the spec against its id.

    Raises SpecAltered, OutputClaimed, JobRetired, SpecInvalid, StoreUnavailable.
    """
    existing = store.read(spec_key(job_id))
    if existing is not None:
        _require_same_spec(existing, spec_bytes)
        if is_registered(store, job_id):
            return
    if is_retired(store, job_id):
        raise JobRetired(message="the job was retired before its registration was complete")
    claims = in_claim_order(outputs)
    retired: set[str] = set()
    for output in claims:
        claim_output(store, job_id, output, retired, take=False)
    existing = store.create(spec_key(job_id), spec_bytes)
    if existing is not None:
        _require_same_spec(existing, spec_bytes)
    for output in claims:
        claim_output(store, job_id, output, retired, take=True)
    store.create(index_begun_key(registrar.time, job_id), b"")
    record = Registration(schema_="proxx.registered/1", job_id=job_id, outputs=tuple(outputs), envelope=registrar)
    store.create(registered_key(job_id), canonical_bytes(record.to_json()))
    with suppress(StoreUnavailable, StoreRefused):  # without this key, listings read the record instead
        store.create(index_registered_key(registrar.time, job_id), b"")


def is_registered(store: Store, job_id: str) -> bool:
    """Returns whether the job's registration is complete."""
    return is_job_id(job_id) and store.read(registered_key(job_id)) is not None


def registration(store: Store, job_id: str) -> Registration | None:
    """Returns the record of a complete registration, or None if absent. Raises StoreDamaged if it is unreadable."""
    data = store.read(registered_key(job_id))
    return None if data is None else parse_contract(data, "registered.json", Registration)


def record_refusal(store: Store, job_id: str, error: ProxxError, envelope: Stamp, attempt: int | None = None) -> str:
    """Records why a job was refused before an attempt began; uses up no attempt. Returns the record's key."""
    key = refusal_key(job_id, envelope.nonce)
    record = RefusalRecord(
        schema_="proxx.refusal/1",
        code=error.code,
        message=error.message,
        detail=error.detail or _first_problems(error),
        attempt=attempt,
        envelope=envelope,
    )
    store.create(key, canonical_bytes(record.to_json()))
    return key


def _first_problems(error: ProxxError) -> str | None:
    """Returns the first problems of a refusal, one a line, and how many more there are; None if it has none."""
    if not isinstance(error, InvalidInput) or not error.problems:
        return None
    more = len(error.problems) - PROBLEMS
    return "\n".join([*map(str, error.problems[:PROBLEMS]), *([f"and {more} more"] if more > 0 else [])])


def _require_same_spec(registered: bytes, given: bytes) -> None:
    """Raises SpecAltered, with the path of the first difference, if the two specs differ in any byte."""
    if registered == given:
        return
    try:
        path = first_difference(read_json(registered), read_json(given)) or "(the whole file)"
    except NotCanonical:
        path = "(the whole file)"
    problem = Problem(path, "SPEC_ALTERED", "differs from the spec registered under this job's id.")
    raise SpecAltered(message="this spec differs from the registered one", problems=(problem,))


def first_difference(one: Json, other: Json, path: str = "") -> str | None:
    """Returns the path of the first place where two JSON values differ (`clips[3].outputs`), or None if equal."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in (*one, *(key for key in other if key not in one)):
            below = f"{path}.{key}" if path else key
            if key not in one or key not in other:
                return below
            if difference := first_difference(one[key], other[key], below):
                return difference
        return None
    if isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            below = f"{path}[{index}]"
            if index >= min(len(one), len(other)):
                return below
            if difference := first_difference(one[index], other[index], below):
                return difference
        return None
    same = type(one) is type(other) and one == other  # True == 1 in Python, but not in a spec
    return None if same else path or "(the whole file)"
