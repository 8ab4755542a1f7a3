"""Summary: the outcome of all jobs of one `make-proxies` call, as plain data for the caller. Does not use Prefect."""

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
SHOWN: Final = 3
"""How many failures a message lists; the summary has all of them."""

Count = Annotated[int, Field(ge=0)]


class Fault(Contract):
    """One failure. clip: index of the clip in the job, from 0; None if it is not the failure of a clip."""

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
    """One published and verified proxy. size: bytes."""

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
    """The outcome of one job.

    status: COMPLETED: all proxies are published. FAILED: the job ran, see `failures`. REFUSED: nothing was begun.
    LOST: the run ended without a result; `proxx status` shows how far it got.
    run_id: the run that executed the job, None if none did. recorded: the attempt had ended before this call, so
    nothing was executed again and this is the recorded outcome. fingerprint: of the result.
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
    def _consistent(self) -> Self:
        if (self.status == "COMPLETED") != (not self.failures):
            raise ValueError("failures: a job has failures exactly if it is not COMPLETED")
        return self


class FileProblem(Contract):
    """A source file or a parameter of the request that no job was created from, and why."""

    path: str
    code: str
    message: str
    remedy: str

    @classmethod
    def of(cls, problem: Problem) -> Self:
        return cls(path=problem.path, code=problem.code, message=problem.message, remedy=problem.remedy)


class Summary(Contract):
    """The outcome of one call. status: COMPLETED if every job is.

    problems: why no job was created at all. left_out: files that were refused and left out.
    """

    schema_: Literal["proxx.summary/1"] = Field(default="proxx.summary/1", alias="schema")
    status: Literal["COMPLETED", "FAILED"]
    jobs: tuple[JobSummary, ...]
    left_out: tuple[FileProblem, ...]
    problems: tuple[FileProblem, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        completed = bool(self.jobs) and not self.problems and all(job.status == "COMPLETED" for job in self.jobs)
        if completed != (self.status == "COMPLETED"):
            raise ValueError("status: COMPLETED means that every job is COMPLETED")
        return self

    @classmethod
    def read(cls, data: object) -> Self:
        """Returns the summary in these plain JSON values, as Prefect stores it. Raises pydantic's ValidationError."""
        return cls.model_validate_json(json.dumps(data))

    @property
    def outputs(self) -> tuple[Proxy, ...]:
        """All published proxies, including those of failed jobs."""
        return tuple(proxy for job in self.jobs for proxy in job.outputs)

    @property
    def failures(self) -> tuple[Fault, ...]:
        return tuple(fault for job in self.jobs for fault in job.failures)

    @property
    def failed(self) -> tuple[JobSummary, ...]:
        """The jobs that are not COMPLETED."""
        return tuple(job for job in self.jobs if job.status != "COMPLETED")


def with_detail(error: ProxxError) -> str:
    return error.message if error.detail is None else f"{error.message} ({error.detail})"


def summarize(jobs: tuple[JobSummary, ...], left_out: tuple[Problem, ...]) -> Summary:
    completed = all(job.status == "COMPLETED" for job in jobs)
    return Summary(
        status="COMPLETED" if completed else "FAILED",
        jobs=jobs,
        left_out=tuple(map(FileProblem.of, left_out)),
        problems=(),
    )


def nothing_made(error: ProxxError) -> Summary:
    """Returns the summary of a call that created no job: every problem of the error, or the error itself.

    Options of the command line that a message names become parameters of the flow.
    """
    listed = error.problems if isinstance(error, InvalidInput) else ()
    problems = listed or (Problem("(the request)", error.code, with_detail(error), error.remedy),)
    is_alone = len(listed) == 1 and not isinstance(error, PreflightRefused)  # then its message needs the error's
    prefix = f"{error.message.rstrip('.')}: " if is_alone else ""
    return Summary(
        status="FAILED",
        jobs=(),
        left_out=(),
        problems=tuple(
            FileProblem(
                path=_as_parameter(problem.path),
                code=problem.code,
                message=_as_parameter(f"{prefix}{problem.message}"),
                remedy=_as_parameter(problem.remedy or error.remedy),
            )
            for problem in problems
        ),
    )


def _as_parameter(text: str) -> str:
    """Returns the text with each option, such as `--leave-out-refused`, as a parameter: `leave_out_refused`."""
    return re.sub(r"(?<!\S)--([a-z]+(?:-[a-z]+)*)", lambda option: option[1].replace("-", "_"), text)


def job_summary(name: str, result: ExecutionResult, *, recorded: bool) -> JobSummary:
    """Returns the summary of a job that has an engine result. recorded: see JobSummary."""
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
    fault: Fault,
    *,
    run_id: str | None,
    status: Literal["REFUSED", "LOST"],
    recorded: bool = False,
) -> JobSummary:
    """Returns the summary of a job without a result. clips: how many the job has."""
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
        failures=(fault,),
    )


def _faults(result: ExecutionResult) -> Iterator[Fault]:
    """Yields the failure of each clip, then the one that stopped the job unless a clip has it."""
    has_stop = result.stopped is None
    for clip in result.clips:
        if (failure := clip.failure) is not None:
            has_stop = has_stop or failure == result.stopped
            yield Fault(
                clip=clip.index,
                source=clip.source,
                output=clip.output,
                code=failure.code,
                message=failure.message,
                remedy=failure.remedy,
            )
    if not has_stop and (stopped := result.stopped) is not None:
        yield Fault(
            clip=None,
            source=None,
            output=None,
            code=stopped.code,
            message=stopped.message,
            remedy=stopped.remedy,
        )


def in_words(summary: Summary) -> str:
    """Returns the summary as one message: counts, then the first failures with their remedies."""
    if summary.problems:
        lines = [safe(f"{problem.path}: {_sentence(problem)}") for problem in summary.problems]
        return _with_first("No job was made.", lines)
    count = len(summary.jobs)
    clips = sum(job.clips.total for job in summary.jobs)
    if summary.status == "COMPLETED":
        before = sum(job.recorded for job in summary.jobs)
        frames = sum(proxy.frames for proxy in summary.outputs)
        counts = f"{plural(count, 'job')}, {plural(clips, 'clip')}, {plural(frames, 'frame')}"
        return f"{counts}; {plural(before, 'job')} had been completed before." if before else f"{counts}."
    lines = [line for job in summary.failed for line in failures_in_words(job)]
    return _with_first(f"{len(summary.failed)} of {plural(count, 'job')} not completed.", lines)


def failures_in_words(job: JobSummary) -> list[str]:
    """Returns one line for each failure of the job: clip, code, message, remedy."""
    return [safe(f"{job.name}{_clip_in_words(fault, job)}: {_sentence(fault)}") for fault in job.failures]


def _with_first(heading: str, lines: list[str]) -> str:
    more = [f"... and {len(lines) - SHOWN} more."] if len(lines) > SHOWN else []
    return "\n".join([heading, *lines[:SHOWN], *more])


def _sentence(failure: Fault | FileProblem) -> str:
    """Returns code, message and remedy. Some messages of the engine end with a full stop and some do not."""
    return f"{failure.code}: {failure.message.rstrip('.')}. {failure.remedy}".rstrip()


def _clip_in_words(fault: Fault, job: JobSummary) -> str:
    if fault.clip is None or fault.source is None:
        return ""
    return f", clip {fault.clip + 1} of {job.clips.total}, {fault.source.rpartition('/')[2]}"
