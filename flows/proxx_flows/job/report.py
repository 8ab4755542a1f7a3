"""A run in words, for people who look at it in Prefect: log lines, the table of clips, the report. Pure.

A file name can hold line ends, pipes, backticks and terminal escapes. All of it is shown, none of it acts.
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

_ACTS: Final = str.maketrans({mark: f"\\{mark}" for mark in string.punctuation})


@dataclass(frozen=True)
class LogLine:
    """A line of a run's log. level: of Python's logging."""

    level: int
    text: str


def taken(about: JobFacts, worker: Worker) -> LogLine:
    job = f"{safe(about.name)}, job {short_id(about.job_id)}, attempt {about.attempt}"
    whole = f"{plural(len(about.clips), 'clip')}, {plural(about.frames, 'frame')}, {safe(about.profile)}"
    return _line("lock.acquired", f"{job}: {whole}", worker)


def step_line(step: Step, about: JobFacts, worker: Worker) -> LogLine | None:
    """What the step is in the ledger's words; None for those that are not in it."""
    match step:
        case ClipStarted():
            return _line("clip.started", f"{_which(step.index, about)}, {plural(step.frames, 'frame')}", worker)
        case ClipStage(index=index, stage="publish"):
            return _line("clip.publishing", f"{_which(index, about)}, {safe(about.clips[index].output)}", worker)
        case ClipEnded(result=clip) if clip.status == "COMPLETED":
            made = f"{plural(clip.frames, 'frame')}, {clip.output_sha256}, {safe(clip.output)}"
            return _line("clip.completed", f"{_which(step.index, about)}, {made}", worker)
        case ClipEnded(result=clip) if clip.failure is not None:
            why = f"{clip.failure.code}: {safe(clip.failure.message)}"
            return _line("clip.failed", f"{_which(step.index, about)}: {why}", worker, logging.ERROR)
        case _:
            return None


def ended_line(result: ExecutionResult) -> LogLine:
    """How the attempt ended: the last event of its ledger."""
    said = f"{result.status}, {_made(result)} in {duration(result.envelope.elapsed_ms)}"
    said += f", result {short_id(result.fingerprint)}"
    if result.stopped is not None:
        said += f"; stopped by {result.stopped.code}: {safe(result.stopped.message)}"
    level = logging.INFO if result.status == "COMPLETED" else logging.ERROR
    return _line("lock.released", said, result.envelope.worker, level)


def refused_line(why: ProxxError, worker: Worker) -> LogLine:
    said = f"{why.code}: {safe(why.message)}" + (f" ({safe(why.detail)})" if why.detail else "")
    return _line("refused", f"{said}; nothing was begun", worker, logging.ERROR)


def clip_table(result: ExecutionResult, about: JobFacts) -> list[dict[str, str]]:
    """A row a clip. verdict: COMPLETED, the code it failed with, or NOT_RUN; early, where a narrow page shows it."""
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
        for clip, facts in zip(result.clips, about.clips, strict=True)
    ]


def headline(about: JobFacts) -> str:
    """What an artifact is about, as one line of markdown."""
    job = f"job `{short_id(about.job_id)}`, attempt {about.attempt}"
    return f"{plain(about.name)}: {job}, profile {plain(about.profile)}"


def markdown(result: ExecutionResult, about: JobFacts) -> str:
    """The report: what came of it, every failure with its remedy, what to do next."""
    said = [
        f"# {result.status}: {plain(about.name)}",
        f"{_made(result)} in {duration(result.envelope.elapsed_ms)}.",
        *(_failures(result, about) if result.status == "FAILED" else ()),
        "## Where to find it",
        "\n".join(
            (
                f"- job `{about.job_id}`, attempt {about.attempt}",
                f"- result `{result.fingerprint}`",
                f"- job files: {plain(about.store)}",
                f"- worker: {plain(result.envelope.worker)}, run `{result.envelope.run_id}`",
                f"- began {plain(result.envelope.started)}, ended {plain(result.envelope.ended)}",
                f"- the whole story: `proxx history {short_id(about.job_id)}`",
            )
        ),
    ]
    return "\n\n".join(said) + "\n"


def plain(text: object) -> str:
    """`text` as markdown that shows it letter by letter, on one line."""
    return safe(text).translate(_ACTS)


def _failures(result: ExecutionResult, about: JobFacts) -> list[str]:
    said: list[str] = []
    if result.stopped is not None:
        said += ["## The job was stopped", *_failure(result.stopped)]
    for clip in result.clips:
        if clip.failure is not None:
            said.append(f"## Clip {clip.index + 1} of {len(result.clips)}: {plain(last_part(clip.source))}")
            said += _failure(clip.failure) if clip.failure != result.stopped else ["It was in work then."]
            said += _evidence(clip, about)
    rest = sum(clip.status == "NOT_RUN" for clip in result.clips)
    if rest:
        said.append(f"{plural(rest, 'clip')} not begun.")
    command = f"`proxx submit {short_id(about.job_id)} --attempt {result.attempt + 1}`"
    mended = f"When that is mended, ask for the next attempt, {command}: what is finished is kept."
    return [*said, "## What to do next", mended]


def _failure(failure: Failure) -> list[str]:
    return [f"**{plain(failure.code)}**: {plain(failure.message)}", f"What to do: {plain(failure.remedy)}"]


def _evidence(clip: ClipResult, about: JobFacts) -> list[str]:
    lines = [f"- source: {plain(clip.source)}", f"- output, not published: {plain(clip.output)}"]
    lines += [
        f"- {plain(check.name)}: {plain(check.expected)} expected, {plain(check.found)} found"
        for check in clip.checks
        if not check.equal
    ]
    if clip.log is not None:
        lines.append(f"- the encoder's words: `jobs/{about.job_id}/attempts/{about.attempt:04d}/{clip.log}`")
    return ["\n".join(lines)]


def _made(result: ExecutionResult) -> str:
    made = [clip for clip in result.clips if clip.status == "COMPLETED"]
    frames, space = sum(clip.frames or 0 for clip in made), sum(clip.output_size or 0 for clip in made)
    return f"{len(made)} of {plural(len(result.clips), 'clip')}, {plural(frames, 'frame')}, {size(space)}"


def _which(index: int, about: JobFacts) -> str:
    return f"{index + 1} of {len(about.clips)}, {about.clips[index].name}"


def _line(event: str, said: str, worker: Worker, level: int = logging.INFO) -> LogLine:
    return LogLine(level, f"{event}: {said} [{safe(worker)}]")
