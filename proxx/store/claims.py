"""Claims: taken for each output of a job; which job owns an output's name, and which jobs owned it before.

Each generation of a claim is one object and is never removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxx.contracts.canonical import canonical_bytes
from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import OutputClaimed, SpecInvalid, StoreDamaged
from proxx.store.attempts import announced_uploads, is_retired
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


def in_claim_order(outputs: Sequence[str]) -> tuple[str, ...]:
    """Returns the outputs in the order of their claims' keys. Raises SpecInvalid if two would be the same file."""
    by_digest: dict[str, str] = {}
    for index, output in enumerate(outputs):
        twin = by_digest.setdefault(claim_digest(output), output)
        if twin is not output:
            problem = Problem(f"outputs[{index}]", "SPEC_INVALID", f"{output} and {twin} would be the same file.")
            raise SpecInvalid(message="two outputs of the job would be the same file", problems=(problem,))
    return tuple(by_digest[digest] for digest in sorted(by_digest))


def claim_output(store: Store, job_id: str, output: str, retired: set[str], *, take: bool) -> None:
    """Claims `output`, or with take=False only checks that it can be claimed. Raises OutputClaimed.

    retired: owners known to be retired, which they stay; this adds to it.
    """
    record = claim_bytes(job_id, output)
    generation = 0
    while True:
        generation += 1
        key = claim_key(output, generation)
        existing = store.create(key, record) if take else store.read(key)
        if existing is None:
            return
        owner = owner_of(existing)
        if owner == job_id:
            return
        if owner not in retired:
            if not is_retired(store, owner):
                raise OutputClaimed(message=f"{output} belongs to job {owner}", owner=owner, output=output)
            retired.add(owner)


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
