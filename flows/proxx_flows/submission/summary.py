"""Summary: what came of all jobs of one call, for the program that asked. Plain data that knows no Prefect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from proxx.console.wording import plural, safe
from proxx.contracts.error_bases import InvalidInput, Problem, ProxxError
from proxx.contracts.errors import PreflightRefused
from proxx.contracts.model import Contract, Digest, Hex64
from proxx.contracts.result import ExecutionResult

SCHEMA: Final = "proxx.summary/1"
TOLD: Final = 3
"""Failures told in one sentence; the summary has all of them."""

Count = Annotated[int, Field(ge=0)]


class Fault(Contract):
    """One thing that went wrong. clip: its index in the job, from 0; None where no clip is to blame."""

    clip: int | None
    source: str | None
    output: str | None
    code: str
    message: str
    remedy: str

    @classmethod
    def of(cls, error: ProxxError) -> Self:
        return cls(
            clip=None, source=None, output=None, code=error.code, message=with_detail(error), remedy=error.remedy
        )


class Proxy(Contract):
    """One published and verified file. size: bytes."""

    source: str
    output: str
    sha256: Digest
    size: int
    frames: int


class ClipCounts(Contract):
    total: Count
    completed: Count
    failed: Count
    not_run: Count


class JobSummary(Contract):
    """One job. COMPLETED: all its proxies are there. FAILED: it ran, see the failures. REFUSED: nothing was begun.
    LOST: its run ended and left no result; `proxx status` says how far it got.

    run_id: the run that executed it, where one did. recorded: the attempt had ended before this call, so nothing
    was executed again and this is what was written down then. fingerprint: of the result.
    """

    job_id: Hex64
    name: str
    status: Literal["COMPLETED", "FAILED", "REFUSED", "LOST"]
    attempt: int = Field(ge=1)
    run_id: str | None
    recorded: bool
    fingerprint: Hex64 | None
    clips: ClipCounts
    outputs: tuple[Proxy, ...]
    failures: tuple[Fault, ...]

    @model_validator(mode="after")
    def _true(self) -> Self:
        if (self.status == "COMPLETED") != (not self.failures):
            raise ValueError("failures: a job that is not completed says why, and only that does")
        return self


class FileProblem(Contract):
    """A file, or a part of the request, that no job was made of."""

    path: str
    code: str
    message: str
    remedy: str

    @classmethod
    def of(cls, problem: Problem) -> Self:
        return cls(path=problem.path, code=problem.code, message=problem.message, remedy=problem.remedy)


class Summary(Contract):
    """COMPLETED where every job is. problems: why no job was made at all. left_out: refused files done without."""

    schema_: Literal["proxx.summary/1"] = Field(default="proxx.summary/1", alias="schema")
    status: Literal["COMPLETED", "FAILED"]
    jobs: tuple[JobSummary, ...]
    left_out: tuple[FileProblem, ...]
    problems: tuple[FileProblem, ...]

    @model_validator(mode="after")
    def _true(self) -> Self:
        done = bool(self.jobs) and not self.problems and all(job.status == "COMPLETED" for job in self.jobs)
        if done != (self.status == "COMPLETED"):
            raise ValueError("status: COMPLETED is every job completed, and only that")
        return self

    @classmethod
    def read(cls, data: object) -> Self:
        """A summary from plain JSON values, as Prefect keeps it. Raises pydantic's ValidationError."""
        return cls.model_validate_json(json.dumps(data))

    @property
    def outputs(self) -> tuple[Proxy, ...]:
        """All files that are published, those of failed jobs too."""
        return tuple(proxy for job in self.jobs for proxy in job.outputs)

    @property
    def failures(self) -> tuple[Fault, ...]:
        return tuple(fault for job in self.jobs for fault in job.failures)

    @property
    def failed(self) -> tuple[JobSummary, ...]:
        """The jobs that need somebody's attention."""
        return tuple(job for job in self.jobs if job.status != "COMPLETED")


def with_detail(why: ProxxError) -> str:
    return why.message if why.detail is None else f"{why.message} ({why.detail})"


def summarize(jobs: tuple[JobSummary, ...], left_out: tuple[Problem, ...]) -> Summary:
    done = all(job.status == "COMPLETED" for job in jobs)
    return Summary(
        status="COMPLETED" if done else "FAILED",
        jobs=jobs,
        left_out=tuple(map(FileProblem.of, left_out)),
        problems=(),
    )


def nothing_made(why: ProxxError) -> Summary:
    """No job was made: each problem by its file, or the one reason there is. Options become parameters."""
    problems = why.problems if isinstance(why, InvalidInput) else ()
    found = problems or (Problem("(the request)", why.code, with_detail(why), why.remedy),)
    lone = len(problems) == 1 and not isinstance(why, PreflightRefused)  # then the sentence above it is needed
    return Summary(
        status="FAILED",
        jobs=(),
        left_out=(),
        problems=tuple(
            FileProblem(
                path=_as_parameter(problem.path),
                code=problem.code,
                message=_as_parameter(f"{why.message.rstrip('.')}: {problem.message}" if lone else problem.message),
                remedy=_as_parameter(problem.remedy or why.remedy),
            )
            for problem in found
        ),
    )


def _as_parameter(text: str) -> str:
    """`--leave-out-refused`, as the command calls it, is `leave_out_refused` here."""
    return re.sub(r"(?<!\S)--([a-z]+(?:-[a-z]+)*)", lambda found: found[1].replace("-", "_"), text)


def job_summary(name: str, result: ExecutionResult, *, recorded: bool) -> JobSummary:
    """What the engine's result says, in the words of a summary."""
    status = [clip.status for clip in result.clips]
    return JobSummary(
        job_id=result.job_id,
        name=name,
        status=result.status,
        attempt=result.attempt,
        run_id=result.envelope.run_id,
        recorded=recorded,
        fingerprint=result.fingerprint,
        clips=ClipCounts(
            total=len(status),
            completed=status.count("COMPLETED"),
            failed=status.count("FAILED"),
            not_run=status.count("NOT_RUN"),
        ),
        outputs=tuple(
            Proxy(
                source=clip.source,
                output=clip.output,
                sha256=clip.output_sha256,
                size=clip.output_size,
                frames=clip.frames,
            )
            for clip in result.clips
            if clip.status == "COMPLETED"
        ),
        failures=tuple(_faults(result)),
    )


def without_result(
    job_id: str,
    name: str,
    clips: int,
    attempt: int,
    why: Fault,
    *,
    run_id: str | None,
    status: Literal["REFUSED", "LOST"],
    recorded: bool = False,
) -> JobSummary:
    """A job that there is no result of. clips: how many it has."""
    return JobSummary(
        job_id=job_id,
        name=name,
        status=status,
        attempt=attempt,
        run_id=run_id,
        recorded=recorded,
        fingerprint=None,
        clips=ClipCounts(total=clips, completed=0, failed=0, not_run=clips),
        outputs=(),
        failures=(why,),
    )


def _faults(result: ExecutionResult) -> Iterator[Fault]:
    """Each clip's failure; what stopped the job is told once."""
    told = result.stopped is None
    for clip in result.clips:
        if (failure := clip.failure) is not None:
            told = told or failure == result.stopped
            yield Fault(
                clip=clip.index,
                source=clip.source,
                output=clip.output,
                code=failure.code,
                message=failure.message,
                remedy=failure.remedy,
            )
    if not told and (stopped := result.stopped) is not None:
        yield Fault(
            clip=None,
            source=None,
            output=None,
            code=stopped.code,
            message=stopped.message,
            remedy=stopped.remedy,
        )


def in_words(summary: Summary) -> str:
    """The summary as one message: counts, then the first failures with what to do."""
    if summary.problems:
        return _first("No job was made.", [safe(f"{problem.path}: {_said(problem)}") for problem in summary.problems])
    count = len(summary.jobs)
    clips = sum(job.clips.total for job in summary.jobs)
    if summary.status == "COMPLETED":
        before = sum(job.recorded for job in summary.jobs)
        frames = sum(proxy.frames for proxy in summary.outputs)
        said = f"{plural(count, 'job')}, {plural(clips, 'clip')}, {plural(frames, 'frame')}"
        return f"{said}; {plural(before, 'job')} had been completed before." if before else f"{said}."
    lines = [
        f"{job.name}{_clip_in_words(fault, job)}: {_said(fault)}" for job in summary.failed for fault in job.failures
    ]
    return _first(f"{len(summary.failed)} of {plural(count, 'job')} not completed.", lines)


def failures_in_words(job: JobSummary) -> list[str]:
    """A line for each failure of a job: which clip, code, sentence, what to do."""
    return [safe(f"{job.name}{_clip_in_words(fault, job)}: {_said(fault)}") for fault in job.failures]


def _first(head: str, lines: list[str]) -> str:
    more = [f"... and {len(lines) - TOLD} more."] if len(lines) > TOLD else []
    return "\n".join([head, *lines[:TOLD], *more])


def _said(what: Fault | FileProblem) -> str:
    """Code, sentence, what to do. The engine's messages are sentences with and without their full stop."""
    return f"{what.code}: {what.message.rstrip('.')}. {what.remedy}".rstrip()


def _clip_in_words(fault: Fault, job: JobSummary) -> str:
    if fault.clip is None or fault.source is None:
        return ""
    return f", clip {fault.clip + 1} of {job.clips.total}, {fault.source.rpartition('/')[2]}"
