"""One event of a job: what happened, who wrote it and when, and its bytes.

What may differ by where and when (time, worker, durations, real paths) is in the envelope; the rest is the
canonical log, equal wherever and whenever the job runs.
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, cast

from pydantic import Field, JsonValue, ValidationError

from proxx.contracts.canonical import Json, NotCanonical, canonical_bytes, read_json
from proxx.contracts.errors import StoreDamaged
from proxx.contracts.model import Contract

EVENT_SCHEMA: Final = "proxx.event/1"
EventType: TypeAlias = Literal[
    "lock.acquired",
    "clip.started",
    "clip.publishing",  # {clip, output, sha256}: the fence before every publish
    "clip.completed",
    "clip.failed",
    "lock.released",  # {result}: the ExecutionResult without its envelope
    "unlocked",  # {reason}: an operator closed the attempt
    "retired",  # {reason}: an operator ended the job for good
]
Clock: TypeAlias = Callable[[], datetime]

OPENING: Final = frozenset({"lock.acquired", "retired"})
TERMINAL: Final = frozenset({"lock.released", "unlocked", "retired"})


def utc_now() -> datetime:
    return datetime.now(UTC)


class Worker(Contract):
    """Who acted. name: what the pool calls the worker, where there is a pool."""

    host: str
    pid: int
    user: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        who = f"{self.user}@{self.host}" if self.user else self.host
        return f"{who} process {self.pid}" + (f" ({self.name})" if self.name else "")


def this_worker(name: str | None = None) -> Worker:
    """The process that asks; ask after a fork, not before."""
    user = None
    with suppress(OSError, KeyError):  # a container's user may have no name
        user = getpass.getuser()
    return Worker(host=socket.gethostname(), pid=os.getpid(), user=user, name=name)


class Stamp(Contract):
    """The envelope: who wrote a record and when. nonce: tells an answer lost on the way from another's record."""

    time: str
    worker: Worker
    run_id: str
    nonce: str
    notes: dict[str, JsonValue]


def stamp(worker: Worker, run_id: str, notes: Mapping[str, Json] | None = None, clock: Clock = utc_now) -> Stamp:
    time = clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Stamp(time=time, worker=worker, run_id=run_id, nonce=str(uuid.uuid4()), notes=_plain(notes or {}))


class Event(Contract):
    """One thing that happened. number: its place in the attempt, from 1."""

    schema_: Literal["proxx.event/1"] = Field(alias="schema")
    number: int = Field(ge=1)
    type: EventType
    data: dict[str, JsonValue]
    envelope: Stamp


def make_event(number: int, type_: EventType, data: Mapping[str, Json], envelope: Stamp) -> Event:
    """An event of one's own: what it holds is typed already, and a result of 1,000 clips is not copied again."""
    if number < 1:
        raise ValueError("events are counted from 1")
    return Event.model_construct(
        schema_="proxx.event/1", number=number, type=type_, data=_plain(data), envelope=envelope
    )


def _plain(value: Mapping[str, Json]) -> dict[str, JsonValue]:
    """The same as plain JSON; raises NotCanonical for what has no canonical form."""
    canonical_bytes(value)
    return cast("dict[str, JsonValue]", dict(value))


def event_bytes(event: Event) -> bytes:
    return canonical_bytes(
        {
            "schema": event.schema_,
            "number": event.number,
            "type": event.type,
            "data": cast("Json", event.data),
            "envelope": event.envelope.to_json(),
        }
    )


def parse_event(data: bytes) -> Event:
    """Raises StoreDamaged, also for an event of a later schema."""
    try:
        read_json(data)  # no float, no key twice
        return Event.model_validate_json(data)
    except (NotCanonical, ValidationError) as why:
        raise StoreDamaged(message="an event cannot be read", detail=str(why)) from why


def canonical_log(events: Iterable[Event]) -> tuple[dict[str, Json], ...]:
    """The events without their envelopes, in order. Raises StoreDamaged where the numbers are not 1, 2, 3, …"""
    log: list[dict[str, Json]] = []
    for place, event in enumerate(events, 1):
        if event.number != place:
            raise StoreDamaged(message=f"event {place} is missing from the log: {event.number} is in its place")
        log.append({key: value for key, value in event.to_json().items() if key != "envelope"})
    return tuple(log)
