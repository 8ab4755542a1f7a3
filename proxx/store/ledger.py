"""Writes the events of an attempt, on behalf of the worker that holds it. Each event is created once.

The event sequence of an attempt is its execution lock: event 00001 takes it, a terminal event closes it, and a
worker that finds its next number taken has lost it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import EnvironmentFailure
from proxx.contracts.errors import LedgerFailed, LockLost, StoreDamaged, StoreRefused, StoreUnavailable
from proxx.contracts.event import (
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
from proxx.s3.incidents import IncidentJournal
from proxx.store.attempts import announced_uploads, announcements, with_announcement
from proxx.store.base import Store
from proxx.store.claims import former_uploads
from proxx.store.keys import event_key

T = TypeVar("T")


def put_event(store: Store, job_id: str, attempt: int, event: Event) -> bytes | None:
    """Creates one event.

    Returns None if this call created the event, else the bytes of the event that already exists.
    """
    data = event_bytes(event)
    existing = store.create(event_key(job_id, attempt, event.number), data)
    return None if existing == data else existing  # equal bytes have our nonce, so the event is ours


class Ledger:
    """The writer of one attempt's events, for the worker that holds it. Not for use by several threads at once."""

    def __init__(
        self,
        store: Store,
        job_id: str,
        attempt: int,
        worker: Worker,
        run_id: str,
        *,
        clock: Clock = utc_now,
        journals: tuple[IncidentJournal, ...] = (),
    ) -> None:
        """journals: those whose incidents go into the envelopes of events, besides the store's own journal."""
        self.store, self.job_id, self.attempt = store, job_id, attempt
        self._journals = (store.journal, *(journal for journal in journals if journal is not store.journal))
        self.worker, self.run_id = worker, run_id
        self._clock = clock
        self._number = 1
        # Nonces of events whose create ended with an error or a signal: the store may have taken them all the same.
        self._sent: set[str] = set()
        self._failed = False
        self._ended: Literal["", "lost", "closed"] = ""
        self._announced: dict[str, frozenset[str]] | None = None
        self._uploads: dict[str, tuple[str, ...]] | None = None

    def append(self, type_: EventType, data: Mapping[str, Json], notes: Mapping[str, Json] | None = None) -> Event:
        """Logs one event and returns it; by then it is durable. notes: goes into the envelope.

        Raises LockLost if another event has the number: the attempt was closed. Raises LedgerFailed if the store
        failed; after that only a terminal event is tried, so that a store that recovers can record the end.
        """
        if self._ended == "lost":
            raise self._lock_lost(type_)
        if self._ended == "closed":
            raise RuntimeError(f"{type_} after the attempt was closed")
        if self._failed and type_ not in TERMINAL:
            raise LedgerFailed(message=f"the store failed earlier, so the event {type_} was not tried")
        while True:
            envelope_notes = self._with_incidents(notes)
            event = make_event(
                self._number, type_, data, stamp(self.worker, self.run_id, envelope_notes, self._clock)
            )
            self._sent.add(event.envelope.nonce)
            try:
                existing = put_event(self.store, self.job_id, self.attempt, event)
            except (StoreUnavailable, StoreRefused, EnvironmentFailure) as error:
                self._failed = True
                raise LedgerFailed(
                    message=f"the event {type_} could not be stored", detail=error.detail or error.message
                ) from error
            stored = event if existing is None else self._own_event(existing)
            if stored is None:
                self._ended = "lost"
                raise self._lock_lost(type_)
            self._number += 1
            self._sent.clear()
            if stored.type in TERMINAL:
                self._ended = "closed"
                return stored
            if stored is event:
                if self._announced is not None:
                    self._announced = with_announcement(self._announced, event)
                return event

    def incidents(self) -> tuple[Mapping[str, Json], ...]:
        """Returns what storage and network did since the last event; each incident is returned once."""
        return tuple(incident for journal in self._journals for incident in journal.take())

    def _with_incidents(self, notes: Mapping[str, Json] | None) -> Mapping[str, Json]:
        incidents = self.incidents()
        return {**(notes or {}), **({"storage": list(incidents)} if incidents else {})}

    def require_held(self, action: str) -> None:
        """Checks, right before an action that cannot be undone, that the attempt was not closed meanwhile.

        A worker may have slept between its announcement and the action. Raises LockLost, LedgerFailed.
        """
        try:
            existing = self.store.read(event_key(self.job_id, self.attempt, self._number))
        except (StoreUnavailable, StoreRefused, EnvironmentFailure) as error:
            self._failed = True
            raise LedgerFailed(
                message=f"the store could not confirm before {action} that the attempt is open",
                detail=error.detail or error.message,
            ) from error
        if existing is not None:
            self._ended = "lost"
            raise self._lock_lost(action)

    def has_announced(self, output: str, sha256: str) -> bool:
        """Returns whether an attempt of this job, the current one included, announced these bytes for `output`.

        Earlier attempts are closed, so they are read once. Raises LedgerFailed.
        """
        if self._announced is None:
            self._announced = self._read_past(announcements)
        return sha256 in self._announced.get(output, frozenset())

    def earlier_uploads(self, output: str) -> tuple[str, ...]:
        """Returns the ids of multipart uploads that earlier attempts announced for `output`. Raises LedgerFailed."""
        if self.attempt == 1:
            return ()
        if self._uploads is None:
            self._uploads = self._read_past(announced_uploads)
        return self._uploads.get(output, ())

    def former_uploads(self, output: str) -> tuple[str, ...]:
        """Returns the ids of multipart uploads of the jobs that owned `output` before. Raises LedgerFailed."""
        return self._read_past(lambda store, job_id: former_uploads(store, job_id, output))

    def _read_past(self, read: Callable[[Store, str], T]) -> T:
        try:
            return read(self.store, self.job_id)
        except (StoreUnavailable, StoreRefused, StoreDamaged, EnvironmentFailure) as error:
            raise LedgerFailed(
                message="the record of what was published could not be read", detail=error.detail or error.message
            ) from error

    def _own_event(self, data: bytes) -> Event | None:
        """Returns the event in `data` if this ledger sent it in a create that failed or was interrupted."""
        try:
            event = parse_event(data)
        except StoreDamaged:
            return None
        return event if event.envelope.nonce in self._sent else None

    def _lock_lost(self, action: str) -> LockLost:
        return LockLost(message=f"the attempt was closed before {action}")
