"""The execution lock of an attempt: acquire, release, unlock, retire. A refusal comes before any work begins.

Attempt N opens when attempt N-1 is closed and nobody else created the first event of N. Nothing times out: the
attempt of a dead worker stays open until an operator closes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

from proxx.contracts.canonical import Json, canonical_bytes, pretty_bytes
from proxx.contracts.error_bases import Refusal
from proxx.contracts.errors import (
    AttemptClosed,
    AttemptOutOfOrder,
    JobRetired,
    JobUnknown,
    LedgerFailed,
    Locked,
    LockLost,
    NotLocked,
    StoreRefused,
    StoreUnavailable,
)
from proxx.contracts.event import TERMINAL, Clock, Event, Worker, make_event, parse_event, stamp, utc_now
from proxx.s3.incidents import IncidentJournal
from proxx.store.attempts import Attempt, Closed, NotBegun, Open, first_code, read_attempts
from proxx.store.base import Store
from proxx.store.keys import (
    index_ended_key,
    index_taken_key,
    is_job_id,
    registered_key,
    result_key,
    spec_key,
    storage_key,
)
from proxx.store.ledger import Ledger, put_event

TRIES: Final = 100  # event numbers that `unlock` and `retire` try; a worker that outruns this many is alive


def acquire(
    store: Store,
    job_id: str,
    attempt: int,
    worker: Worker,
    run_id: str,
    *,
    notes: Mapping[str, Json] | None = None,
    clock: Clock = utc_now,
    journals: tuple[IncidentJournal, ...] = (),
) -> Ledger:
    """Takes the attempt and returns its ledger. The holder of the ledger is the only holder of the lock.

    Raises only refusals: those of `refusal_for_attempt`, StoreUnavailable, StoreDamaged.
    """
    _require_free(store, job_id, attempt)
    store.create(index_taken_key(stamp(worker, run_id, clock=clock).time, job_id, attempt), b"")
    ledger = Ledger(store, job_id, attempt, worker, run_id, clock=clock, journals=journals)
    try:
        ledger.append("lock.acquired", {"attempt": attempt, "job_id": job_id}, notes)
    except LockLost as lost:
        _require_free(store, job_id, attempt)  # raises the refusal that names the faster worker
        raise StoreUnavailable(message="the store has the attempt's first event but does not return it") from lost
    except LedgerFailed as error:
        raise StoreUnavailable(message="the lock's event could not be stored", detail=error.detail) from error
    return ledger


def release(ledger: Ledger, result: Mapping[str, Json]) -> Event:
    """Closes the attempt with its ExecutionResult.

    The result's `envelope` goes into the event's envelope, outside the canonical log. Raises LockLost, LedgerFailed.
    """
    core = {key: value for key, value in result.items() if key != "envelope"}
    notes = {"result": result["envelope"]} if "envelope" in result else None
    event = ledger.append("lock.released", {"result": core}, notes)
    copies = [(result_key(ledger.job_id, ledger.attempt), pretty_bytes(result))]
    if incidents := ledger.incidents():  # of the last event itself, which no later event can carry
        copies.append((storage_key(ledger.job_id, ledger.attempt), canonical_bytes({"storage": list(incidents)})))
    _record_end(ledger.store, ledger.job_id, ledger.attempt, event, tuple(copies))
    return event


def unlock(
    store: Store, job_id: str, reason: str, operator: Worker, *, run_id: str = "", clock: Clock = utc_now
) -> int:
    """Closes the open attempt of a worker that an operator knows to be dead. Returns the attempt's number.

    If that worker is alive after all, its next event finds the number taken and it publishes nothing more, except
    at most one output: the one it had announced and was giving its final name at that moment. No file system can
    make that step wait for a check of the store. Raises JobUnknown, NotLocked, Locked.
    """
    _check_reason(reason)
    attempts = _attempts(store, job_id)
    if not attempts or not isinstance(attempts[-1].state, Open):
        raise NotLocked(message="no attempt of this job is open")
    attempt, number = attempts[-1].number, len(attempts[-1].events)
    for _ in range(TRIES):
        number += 1
        event = make_event(number, "unlocked", {"reason": reason}, stamp(operator, run_id, clock=clock))
        existing = put_event(store, job_id, attempt, event)
        if existing is None:
            _record_end(store, job_id, attempt, event)
            return attempt
        if parse_event(existing).type in TERMINAL:
            raise NotLocked(message=f"attempt {attempt} has just ended")
    raise Locked(message=f"attempt {attempt} gets new events all the time: its worker is alive")


def retire(
    store: Store, job_id: str, reason: str, operator: Worker, *, run_id: str = "", clock: Clock = utc_now
) -> int:
    """Retires the job: it never runs again, and other jobs may claim its outputs.

    Returns the attempt number this uses up. It competes with `acquire` for one key, event 00001 of the next attempt,
    so one of the two fails. Raises JobUnknown, Locked, JobRetired, StoreUnavailable.
    """
    _check_reason(reason)
    for _ in range(TRIES):
        attempts = _attempts(store, job_id)
        if attempts:
            match attempts[-1].state:
                case Open(acquired=acquired):
                    raise _locked(attempts[-1].number, acquired)
                case Closed(last=last) if last.type == "retired":
                    raise JobRetired(message="the job is retired", detail=_who(last))
        attempt = len(attempts) + 1
        event = make_event(1, "retired", {"reason": reason}, stamp(operator, run_id, clock=clock))
        if put_event(store, job_id, attempt, event) is None:
            _record_end(store, job_id, attempt, event)
            return attempt
    raise StoreUnavailable(message="other attempts of the job kept beginning, so it could not be retired")


def refusal_for_attempt(store: Store, job_id: str, attempt: int) -> Refusal | None:
    """Returns the refusal that `acquire` would raise for this attempt now, or None if the attempt could be taken.

    Takes nothing and writes nothing, so another worker may take the attempt before the caller does. The refusal is
    JobUnknown (the job is not fully registered), Locked, AttemptClosed (with the recorded result), AttemptOutOfOrder
    or JobRetired. `run_id` of Locked and AttemptClosed is the run that took the attempt.
    Raises StoreUnavailable if the store does not answer, StoreDamaged if the events of any attempt cannot be read.
    """
    if not is_job_id(job_id) or store.read(registered_key(job_id)) is None:
        return JobUnknown(message="the job is not registered in this store", detail=f"{job_id} in {store.uri}")
    if attempt < 1:
        return AttemptOutOfOrder(message=f"attempt {attempt}: attempts start at 1")
    states = [known.state for known in read_attempts(store, job_id)]  # every attempt: a damaged ledger runs nothing
    if attempt <= len(states):
        return _refusal_for_taken(attempt, states[attempt - 1])
    match states[-1] if states else None:
        case Closed(last=last) if last.type == "retired":
            return JobRetired(message="the job is retired", detail=_who(last))
        case Open(acquired=acquired):
            return AttemptOutOfOrder(
                message=f"attempt {attempt}: attempt {len(states)} is open",
                detail=_who(acquired),
                remedy="Wait for its end (see `proxx status`). If its machine is dead: `proxx unlock`.",
            )
    if attempt > len(states) + 1:
        following = f"{len(states) + 1} is next" if states else "the job has no attempts yet, so 1 is next"
        return AttemptOutOfOrder(message=f"attempt {attempt}: {following}")
    return None


def _refusal_for_taken(attempt: int, state: Open | Closed | NotBegun) -> Refusal | None:
    match state:
        case Open(acquired=acquired):
            return _locked(attempt, acquired)
        case Closed(last=last) if last.type == "retired":
            return JobRetired(message="the job is retired", detail=_who(last))
        case Closed(last=last, acquired=acquired, result=result):
            return AttemptClosed(
                message=f"attempt {attempt} has ended",
                detail=_who(last),
                result=result,
                run_id=acquired.envelope.run_id if acquired else "",
            )
        case NotBegun():
            raise AssertionError("read_attempts returns no attempt without events")


def _require_free(store: Store, job_id: str, attempt: int) -> None:
    refusal = refusal_for_attempt(store, job_id, attempt)
    if refusal is not None:
        raise refusal


def _attempts(store: Store, job_id: str) -> tuple[Attempt, ...]:
    """Returns the attempts of a job whose registration has at least begun.

    Such a job may hold claims, and only retiring it frees them. Raises JobUnknown, StoreDamaged.
    """
    if not is_job_id(job_id) or store.read(spec_key(job_id)) is None:
        raise JobUnknown(message="the job is not in this store", detail=f"{job_id} in {store.uri}")
    attempts = read_attempts(store, job_id)
    for attempt in attempts:
        _ = attempt.state  # raises StoreDamaged
    return attempts


def _record_end(
    store: Store, job_id: str, attempt: int, event: Event, copies: tuple[tuple[str, bytes], ...] = ()
) -> None:
    """Writes copies and the index key for readers. The event alone closes the attempt, so failures are ignored."""
    index_key = index_ended_key(event.envelope.time, job_id, attempt, _outcome(event), event.envelope.run_id)
    for key, data in (*copies, (index_key, b"")):
        with suppress(StoreUnavailable, StoreRefused):
            store.create(key, data)


def _outcome(event: Event) -> str:
    """Returns `completed`, `failed-<code>`, `unlocked` or `retired`."""
    result = cast("Mapping[str, Json] | None", event.data.get("result"))
    if event.type != "lock.released" or not isinstance(result, Mapping):
        return event.type
    return "completed" if result.get("status") == "COMPLETED" else f"failed-{first_code(result) or ''}"


def _locked(attempt: int, acquired: Event) -> Locked:
    return Locked(
        message=f"attempt {attempt} is open",
        detail=_who(acquired),
        run_id=acquired.envelope.run_id,
        since=acquired.envelope.time,
    )


def _who(event: Event) -> str:
    """Returns what happened, when, and who did it, for an error's detail."""
    return f"{event.type} {event.envelope.time} by {event.envelope.worker}, run {event.envelope.run_id or '-'}"


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise ValueError("unlock and retire need a reason")
