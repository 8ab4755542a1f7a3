"""Reads the attempts of a job from its events: their state, and what was announced. Changes nothing.

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
    """The attempt has no events: no worker has taken it."""


@dataclass(frozen=True)
class Open:
    """A worker has taken the attempt. The store cannot tell whether that worker is still alive."""

    acquired: Event


@dataclass(frozen=True)
class Closed:
    """The attempt ended with the event `last`: a worker released it with a result, or an operator closed it.

    acquired: the event that took the attempt, or None if the job was retired instead.
    """

    last: Event
    acquired: Event | None

    @property
    def result(self) -> dict[str, Json] | None:
        """The ExecutionResult as recorded, or None if an operator closed the attempt."""
        core = self.last.data.get("result")
        if not isinstance(core, dict):
            return None
        notes = self.last.envelope.notes
        return cast("dict[str, Json]", {**core, **({"envelope": notes["result"]} if "result" in notes else {})})


@dataclass(frozen=True)
class Attempt:
    """One attempt as recorded in the store. problems: events that are missing, unreadable or out of place."""

    number: int
    events: tuple[Event, ...]
    problems: tuple[str, ...] = ()

    @property
    def state(self) -> NotBegun | Open | Closed:
        """The state that follows from the events. Raises StoreDamaged if the attempt has problems."""
        if self.problems:
            raise StoreDamaged(message="; ".join(self.problems))
        if not self.events:
            return NotBegun()
        first, last = self.events[0], self.events[-1]
        if last.type in TERMINAL:
            return Closed(last, first if first.type == "lock.acquired" else None)
        return Open(first)


def read_attempts(store: Store, job_id: str) -> tuple[Attempt, ...]:
    """Returns all attempts of the job, in order from 1.

    A listing may be stale on shared storage, so this reads on past the last listed event and attempt.
    """
    listed: dict[int, int] = {}
    for key in store.list(attempts_folder(job_id)):
        if (parsed := parse(key)) and parsed.kind == "event":
            listed[parsed.attempt] = max(listed.get(parsed.attempt, 0), parsed.number)
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
            # An attempt opens only when the one before it has ended, so that one's last event was lost.
            before = attempts[-1]
            attempts[-1] = replace(
                before, problems=(*before.problems, f"attempt {before.number}: its last event is missing")
            )
        attempts.append(attempt)


def _read_attempt(store: Store, job_id: str, attempt: int, listed: int) -> Attempt:
    """Returns the attempt with every event up to `listed`, and those that follow without a gap."""
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
            problems.append(f"{where} is numbered {event.number}")
        if (event.type in OPENING) != (number == 1):
            problems.append(f"{where} is out of place: {event.type}")
        elif events and events[-1].type in TERMINAL:
            problems.append(f"{where} comes after the end of the attempt")
        events.append(event)


def is_retired(store: Store, job_id: str) -> bool:
    """Returns whether the job is retired; only then may another job claim its outputs."""
    attempt = 1
    while (data := store.read(event_key(job_id, attempt, 1))) is not None:
        if parse_event(data).type == "retired":
            return True
        attempt += 1
    return False


def announcements(store: Store, job_id: str) -> dict[str, frozenset[str]]:
    """Returns, for each output, the sha256 digests that any attempt of the job announced before publishing.

    Raises StoreDamaged if an attempt has problems: an event that cannot be read may be an announcement.
    """
    announced: dict[str, frozenset[str]] = {}
    for attempt in read_attempts(store, job_id):
        _ = attempt.state  # raises StoreDamaged
        for event in attempt.events:
            announced = with_announcement(announced, event)
    return announced


def announced_uploads(store: Store, job_id: str) -> dict[str, tuple[str, ...]]:
    """Returns, for each output, the ids of the multipart uploads the job announced, finished or not."""
    uploads: dict[str, tuple[str, ...]] = {}
    for attempt in read_attempts(store, job_id):
        for event in attempt.events:
            output, upload = event.data.get("output"), event.envelope.notes.get("upload")
            if event.type == "clip.publishing" and isinstance(output, str) and isinstance(upload, str):
                uploads[output] = (*uploads.get(output, ()), upload)
    return uploads


def with_announcement(known: dict[str, frozenset[str]], event: Event) -> dict[str, frozenset[str]]:
    """Returns `known` with the digest that `event` announces, or unchanged if it announces none."""
    output, sha256 = event.data.get("output"), event.data.get("sha256")
    if event.type != "clip.publishing" or not isinstance(output, str) or not isinstance(sha256, str):
        return known
    return {**known, output: known.get(output, frozenset()) | {sha256}}


def first_code(result: Mapping[str, Json]) -> str | None:
    """Returns the failure code of the first failed clip, else of what stopped the job, else None."""
    clips = result.get("clips")
    failures = [clip.get("failure") for clip in clips if isinstance(clip, dict)] if isinstance(clips, list) else []
    for failure in (*failures, result.get("stopped")):
        if isinstance(failure, dict) and isinstance(code := failure.get("code"), str):
            return code
    return None
