"""The texts about a run that people read in Prefect: log lines, the table of clips, the report. Pure.

A file name can contain line ends, pipes, backticks and terminal escapes. These are shown as characters and have no
effect.
"""

from __future__ import annotations

import logging
import string
from dataclasses import dataclass
from typing import Final

from proxx.console.wording import duration, last_part, plural, safe, short_id, size
from proxx.contracts.error_bases import ProxxError
from proxx.contracts.event import Worker
from proxx.contracts.result import ClipResult, ExecutionResult, Failure
from proxx.engine.steps import ClipEnded, ClipStage, ClipStarted, Step
from proxx_flows.job.registered_job import JobFacts

_ESCAPES: Final = str.maketrans({mark: f"\\{mark}" for mark in string.punctuation})


@dataclass(frozen=True)
class LogLine:
    """A line of a run's log. level: a level of Python's logging."""

    level: int
    text: str


def lock_line(job: JobFacts, worker: Worker) -> LogLine:
    """Returns the line for the start of the attempt, the first event of its ledger."""
    attempt = f"{safe(job.name)}, job {short_id(job.job_id)}, attempt {job.attempt}"
    totals = f"{plural(len(job.clips), 'clip')}, {plural(job.frames, 'frame')}, {safe(job.profile)}"
    return _line("lock.acquired", f"{attempt}: {totals}", worker)


def step_line(step: Step, job: JobFacts, worker: Worker) -> LogLine | None:
    """Returns the step as a line that starts with its event in the ledger; None for a step without an event."""
    match step:
        case ClipStarted():
            return _line("clip.started", f"{_clip_label(step.index, job)}, {plural(step.frames, 'frame')}", worker)
        case ClipStage(index=index, stage="publish"):
            return _line("clip.publishing", f"{_clip_label(index, job)}, {safe(job.clips[index].output)}", worker)
        case ClipEnded(result=clip) if clip.status == "COMPLETED":
            made = f"{plural(clip.frames, 'frame')}, {clip.output_sha256}, {safe(clip.output)}"
            return _line("clip.completed", f"{_clip_label(step.index, job)}, {made}", worker)
        case ClipEnded(result=clip) if clip.failure is not None:
            failure = f"{clip.failure.code}: {safe(clip.failure.message)}"
            return _line("clip.failed", f"{_clip_label(step.index, job)}: {failure}", worker, logging.ERROR)
        case _:
            return None


def ended_line(result: ExecutionResult) -> LogLine:
    """Returns the line for the end of the attempt, the last event of its ledger."""
    text = f"{result.status}, {_totals(result)} in {duration(result.envelope.elapsed_ms)}"
    text += f", result {short_id(result.fingerprint)}"
    if result.stopped is not None:
        text += f"; stopped by {result.stopped.code}: {safe(result.stopped.message)}"
    level = logging.INFO if result.status == "COMPLETED" else logging.ERROR
    return _line("lock.released", text, result.envelope.worker, level)


def refused_line(error: ProxxError, worker: Worker) -> LogLine:
    """Returns the line for a run that began nothing."""
    text = f"{error.code}: {safe(error.message)}" + (f" ({safe(error.detail)})" if error.detail else "")
    return _line("refused", f"{text}; nothing was begun", worker, logging.ERROR)


def clip_table(result: ExecutionResult, job: JobFacts) -> list[dict[str, str]]:
    """Returns one row for each clip. verdict: COMPLETED, the code of its failure, or NOT_RUN.

    The verdict is the second column because a narrow page shows only the first ones.
    """
    return [
        {
            "clip": str(clip.index + 1),
            "verdict": clip.failure.code if clip.failure is not None else clip.status,
            "source": safe(clip.source),
            "output": safe(clip.output),
            "frames": "" if clip.frames is None else str(clip.frames),
            "timecode": facts.timecode,
            "sha256": (clip.output_sha256 or "").removeprefix("sha256:"),
        }
        for clip, facts in zip(result.clips, job.clips, strict=True)
    ]


def headline(job: JobFacts) -> str:
    """Returns the description of the job's artifacts, one line of Markdown."""
    attempt = f"job `{short_id(job.job_id)}`, attempt {job.attempt}"
    return f"{escape_markdown(job.name)}: {attempt}, profile {escape_markdown(job.profile)}"


def markdown_report(result: ExecutionResult, job: JobFacts) -> str:
    """Returns the report: the outcome, each failure with its remedy, and what to do next."""
    parts = [
        f"# {result.status}: {escape_markdown(job.name)}",
        f"{_totals(result)} in {duration(result.envelope.elapsed_ms)}.",
        *(_failures(result, job) if result.status == "FAILED" else ()),
        "## Details",
        "\n".join(
            (
                f"- job `{job.job_id}`, attempt {job.attempt}",
                f"- result `{result.fingerprint}`",
                f"- store: {escape_markdown(job.store)}",
                f"- worker: {escape_markdown(result.envelope.worker)}, run `{result.envelope.run_id}`",
                f"- began {escape_markdown(result.envelope.started)}, ended {escape_markdown(result.envelope.ended)}",
                f"- all events: `proxx history {short_id(job.job_id)}`",
            )
        ),
    ]
    return "\n\n".join(parts) + "\n"


def escape_markdown(value: object) -> str:
    """Returns the value as Markdown that shows each character literally, on one line."""
    return safe(value).translate(_ESCAPES)


def _failures(result: ExecutionResult, job: JobFacts) -> list[str]:
    parts: list[str] = []
    if result.stopped is not None:
        parts += ["## The job was stopped", *_failure(result.stopped)]
    for clip in result.clips:
        if clip.failure is not None:
            parts.append(
                f"## Clip {clip.index + 1} of {len(result.clips)}: {escape_markdown(last_part(clip.source))}"
            )
            if clip.failure == result.stopped:
                parts.append("The job was stopped while it made this clip.")
            else:
                parts += _failure(clip.failure)
            parts += _evidence(clip, job)
    not_run = sum(clip.status == "NOT_RUN" for clip in result.clips)
    if not_run:
        parts.append(f"Not started: {plural(not_run, 'clip')}.")
    command = f"`proxx submit {short_id(job.job_id)} --attempt {result.attempt + 1}`"
    advice = f"Fix the problems above, then run the next attempt: {command}. It keeps the proxies that are finished."
    return [*parts, "## What to do next", advice]


def _failure(failure: Failure) -> list[str]:
    return [
        f"**{escape_markdown(failure.code)}**: {escape_markdown(failure.message)}",
        f"What to do: {escape_markdown(failure.remedy)}",
    ]


def _evidence(clip: ClipResult, job: JobFacts) -> list[str]:
    lines = [
        f"- source: {escape_markdown(clip.source)}",
        f"- output, not published: {escape_markdown(clip.output)}",
    ]
    lines += [
        f"- {escape_markdown(check.name)}: {escape_markdown(check.expected)} expected, "
        f"{escape_markdown(check.found)} found"
        for check in clip.checks
        if not check.equal
    ]
    if clip.log is not None:
        lines.append(f"- encoder log, in the store: `jobs/{job.job_id}/attempts/{job.attempt:04d}/{clip.log}`")
    return ["\n".join(lines)]


def _totals(result: ExecutionResult) -> str:
    made = [clip for clip in result.clips if clip.status == "COMPLETED"]
    frames, space = sum(clip.frames or 0 for clip in made), sum(clip.output_size or 0 for clip in made)
    return f"{len(made)} of {plural(len(result.clips), 'clip')}, {plural(frames, 'frame')}, {size(space)}"


def _clip_label(index: int, job: JobFacts) -> str:
    return f"{index + 1} of {len(job.clips)}, {job.clips[index].name}"


def _line(event: str, text: str, worker: Worker, level: int = logging.INFO) -> LogLine:
    return LogLine(level, f"{event}: {text} [{safe(worker)}]")
