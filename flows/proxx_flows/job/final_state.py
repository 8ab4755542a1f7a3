"""Builds the final Prefect state of a job: a message for people and data for programs. Pure."""

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

MAX_FAILURES: Final = 3
"""The most failures that one message lists; the data has all of them."""


class StateData(dict[str, Any]):
    """Plain JSON whose repr lists only its keys: Prefect prints a failed state with its data into the run's log."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


@dataclass(frozen=True)
class FinalState:
    """The final state of a run. completed: the state is Completed, otherwise Failed.

    data: plain JSON as `proxx run --json` prints it: an ExecutionResult, or `{"error": …}` if nothing was begun.
    """

    completed: bool
    message: str
    data: StateData


def final_state_of(result: ExecutionResult) -> FinalState:
    """Returns the final state of an attempt that ran: its counts, or each failure starting with its code."""
    data = StateData(result.to_json())
    made = [clip for clip in result.clips if clip.status == "COMPLETED"]
    if result.status == "COMPLETED":
        frames = sum(clip.frames or 0 for clip in made)
        return FinalState(True, f"{plural(len(made), 'clip')}, {plural(frames, 'frame')}", data)
    failures = failure_sentences(result)
    more = [f"... and {len(failures) - MAX_FAILURES} more."] if len(failures) > MAX_FAILURES else []
    count = f"{len(made)} of {plural(len(result.clips), 'clip')} made."
    return FinalState(False, "\n".join([*failures[:MAX_FAILURES], *more, count]), data)


def repeat_final_state(closed: AttemptClosed) -> FinalState | None:
    """Returns the final state of an attempt that this same run has already ended, so that the run reports it again.

    None if an operator closed the attempt, or if its record cannot be read.
    """
    result = None if closed.result is None else recorded_result(closed.result)
    return None if result is None else final_state_of(result)


def recorded_result(record: Mapping[str, Any]) -> ExecutionResult | None:
    """Returns the ExecutionResult that the ledger recorded, None if it cannot be read."""
    try:
        return ExecutionResult.model_validate_json(json.dumps(record))
    except ValueError:
        return None


def refused_state(error: ProxxError) -> FinalState:
    """Returns the final state of a run that began nothing: code, message, each problem with its path, remedy."""
    text = f"{error.code}: {_sentence(error.message)}"
    if isinstance(error, AttemptClosed) and error.result is not None:
        text += f" It was {error.result.get('status')}: {_outcome(recorded_result(error.result))}"
    if error.detail:
        text += f" ({safe(error.detail)})"
    problems = error.problems if isinstance(error, InvalidInput) else ()
    lines = [f"{text} {error.remedy}", *(f"  {safe(problem)}" for problem in problems[:MAX_FAILURES])]
    if len(problems) > MAX_FAILURES:
        lines.append(f"  ... and {len(problems) - MAX_FAILURES} more.")
    return FinalState(False, "\n".join(lines), StateData(error=failure_data(error)))


def read_result(data: dict[str, Any]) -> ExecutionResult | None:
    """Returns the ExecutionResult in a run's data, None if it began nothing. Raises ValueError for other data."""
    return None if "error" in data else ExecutionResult.model_validate_json(json.dumps(data))


def failure_sentences(result: ExecutionResult) -> list[str]:
    """Returns one line for each failed clip, after the line of what stopped the job if no clip has that failure."""
    count = len(result.clips)
    lines = [
        f"{clip.failure.code}: clip {clip.index + 1} of {count}, {last_part(clip.source)}: {_explain(clip.failure)}"
        for clip in result.clips
        if clip.failure is not None
    ]
    stopped = result.stopped
    if stopped is not None and all(clip.failure != stopped for clip in result.clips):
        lines.insert(0, f"{stopped.code}: {_explain(stopped)}")
    return lines


def _outcome(result: ExecutionResult | None) -> str:
    """Returns a recorded result as one sentence."""
    if result is None:
        return "its record cannot be read."
    return f"{final_state_of(result).message.splitlines()[0].rstrip('.')}, result {result.fingerprint[:12]}."


def _explain(failure: Failure) -> str:
    return f"{_sentence(failure.message)} {failure.remedy}"


def _sentence(message: str) -> str:
    """Ends the message with one full stop: some of the engine's messages have it, some do not."""
    return safe(message.rstrip(".")) + "."
