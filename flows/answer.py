"""What Prefect is told of a job's end: the state's message for people, the data for programs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxx.errors import AttemptClosed
from proxx.outcome import Refusal
from proxx.result import ClipResult, ExecutionResult


@dataclass(frozen=True)
class Answer:
    """completed: whether the state is Completed, else Failed. data: JSON, an ExecutionResult unless it was refused."""

    completed: bool
    message: str
    data: dict[str, Any]


def answer_of(result: ExecutionResult) -> Answer:
    """The answer for a job that took its attempt."""
    data: dict[str, Any] = dict(result.to_json())
    made = [clip for clip in result.clips if clip.status == "COMPLETED"]
    if result.status == "COMPLETED":
        frames = sum(clip.frames or 0 for clip in made)
        return Answer(True, f"{len(made)} clips, {frames} frames", data)
    said = [_failure(clip, len(result.clips)) for clip in result.clips if clip.status == "FAILED"]
    if result.stopped is not None:
        stop = result.stopped
        said.insert(0, f"{stop.code}: {stop.message} {stop.remedy}")
    more = f" And {len(said) - 1} more." if len(said) > 1 else ""
    return Answer(False, f"{said[0]} {len(made)} of {len(result.clips)} clips made.{more}", data)


def refused(why: Refusal) -> Answer:
    """The answer where nothing was begun."""
    recorded = why.result if isinstance(why, AttemptClosed) else None
    data = {"refused": {"code": why.code, "message": why.message, "remedy": why.remedy}, "result": recorded}
    return Answer(False, str(why), data)


def _failure(clip: ClipResult, clips: int) -> str:
    failure = clip.failure
    if failure is None:
        return f"clip {clip.index + 1} of {clips} failed."
    name = clip.source.rsplit("/", 1)[-1]
    return f"{failure.code}: clip {clip.index + 1} of {clips}, {name}: {failure.message} {failure.remedy}"
