"""What a job's events in the store say: its attempts, their state, what was announced. Reads, and changes nothing.

State is derived from events and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from proxx.contracts.canonical import Json
from proxx.contracts.errors import StoreDamaged
from proxx.contracts.event import OPENING, TERMINAL, Event, parse_event
from proxx.store.base import Store
from proxx.store.keys import attempts_folder, event_key, parse


@dataclass(frozen=True)
class NotBegun:
    """Nobody has taken the attempt."""


@dataclass(frozen=True)
class Open:
    """Somebody has taken it; whether that worker still lives nobody can tell from here."""

    acquired: Event


@dataclass(frozen=True)
class Closed:
    """Ended by `last`: released with a result, or closed by an operator."""

    last: Event
    acquired: Event | None

    @property
    def result(self) -> dict[str, Json] | None:
        """The ExecutionResult as it was recorded; None where an operator closed the attempt."""
        core = self.last.data.get("result")
        if not isinstance(core, dict):
            return None
        notes = self.last.envelope.notes
        return cast("dict[str, Json]", {**core, **({"envelope": notes["result"]} if "result" in notes else {})})


@dataclass(frozen=True)
class Attempt:
    """One attempt as the store has it. problems: what is missing or unreadable, never skipped silently."""

    number: int
    events: tuple[Event, ...]
    problems: tuple[str, ...] = ()

    @property
    def state(self) -> NotBegun | Open | Closed:
        """Raises StoreDamaged where the events do not tell."""
        if self.problems:
            raise StoreDamaged(message="; ".join(self.problems))
        if not self.events:
            return NotBegun()
        first, last = self.events[0], self.events[-1]
        if last.type in TERMINAL:
            return Closed(last, first if first.type == "lock.acquired" else None)
        return Open(first)


def read_attempts(store: Store, job_id: str) -> tuple[Attempt, ...]:
    """All attempts in order, from the first. Reads on past the listing, which may be stale on shared storage."""
    listed: dict[int, int] = {}
    for key in store.list(attempts_folder(job_id)):
        if (found := parse(key)) and found.kind == "event":
            listed[found.attempt] = max(listed.get(found.attempt, 0), found.number)
    attempts: list[Attempt] = []
    last = max(listed, default=0)
    while True:
        number = len(attempts) + 1
        attempt = _read_attempt(store, job_id, number, listed.get(number, 0))
        if not attempt.events and not attempt.problems:
            if number > last:
                return tuple(attempts)
            attempt = Attempt(number, (), (f"attempt {number} is missing",))
        if attempts and attempts[-1].events and attempts[-1].events[-1].type not in TERMINAL:
            before = attempts[-1]  # the next one could not have been opened, so its last event was lost
            attempts[-1] = replace(
                before, problems=(*before.problems, f"attempt {before.number}: its end is missing")
            )
        attempts.append(attempt)


def _read_attempt(store: Store, job_id: str, attempt: int, listed: int) -> Attempt:
    events: list[Event] = []
    problems: list[str] = []
    number = 0
    while True:
        number += 1
        data = store.read(event_key(job_id, attempt, number))
        if data is None and number > listed:
            return Attempt(attempt, tuple(events), tuple(problems))
        where = f"attempt {attempt} event {number}"
        try:
            event = parse_event(data) if data is not None else None
        except StoreDamaged:
            problems.append(f"{where} cannot be read")
            continue
        if event is None:
            problems.append(f"{where} is missing")
            continue
        if event.number != number:
            problems.append(f"{where} says it is {event.number}")
        if (event.type in OPENING) != (number == 1):
            problems.append(f"{where} is out of place: {event.type}")
        elif events and events[-1].type in TERMINAL:
            problems.append(f"{where} comes after the end")
        events.append(event)


def is_retired(store: Store, job_id: str) -> bool:
    """Whether the job was ended for good: only then may another job have its outputs."""
    attempt = 1
    while (data := store.read(event_key(job_id, attempt, 1))) is not None:
        if parse_event(data).type == "retired":
            return True
        attempt += 1
    return False


def announcements(store: Store, job_id: str) -> dict[str, frozenset[str]]:
    """Output to every sha256 that the job's attempts, the current one included, announced before publishing."""
    found: dict[str, frozenset[str]] = {}
    for attempt in read_attempts(store, job_id):
        _ = attempt.state  # an event that cannot be read may be the announcement: refuse to guess
        for event in attempt.events:
            found = with_announcement(found, event)
    return found


def announced_uploads(store: Store, job_id: str) -> dict[str, tuple[str, ...]]:
    """Output to the ids of uploads in parts that were announced for it, whatever became of them."""
    found: dict[str, tuple[str, ...]] = {}
    for attempt in read_attempts(store, job_id):
        for event in attempt.events:
            output, upload = event.data.get("output"), event.envelope.notes.get("upload")
            if event.type == "clip.publishing" and isinstance(output, str) and isinstance(upload, str):
                found[output] = (*found.get(output, ()), upload)
    return found


def with_announcement(known: dict[str, frozenset[str]], event: Event) -> dict[str, frozenset[str]]:
    output, sha256 = event.data.get("output"), event.data.get("sha256")
    if event.type != "clip.publishing" or not isinstance(output, str) or not isinstance(sha256, str):
        return known
    return {**known, output: known.get(output, frozenset()) | {sha256}}


def is_own_output(store: Store, job_id: str, output_uri: str, sha256: str) -> bool:
    """Whether this job announced that it publishes these bytes there."""
    return sha256 in announcements(store, job_id).get(output_uri, frozenset())


def first_code(result: Mapping[str, Json]) -> str | None:
    """The code of the first failed clip, else of what stopped the job."""
    clips = result.get("clips")
    failures = [clip.get("failure") for clip in clips if isinstance(clip, dict)] if isinstance(clips, list) else []
    for failure in (*failures, result.get("stopped")):
        if isinstance(failure, dict) and isinstance(code := failure.get("code"), str):
            return code
    return None
