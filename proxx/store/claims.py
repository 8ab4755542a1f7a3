"""Claims: which job has an output's name, and which had it before. One object a generation, never taken back."""

from __future__ import annotations

from typing import Final

from proxx.contracts.canonical import NotCanonical, canonical_bytes, read_json
from proxx.contracts.errors import StoreDamaged
from proxx.store.attempts import announced_uploads
from proxx.store.base import Store
from proxx.store.keys import claim_digest, claim_key, is_job_id

SCHEMA: Final = "proxx.claim/1"


def claim_bytes(job_id: str, output: str) -> bytes:
    return canonical_bytes({"schema": SCHEMA, "job_id": job_id, "output": output})


def owner_of(claim: bytes) -> str:
    """The id of the job that made the claim. Raises StoreDamaged."""
    try:
        record = read_json(claim)
    except NotCanonical as why:
        raise StoreDamaged(message="a claim cannot be read", detail=str(why)) from why
    match record:
        case {"schema": "proxx.claim/1", "job_id": str(owner)} if is_job_id(owner):
            return owner
        case _:
            raise StoreDamaged(message="a claim cannot be read", detail=repr(record))


def former_uploads(store: Store, job_id: str, output: str) -> tuple[str, ...]:
    """Ids of the uploads in parts that jobs announced for the name before `job_id` claimed it.

    They are retired, and logged the ids while they were not: whatever a worker of theirs may still complete is here.
    """
    name, generation = claim_digest(output), 1
    found: list[str] = []
    while (claim := store.read(claim_key(output, generation))) is not None and (owner := owner_of(claim)) != job_id:
        for its, ids in announced_uploads(store, owner).items():
            found += ids if claim_digest(its) == name else ()
        generation += 1
    return tuple(found)
