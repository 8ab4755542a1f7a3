"""A job's events in the store, each created once: the attempts, their state, and the pen of the one who holds one.

The event sequence of an attempt is its execution lock: event 00001 takes it, a terminal event closes it, and
whoever finds its next number taken has lost it. State is derived from events and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from proxx.canonical import Json
from proxx.errors import LedgerFailed, LockLost, StoreDamaged, StoreRefused, StoreUnavailable
from proxx.event import (
    OPENING,
    TERMINAL,
    Clock,
    Event,
    EventType,
    Worker,
    event_bytes,
    make_event,
    parse_event,
    stamp,
    utc_now,
)
from proxx.layout import attempts_folder, event_key, parse
from proxx.store import Store


@dataclass(frozen=True)
class Absent:
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
    def state(self) -> Absent | Open | Closed:
        """Raises StoreDamaged where the events do not tell."""
        if self.problems:
            raise StoreDamaged(message="; ".join(self.problems))
        if not self.events:
            return Absent()
        first, last = self.events[0], self.events[-1]
        if last.type in TERMINAL:
            return Closed(last, first if first.type == "lock.acquired" else None)
        return Open(first)


def put_event(store: Store, job_id: str, attempt: int, event: Event) -> bytes | None:
    """Create one event. None: it is there, by this call; else the other event's bytes."""
    data = event_bytes(event)
    there = store.create(event_key(job_id, attempt, event.number), data)
    return None if there == data else there  # the nonce makes equal bytes our own


class Ledger:
    """The pen of the one worker that holds an attempt. Not for several threads at once."""

    def __init__(
        self, store: Store, job_id: str, attempt: int, worker: Worker, run_id: str, *, clock: Clock = utc_now
    ) -> None:
        self.store, self.job_id, self.attempt = store, job_id, attempt
        self.worker, self.run_id = worker, run_id
        self._clock = clock
        self._number = 1
        # Nonces of creates nobody saw the end of, an error or a signal came: they may have landed all the same.
        self._sent: set[str] = set()
        self._failed = False
        self._ended: Literal["", "lost", "closed"] = ""
        self._announced: dict[str, frozenset[str]] | None = None

    def append(self, type_: EventType, data: Mapping[str, Json], notes: Mapping[str, Json] | None = None) -> Event:
        """Log one event; when this returns it is durable. notes: what belongs in the envelope.

        Raises LockLost where the number is another's, LedgerFailed where the store failed: then nothing more
        may be done, and only a terminal event may still be tried, so that a store which came back can say how
        it ended.
        """
        if self._ended == "lost":
            raise self._lost(type_)
        if self._ended == "closed":
            raise RuntimeError(f"{type_} after the attempt was closed")
        if self._failed and type_ not in TERMINAL:
            raise LedgerFailed(message=f"the store failed before {type_}, which was not tried")
        while True:
            event = make_event(self._number, type_, data, stamp(self.worker, self.run_id, notes, self._clock))
            self._sent.add(event.envelope.nonce)
            try:
                there = put_event(self.store, self.job_id, self.attempt, event)
            except (StoreUnavailable, StoreRefused) as why:
                self._failed = True
                raise LedgerFailed(
                    message=f"the store did not take the event {type_}", detail=why.detail or why.message
                ) from why
            landed = event if there is None else self._own(there)
            if landed is None:
                self._ended = "lost"
                raise self._lost(type_)
            self._number += 1
            self._sent.clear()
            if landed.type in TERMINAL:
                self._ended = "closed"
                return landed
            if landed is event:
                if self._announced is not None:
                    self._announced = _with_announcement(self._announced, event)
                return event

    def require_held(self, action: str) -> None:
        """Look, right before what cannot be undone, whether the attempt was closed since the last event.

        A worker may have slept between its announcement and the act. Raises LockLost, LedgerFailed.
        """
        try:
            there = self.store.read(event_key(self.job_id, self.attempt, self._number))
        except (StoreUnavailable, StoreRefused) as why:
            self._failed = True
            raise LedgerFailed(
                message=f"the store did not tell whether the attempt is open before {action}",
                detail=why.detail or why.message,
            ) from why
        if there is not None:
            self._ended = "lost"
            raise self._lost(action)

    def ours(self, output: str, sha256: str) -> bool:
        """`ours` for the holder: earlier attempts are closed, so they are read once. Raises LedgerFailed."""
        if self._announced is None:
            try:
                self._announced = announcements(self.store, self.job_id)
            except (StoreUnavailable, StoreDamaged) as why:
                raise LedgerFailed(
                    message="the store did not tell what the job has published", detail=why.detail or why.message
                ) from why
        return sha256 in self._announced.get(output, frozenset())

    def _own(self, data: bytes) -> Event | None:
        """The event in `data` if it is one of ours whose create did not seem to end well."""
        try:
            event = parse_event(data)
        except StoreDamaged:
            return None
        return event if event.envelope.nonce in self._sent else None

    def _lost(self, type_: str) -> LockLost:
        return LockLost(message=f"the attempt was closed before {type_}")


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
            found = _with_announcement(found, event)
    return found


def _with_announcement(known: dict[str, frozenset[str]], event: Event) -> dict[str, frozenset[str]]:
    output, sha256 = event.data.get("output"), event.data.get("sha256")
    if event.type != "clip.publishing" or not isinstance(output, str) or not isinstance(sha256, str):
        return known
    return {**known, output: known.get(output, frozenset()) | {sha256}}


def ours(store: Store, job_id: str, output_uri: str, sha256: str) -> bool:
    """Whether this job announced that it publishes these bytes there."""
    return sha256 in announcements(store, job_id).get(output_uri, frozenset())
