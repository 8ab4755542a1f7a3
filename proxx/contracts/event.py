"""The events of a job: the model and its bytes.

The envelope has what may differ with place and time (time, worker, durations, real paths). The rest is equal wherever
and whenever the job runs; in order it is the canonical log.
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Callable, Mapping
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
    "clip.publishing",  # {clip, output, sha256}: written before every publish
    "clip.completed",
    "clip.failed",
    "lock.released",  # {result}: the ExecutionResult without its envelope
    "unlocked",  # {reason}: an operator closed the attempt
    "retired",  # {reason}: an operator retired the job
]
Clock: TypeAlias = Callable[[], datetime]

OPENING: Final = frozenset({"lock.acquired", "retired"})
TERMINAL: Final = frozenset({"lock.released", "unlocked", "retired"})


def utc_now() -> datetime:
    return datetime.now(UTC)


class Worker(Contract):
    """The process that acted. name: the worker's name in its pool, None outside a pool."""

    host: str
    pid: int
    user: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        account = f"{self.user}@{self.host}" if self.user else self.host
        return f"{account} process {self.pid}" + (f" ({self.name})" if self.name else "")


def this_worker(name: str | None = None) -> Worker:
    """Returns this process as a worker. Call it after a fork, not before."""
    user = None
    with suppress(OSError, KeyError):  # the user of a container may have no name
        user = getpass.getuser()
    return Worker(host=socket.gethostname(), pid=os.getpid(), user=user, name=name)


class Stamp(Contract):
    """The envelope: who wrote a record and when. nonce: identifies the writer after a lost answer."""

    time: str
    worker: Worker
    run_id: str
    nonce: str
    notes: dict[str, JsonValue]


def stamp(worker: Worker, run_id: str, notes: Mapping[str, Json] | None = None, clock: Clock = utc_now) -> Stamp:
    """Returns an envelope of this moment. Raises NotCanonical for notes without a canonical form."""
    time = clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Stamp(time=time, worker=worker, run_id=run_id, nonce=str(uuid.uuid4()), notes=_plain(notes or {}))


class Event(Contract):
    """One event. number: its position in the attempt, from 1."""

    schema_: Literal["proxx.event/1"] = Field(alias="schema")
    number: int = Field(ge=1)
    type: EventType
    data: dict[str, JsonValue]
    envelope: Stamp


def make_event(number: int, type_: EventType, data: Mapping[str, Json], envelope: Stamp) -> Event:
    """Returns a new event without validating it: its content is typed already, and a result of 1,000 clips is large.

    Raises NotCanonical for data without a canonical form.
    """
    if number < 1:
        raise ValueError("events are counted from 1")
    return Event.model_construct(
        schema_="proxx.event/1", number=number, type=type_, data=_plain(data), envelope=envelope
    )


def _plain(value: Mapping[str, Json]) -> dict[str, JsonValue]:
    """Returns the value as plain JSON. Raises NotCanonical if it has no canonical form."""
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
    """Returns the event in `data`. Raises StoreDamaged, also for an event of a later schema."""
    try:
        read_json(data)  # refuses floats and duplicate keys
        return Event.model_validate_json(data)
    except (NotCanonical, ValidationError) as error:
        raise StoreDamaged(message="an event cannot be read", detail=str(error)) from error
