"""What Prefect is told of a job's end: the state's message for people, its data for programs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxx.console.failures import failure_data
from proxx.console.wording import last_part, plural, safe
from proxx.contracts.error_bases import InvalidInput, ProxxError
from proxx.contracts.errors import AttemptClosed
from proxx.contracts.result import ExecutionResult, Failure

TOLD: Final = 3
"""Failures told in one message; the data has all of them."""


class StateData(dict[str, Any]):
    """Plain JSON that prints as its keys: Prefect prints a failed state, data and all, into the run's log."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


@dataclass(frozen=True)
class FinalState:
    """completed: whether the state is Completed, else it is Failed.

    data: plain JSON, an ExecutionResult, or `{"error": …}` where nothing was begun: what `proxx run --json` prints.
    """

    completed: bool
    message: str
    data: StateData


def final_state_of(result: ExecutionResult) -> FinalState:
    """The answer for a job that took its attempt: counts, or every failure with its code first."""
    data = StateData(result.to_json())
    made = [clip for clip in result.clips if clip.status == "COMPLETED"]
    if result.status == "COMPLETED":
        frames = sum(clip.frames or 0 for clip in made)
        return FinalState(True, f"{plural(len(made), 'clip')}, {plural(frames, 'frame')}", data)
    said = failure_sentences(result)
    more = [f"... and {len(said) - TOLD} more."] if len(said) > TOLD else []
    count = f"{len(made)} of {plural(len(result.clips), 'clip')} made."
    return FinalState(False, "\n".join([*said[:TOLD], *more, count]), data)


def repeat_final_state(closed: AttemptClosed) -> FinalState | None:
    """The answer of an attempt that ended in this very run, so that the run says what it came to.

    None where an operator closed it, or its record cannot be read.
    """
    result = None if closed.result is None else recorded_state(closed.result)
    return None if result is None else final_state_of(result)


def recorded_state(result: Mapping[str, Any]) -> ExecutionResult | None:
    """An ExecutionResult as the ledger has it; None where it cannot be read."""
    try:
        return ExecutionResult.model_validate_json(json.dumps(result))
    except ValueError:
        return None


def refused_state(why: ProxxError) -> FinalState:
    """The answer where nothing was begun: code, sentence, each problem by its path, what to do."""
    said = f"{why.code}: {_sentence(why.message)}"
    if isinstance(why, AttemptClosed) and why.result is not None:
        said += f" It was {why.result.get('status')}: {_came_to(recorded_state(why.result))}"
    if why.detail:
        said += f" ({safe(why.detail)})"
    problems = why.problems if isinstance(why, InvalidInput) else ()
    lines = [f"{said} {why.remedy}", *(f"  {safe(problem)}" for problem in problems[:TOLD])]
    if len(problems) > TOLD:
        lines.append(f"  ... and {len(problems) - TOLD} more.")
    return FinalState(False, "\n".join(lines), StateData(error=failure_data(why)))


def read_result(data: dict[str, Any]) -> ExecutionResult | None:
    """The ExecutionResult in a run's data, None where nothing was begun. Raises ValueError for other data."""
    return None if "error" in data else ExecutionResult.model_validate_json(json.dumps(data))


def failure_sentences(result: ExecutionResult) -> list[str]:
    """A line for each clip that failed; what stopped the job first, where no clip tells it."""
    count = len(result.clips)
    said = [
        f"{clip.failure.code}: clip {clip.index + 1} of {count}, {last_part(clip.source)}: {_what(clip.failure)}"
        for clip in result.clips
        if clip.failure is not None
    ]
    stopped = result.stopped
    if stopped is not None and all(clip.failure != stopped for clip in result.clips):
        said.insert(0, f"{stopped.code}: {_what(stopped)}")
    return said


def _came_to(result: ExecutionResult | None) -> str:
    """One line of a recorded result; what cannot be read says so."""
    if result is None:
        return "its record cannot be read."
    return f"{final_state_of(result).message.splitlines()[0].rstrip('.')}, result {result.fingerprint[:12]}."


def _what(failure: Failure) -> str:
    return f"{_sentence(failure.message)} {failure.remedy}"


def _sentence(message: str) -> str:
    """The engine's messages are sentences with and without their full stop."""
    return safe(message.rstrip(".")) + "."
