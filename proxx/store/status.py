"""The state and history of one job, read from the store by any process. Changes nothing.

States follow from the events alone. An open attempt is HELD: the store cannot tell a living worker from a dead one,
so the status shows who holds the attempt and since when, and a person decides.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import JsonValue

from proxx.contracts.canonical import Json
from proxx.contracts.errors import JobUnknown, StoreDamaged
from proxx.contracts.event import EventType, Worker
from proxx.contracts.model import Contract
from proxx.store.attempts import Attempt, Closed, NotBegun, Open, first_code, read_attempts
from proxx.store.base import Store
from proxx.store.keys import is_job_id, parse, refusals_folder, registered_key, spec_key
from proxx.store.parsing import parse_contract
from proxx.store.registration import RefusalRecord, registration


class State(StrEnum):
    UNREGISTERED = "UNREGISTERED"  # not fully registered: it may hold claims until it is retired
    REGISTERED = "REGISTERED"  # waiting: no attempt was taken
    HELD = "HELD"  # the latest attempt is open
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    UNLOCKED = "UNLOCKED"  # an operator closed the latest attempt
    RETIRED = "RETIRED"  # an operator retired the job
    DAMAGED = "DAMAGED"  # the state cannot be derived from the events: see the problems


class AttemptStatus(Contract):
    """One attempt.

    worker, run_id, since: who took it and when, or for RETIRED the operator. code: of the first failure. reason: the
    operator's, for UNLOCKED and RETIRED.
    """

    attempt: int
    state: State
    worker: Worker | None = None
    run_id: str = ""
    since: str = ""
    ended: str | None = None
    code: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    events: int = 0


class JobStatus(Contract):
    """One job; its state is that of its latest attempt. problems: objects that are missing or cannot be read.

    brief: made from listings alone, so outputs and the workers of attempts are left out.
    """

    job_id: str
    state: State
    brief: bool = False
    registered: bool
    registered_at: str | None = None
    outputs: tuple[str, ...] = ()
    attempts: tuple[AttemptStatus, ...] = ()
    refusals: tuple[RefusalRecord, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def latest(self) -> AttemptStatus | None:
        return self.attempts[-1] if self.attempts else None


class Entry(Contract):
    """One event in a job's history."""

    attempt: int
    number: int
    time: str
    worker: Worker
    run_id: str
    type: EventType
    data: dict[str, JsonValue]
    notes: dict[str, JsonValue]


class History(Contract):
    """All events of a job in order. problems: events that are missing or cannot be read."""

    job_id: str
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


def job_status(store: Store, job_id: str) -> JobStatus:
    """Returns the status of the job. Raises JobUnknown if the store has no object of this job."""
    status = _status(store, job_id) if is_job_id(job_id) else None
    if status is None:
        raise JobUnknown(message="the job is not in this store", detail=f"{job_id} in {store.uri}")
    return status


def job_history(store: Store, job_id: str) -> History:
    """Returns the history of the job, from its events alone. Raises JobUnknown if the store has no object of it."""
    attempts = read_attempts(store, job_id) if is_job_id(job_id) else ()
    if not attempts:
        job_status(store, job_id)  # raises JobUnknown
    entries = tuple(
        Entry(
            attempt=attempt.number,
            number=event.number,
            time=event.envelope.time,
            worker=event.envelope.worker,
            run_id=event.envelope.run_id,
            type=event.type,
            data=event.data,
            notes=event.envelope.notes,
        )
        for attempt in attempts
        for event in attempt.events
    )
    problems = tuple(problem for attempt in attempts for problem in attempt.problems)
    return History(job_id=job_id, entries=entries, problems=problems)


def _status(store: Store, job_id: str) -> JobStatus | None:
    """Returns the status of the job, or None if the store has no object of it."""
    attempts = read_attempts(store, job_id)
    refusals, problems = _refusals(store, job_id)
    problems += tuple(problem for attempt in attempts for problem in attempt.problems)
    registered = store.read(registered_key(job_id)) is not None
    spec = store.read(spec_key(job_id)) is not None
    if not (registered or attempts or refusals or problems or spec):
        return None
    if registered and not spec:
        problems += ("spec.json is missing",)
    record = None
    try:
        record = registration(store, job_id)
    except StoreDamaged as error:
        problems += (error.message,)
    statuses = tuple(_attempt(attempt) for attempt in attempts)
    if statuses:
        state = statuses[-1].state
    elif registered:
        state = State.REGISTERED
    else:
        state = State.UNREGISTERED
    return JobStatus(
        job_id=job_id,
        state=State.DAMAGED if problems else state,
        registered=registered,
        registered_at=record.envelope.time if record else None,
        outputs=record.outputs if record else (),
        attempts=statuses,
        refusals=refusals,
        problems=problems,
    )


def _refusals(store: Store, job_id: str) -> tuple[tuple[RefusalRecord, ...], tuple[str, ...]]:
    """Returns the job's refusals in order of time, and the problems of those that cannot be read."""
    refusals: list[RefusalRecord] = []
    problems: list[str] = []
    for key in store.list(refusals_folder(job_id)):
        parsed = parse(key)
        if parsed is None or parsed.kind != "refusal":
            continue
        try:
            refusals.append(parse_contract(store.read(key) or b"", f"refusal {parsed.name}", RefusalRecord))
        except StoreDamaged as error:
            problems.append(error.message)
    return tuple(sorted(refusals, key=lambda r: (r.envelope.time, r.envelope.nonce))), tuple(problems)


def _attempt(attempt: Attempt) -> AttemptStatus:
    count = len(attempt.events)
    if attempt.problems:
        return AttemptStatus(attempt=attempt.number, state=State.DAMAGED, events=count)
    match attempt.state:
        case Open(acquired=acquired):
            return AttemptStatus(
                attempt=attempt.number,
                state=State.HELD,
                worker=acquired.envelope.worker,
                run_id=acquired.envelope.run_id,
                since=acquired.envelope.time,
                events=count,
            )
        case Closed() as closed:
            return _closed(attempt.number, count, closed)
        case NotBegun():
            raise AssertionError("read_attempts returns no attempt without events")


def _closed(number: int, count: int, closed: Closed) -> AttemptStatus:
    first = (closed.acquired or closed.last).envelope
    result, reason = closed.result, closed.last.data.get("reason")
    fingerprint = result.get("fingerprint") if result else None
    return AttemptStatus(
        attempt=number,
        state=_end(closed, result),
        worker=first.worker,
        run_id=first.run_id,
        since=first.time,
        ended=closed.last.envelope.time,
        code=first_code(result) if result else None,
        reason=reason if isinstance(reason, str) else None,
        fingerprint=fingerprint if isinstance(fingerprint, str) else None,
        events=count,
    )


def _end(closed: Closed, result: dict[str, Json] | None) -> State:
    if closed.last.type == "retired":
        return State.RETIRED
    if closed.last.type == "unlocked":
        return State.UNLOCKED
    return State.COMPLETED if result and result.get("status") == "COMPLETED" else State.FAILED
