"""ExecutionResult: the outcome of one attempt, clip by clip, with the evidence. Core and envelope are separate.

The core must be equal wherever and whenever the job runs; `fingerprint` is its fingerprint. Attempt number, times and
worker are not part of it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import ProxxError
from proxx.contracts.event import Worker
from proxx.contracts.fingerprint import fingerprint
from proxx.contracts.model import Contract, Digest, Hex64

RESULT_SCHEMA: Final = "proxx.result/1"
LogName = Annotated[str, StringConstraints(pattern=r"^clips/[0-9]{3,}\.log$")]
"""Relative to the attempt, so without its number: all attempts that COMPLETED have equal fingerprints."""
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z_]+$")]


class Failure(Contract):
    """A failure as recorded. message: does not depend on the machine. exit: negative if ended by a signal."""

    code: Code
    message: str
    remedy: str
    stage: str | None
    exit: int | None

    @classmethod
    def of(cls, error: ProxxError) -> Failure:
        """Returns the recorded form of an error."""
        return cls(code=error.code, message=error.message, remedy=error.remedy, stage=error.stage, exit=error.exit)


class Check(Contract):
    """One comparison of an expected value with what was found."""

    name: str
    expected: str
    found: str

    @property
    def equal(self) -> bool:
        return self.expected == self.found


class _ClipResult(Contract):
    index: int = Field(ge=0)
    source: str
    output: str


class ClipCompleted(_ClipResult):
    """Published and verified. argv has `{source}` and `{output}` for the paths that differ by machine."""

    status: Literal["COMPLETED"]
    output_sha256: Digest
    output_size: int = Field(gt=0)
    frames: int = Field(gt=0)
    checks: tuple[Check, ...]
    argv: tuple[str, ...]
    log: LogName
    failure: None


class ClipFailed(_ClipResult):
    """Not published. checks: those made before the failure."""

    status: Literal["FAILED"]
    output_sha256: None
    output_size: None
    frames: None
    checks: tuple[Check, ...]
    argv: tuple[str, ...]
    log: LogName | None
    failure: Failure


class ClipNotRun(_ClipResult):
    """The job stopped before this clip."""

    status: Literal["NOT_RUN"]
    output_sha256: None
    output_size: None
    frames: None
    checks: tuple[Check, ...] = Field(max_length=0)
    argv: tuple[str, ...] = Field(max_length=0)
    log: None
    failure: None


ClipResult: TypeAlias = Annotated[ClipCompleted | ClipFailed | ClipNotRun, Field(discriminator="status")]


class Envelope(Contract):
    """What may differ between runs: worker, times (RFC 3339, UTC) and duration (milliseconds)."""

    worker: Worker
    run_id: str
    started: str
    ended: str
    elapsed_ms: int = Field(ge=0)


class ExecutionResult(Contract):
    """The result of an attempt, COMPLETED if every clip is. stopped: the failure that ended it early, or null."""

    schema_: Literal["proxx.result/1"] = Field(alias="schema")
    job_id: Hex64
    attempt: int = Field(ge=1)
    status: Literal["COMPLETED", "FAILED"]
    fingerprint: Hex64
    clips: tuple[ClipResult, ...] = Field(min_length=1)
    stopped: Failure | None
    envelope: Envelope

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if [clip.index for clip in self.clips] != list(range(len(self.clips))):
            raise ValueError("clips: one result for each clip, in order")
        run = [clip.status != "NOT_RUN" for clip in self.clips]
        if run != sorted(run, reverse=True) or (self.stopped is None and not all(run)):
            raise ValueError("clips: exactly those after the clip where the job stopped are NOT_RUN")
        complete = self.stopped is None and all(clip.status == "COMPLETED" for clip in self.clips)
        if complete != (self.status == "COMPLETED"):
            raise ValueError("status: it is COMPLETED exactly if every clip is")
        if self.fingerprint != result_fingerprint(result_core(self)):
            raise ValueError("fingerprint: it is not that of the core")
        return self


def result_core(result: ExecutionResult) -> dict[str, Json]:
    """Returns the part that is equal wherever and whenever the job runs."""
    plain = result.to_json()
    return {key: plain[key] for key in ("schema", "job_id", "status", "clips", "stopped")}


def result_fingerprint(core: dict[str, Json]) -> str:
    return fingerprint(RESULT_SCHEMA, core)


def make_result(
    job_id: str,
    attempt: int,
    clips: tuple[ClipCompleted | ClipFailed | ClipNotRun, ...],
    stopped: Failure | None,
    envelope: Envelope,
) -> ExecutionResult:
    """Returns the result of `clips`, with the status and fingerprint that follow from them."""
    complete = stopped is None and all(clip.status == "COMPLETED" for clip in clips)
    status: Literal["COMPLETED", "FAILED"] = "COMPLETED" if complete else "FAILED"
    core: dict[str, Json] = {
        "schema": RESULT_SCHEMA,
        "job_id": job_id,
        "status": status,
        "clips": [clip.to_json() for clip in clips],
        "stopped": stopped.to_json() if stopped else None,
    }
    return ExecutionResult(
        schema_="proxx.result/1",
        job_id=job_id,
        attempt=attempt,
        status=status,
        fingerprint=result_fingerprint(core),
        clips=clips,
        stopped=stopped,
        envelope=envelope,
    )
