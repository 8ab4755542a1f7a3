"""Names one attempt of one registered job, and the idempotency key that makes submitting it twice a single run."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

JOB_ID: Final = r"^[0-9a-f]{64}$"
SHORT: Final = 12
"""Digits of a job id in names and messages, as in `proxx status`."""


class JobReference(BaseModel):
    """An attempt of a registered job. A run carries only this: the spec itself stays in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Annotated[
        str, Field(min_length=1, description="Where the job files are: file:///folder or s3://bucket/prefix.")
    ]
    job_id: Annotated[str, Field(pattern=JOB_ID, description="The full id of a registered job, 64 digits.")]
    attempt: Annotated[int, Field(ge=1, le=9999, description="The number of the attempt.")] = 1
    store_uuid: Annotated[
        str | None,
        Field(description="The uuid of the store that has the job. The run is refused if the store has another one."),
    ] = None

    @property
    def short(self) -> str:
        return self.job_id[:SHORT]


def idempotency_key(reference: JobReference, dispatch: int) -> str:
    """Returns `store:job_id:attempt:dispatch`. Prefect always returns the same run for the same key.

    The store is named by its uuid, so that one store with two URLs gives one key. Raises ValueError if the reference
    has no uuid.
    """
    if reference.store_uuid is None:
        raise ValueError("a reference without the store's uuid has no idempotency key")
    return f"{reference.store_uuid}:{reference.job_id}:{reference.attempt}:{dispatch}"


def run_name(name: str, reference: JobReference) -> str:
    """Returns the name of a flow run: `A001 · 1f0e9c2b7d44 · attempt 1`."""
    return f"{name} · {reference.short} · attempt {reference.attempt}"


def run_tags(name: str, profile: str, job_id: str) -> tuple[str, ...]:
    """Returns the tags that an operator finds a run by: profile, job name, `job:<first digits of the id>`."""
    return (profile, name, f"job:{job_id[:SHORT]}")
