"""Registration: a job enters the store whole, and its outputs become its own. Nothing runs that is not registered.

spec.json first, then one claim an output in the order of the claims' keys, registered.json last: that is the
commit. Each step is created exclusively and is the same for the same job, so one cut short is simply done again.
Claims are never taken back: a job refused half-way keeps what it got until an operator retires it. Looking
first, before anything is written, leaves that to true races.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

from pydantic import Field, ValidationError

from proxx.contracts.canonical import Json, NotCanonical, canonical_bytes, read_json
from proxx.contracts.error_bases import InvalidInput, Problem, ProxxError
from proxx.contracts.errors import (
    JobRetired,
    OutputClaimed,
    SpecAltered,
    SpecInvalid,
    StoreDamaged,
    StoreRefused,
    StoreUnavailable,
)
from proxx.contracts.event import Stamp
from proxx.contracts.model import Contract
from proxx.store.attempts import is_retired
from proxx.store.base import Store
from proxx.store.claims import claim_bytes, owner_of
from proxx.store.keys import (
    JOBS,
    claim_digest,
    claim_key,
    index_begun_key,
    index_registered_key,
    is_job_id,
    refusal_key,
    registered_key,
    spec_key,
)

PROBLEMS: Final = 20  # of a refusal that are written down; a person mends the first ones and asks again


class Registration(Contract):
    """registered.json: which outputs the job owns, and who registered it when."""

    schema_: Literal["proxx.registered/1"] = Field(alias="schema")
    job_id: str
    outputs: tuple[str, ...]
    envelope: Stamp


class RefusalRecord(Contract):
    """What was refused before an attempt began, for the operator. attempt: the one asked for, if one was."""

    schema_: Literal["proxx.refusal/1"] = Field(alias="schema")
    code: str
    message: str
    detail: str | None
    attempt: int | None
    envelope: Stamp


def register(store: Store, spec_bytes: bytes, job_id: str, outputs: Sequence[str], registrar: Stamp) -> None:
    """Register the job, or find that it is registered already. The caller has checked the spec against its id.

    Raises SpecAltered, OutputClaimed, JobRetired, SpecInvalid, StoreUnavailable.
    """
    there = store.read(spec_key(job_id))
    if there is not None:
        _same_spec(there, spec_bytes)
        if is_registered(store, job_id):
            return
    if is_retired(store, job_id):
        raise JobRetired(message="the job was retired before its registration was complete")
    claims = _in_order(outputs)
    retired: set[str] = set()
    for output in claims:
        _claim(store, job_id, output, retired, take=False)
    there = store.create(spec_key(job_id), spec_bytes)
    if there is not None:
        _same_spec(there, spec_bytes)
    for output in claims:
        _claim(store, job_id, output, retired, take=True)
    store.create(index_begun_key(registrar.time, job_id), b"")
    record = Registration(schema_="proxx.registered/1", job_id=job_id, outputs=tuple(outputs), envelope=registrar)
    store.create(registered_key(job_id), canonical_bytes(record.to_json()))
    with suppress(StoreUnavailable, StoreRefused):  # only listings miss it, and then they read the record
        store.create(index_registered_key(registrar.time, job_id), b"")


def is_registered(store: Store, job_id: str) -> bool:
    return is_job_id(job_id) and store.read(registered_key(job_id)) is not None


def registration(store: Store, job_id: str) -> Registration | None:
    """The record of a complete registration. Raises StoreDamaged where it cannot be read."""
    data = store.read(registered_key(job_id))
    if data is None:
        return None
    try:
        return Registration.model_validate_json(data)
    except ValidationError as why:
        raise StoreDamaged(message="registered.json cannot be read", detail=str(why)) from why


def registered_jobs(store: Store) -> tuple[str, ...]:
    """The ids of all registered jobs, sorted."""
    return tuple(job_id for job_id in store.children(JOBS) if is_registered(store, job_id))


def record_refusal(store: Store, job_id: str, error: ProxxError, envelope: Stamp, attempt: int | None = None) -> str:
    """Write down why a job was refused before an attempt began; uses up no attempt. Returns the record's key."""
    key = refusal_key(job_id, envelope.nonce)
    record = RefusalRecord(
        schema_="proxx.refusal/1",
        code=error.code,
        message=error.message,
        detail=error.detail or _problems(error),
        attempt=attempt,
        envelope=envelope,
    )
    store.create(key, canonical_bytes(record.to_json()))
    return key


def _problems(error: ProxxError) -> str | None:
    """What an operator needs to know of a refusal that names several things."""
    if not isinstance(error, InvalidInput) or not error.problems:
        return None
    more = len(error.problems) - PROBLEMS
    return "\n".join([*map(str, error.problems[:PROBLEMS]), *([f"and {more} more"] if more > 0 else [])])


def _in_order(outputs: Sequence[str]) -> tuple[str, ...]:
    by_digest: dict[str, str] = {}
    for place, output in enumerate(outputs):
        twin = by_digest.setdefault(claim_digest(output), output)
        if twin is not output:
            problem = Problem(f"outputs[{place}]", "SPEC_INVALID", f"{output} and {twin} would be one file.")
            raise SpecInvalid(message="two outputs of the job have one place", problems=(problem,))
    return tuple(by_digest[digest] for digest in sorted(by_digest))


def _claim(store: Store, job_id: str, output: str, retired: set[str], *, take: bool) -> None:
    """Own `output`, or (take=False) see that nothing is in the way. retired: owners known to be, they stay so."""
    record = claim_bytes(job_id, output)
    generation = 0
    while True:
        generation += 1
        key = claim_key(output, generation)
        there = store.create(key, record) if take else store.read(key)
        if there is None:
            return
        owner = owner_of(there)
        if owner == job_id:
            return
        if owner not in retired:
            if not is_retired(store, owner):
                raise OutputClaimed(message=f"{output} belongs to job {owner}", owner=owner, output=output)
            retired.add(owner)


def _same_spec(there: bytes, given: bytes) -> None:
    if there == given:
        return
    try:
        path = first_difference(read_json(there), read_json(given)) or "(the whole file)"
    except NotCanonical:
        path = "(the whole file)"
    problem = Problem(path, "SPEC_ALTERED", "it is not what was registered under this job's id.")
    raise SpecAltered(message="the spec and the registered one differ", problems=(problem,))


def first_difference(one: Json, other: Json, path: str = "") -> str | None:
    """The path of the first place where two JSON values differ, None where they are equal: `clips[3].outputs`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in (*one, *(key for key in other if key not in one)):
            below = f"{path}.{key}" if path else key
            if key not in one or key not in other:
                return below
            if found := first_difference(one[key], other[key], below):
                return found
        return None
    if isinstance(one, list) and isinstance(other, list):
        for place in range(max(len(one), len(other))):
            below = f"{path}[{place}]"
            if place >= min(len(one), len(other)):
                return below
            if found := first_difference(one[place], other[place], below):
                return found
        return None
    same = type(one) is type(other) and one == other  # True == 1 in Python, not in a spec
    return None if same else path or "(the whole file)"
