"""What names one asked-for attempt of one registered job, and the key that makes asking for it twice one run."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

JOB_ID: Final = r"^[0-9a-f]{64}$"
SHORT: Final = 12
"""Digits of a job id that people are shown: what `proxx status` shows too."""


class JobReference(BaseModel):
    """An attempt of a registered job. All that a dispatch carries: the spec itself stays in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Annotated[
        str, Field(min_length=1, description="Where the job files are: file:///folder or s3://bucket/prefix.")
    ]
    job_id: Annotated[str, Field(pattern=JOB_ID, description="The whole id of a registered job.")]
    attempt: Annotated[int, Field(ge=1, le=9999, description="Which try this is.")] = 1
    store_uuid: Annotated[
        str | None, Field(description="The store the job was dispatched from: another one is refused.")
    ] = None

    @property
    def short(self) -> str:
        return self.job_id[:SHORT]


def idempotency_key(reference: JobReference, dispatch: int) -> str:
    """`store:job_id:attempt:dispatch`: Prefect gives the same run for the same key, for ever.

    The store is meant by its uuid, so that one store under two names is one. Raises ValueError without it.
    """
    if reference.store_uuid is None:
        raise ValueError("a dispatch names its store by uuid")
    return f"{reference.store_uuid}:{reference.job_id}:{reference.attempt}:{dispatch}"


def run_name(name: str, reference: JobReference) -> str:
    """What a flow run is called: `A001 · 1f0e9c2b7d44 · attempt 1`."""
    return f"{name} · {reference.short} · attempt {reference.attempt}"


def run_tags(name: str, profile: str, job_id: str) -> tuple[str, ...]:
    """By which an operator finds a run: profile, project name, `job:<first digits>`."""
    return (profile, name, f"job:{job_id[:SHORT]}")
