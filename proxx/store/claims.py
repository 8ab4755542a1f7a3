"""Claims: which job owns an output's name, and which jobs owned it before.

Each generation of a claim is one object and is never removed.
"""

from __future__ import annotations

from typing import Final

from proxx.contracts.canonical import canonical_bytes
from proxx.contracts.errors import StoreDamaged
from proxx.store.attempts import announced_uploads
from proxx.store.base import Store
from proxx.store.keys import claim_digest, claim_key, is_job_id
from proxx.store.parsing import parse_record

SCHEMA: Final = "proxx.claim/1"


def claim_bytes(job_id: str, output: str) -> bytes:
    """Returns the record that makes `job_id` the owner of `output`."""
    return canonical_bytes({"schema": SCHEMA, "job_id": job_id, "output": output})


def owner_of(claim: bytes) -> str:
    """Returns the id of the job that made the claim. Raises StoreDamaged if the record is not a claim."""
    record = parse_record(claim, "a claim")
    match record:
        case {"schema": "proxx.claim/1", "job_id": str(owner)} if is_job_id(owner):
            return owner
        case _:
            raise StoreDamaged(message="a claim cannot be read", detail=repr(record))


def former_uploads(store: Store, job_id: str, output: str) -> tuple[str, ...]:
    """Returns the ids of the multipart uploads announced for `output` by the jobs that owned it before `job_id`.

    Those jobs are retired, and they logged each id before they were. So this includes every upload that one of
    their workers could still complete.
    """
    digest, generation = claim_digest(output), 1
    uploads: list[str] = []
    while (claim := store.read(claim_key(output, generation))) is not None and (owner := owner_of(claim)) != job_id:
        for name, ids in announced_uploads(store, owner).items():
            uploads += ids if claim_digest(name) == digest else ()
        generation += 1
    return tuple(uploads)
