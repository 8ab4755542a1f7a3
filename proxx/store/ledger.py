"""The pen of the one who holds an attempt: a job's events in the store, each created once.

The event sequence of an attempt is its execution lock: event 00001 takes it, a terminal event closes it, and
whoever finds its next number taken has lost it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from proxx.contracts.canonical import Json
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
from proxx.store.attempts import (
    announced_uploads,
    announcements,
    with_announcement,
)
from proxx.store.base import Store
from proxx.store.claims import former_uploads
from proxx.store.keys import event_key

T = TypeVar("T")


def put_event(store: Store, job_id: str, attempt: int, event: Event) -> bytes | None:
    """Create one event. None: it is there, by this call; else the other event's bytes."""
    data = event_bytes(event)
    there = store.create(event_key(job_id, attempt, event.number), data)
    return None if there == data else there  # the nonce makes equal bytes our own


class Ledger:
    """The pen of the one worker that holds an attempt. Not for several threads at once."""

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
        """journals: besides the store's own, whose incidents go along in the envelopes of events."""
        self.store, self.job_id, self.attempt = store, job_id, attempt
        self._journals = (store.journal, *(one for one in journals if one is not store.journal))
        self.worker, self.run_id = worker, run_id
        self._clock = clock
        self._number = 1
        # Nonces of creates nobody saw the end of, an error or a signal came: they may have landed all the same.
        self._sent: set[str] = set()
        self._failed = False
        self._ended: Literal["", "lost", "closed"] = ""
        self._announced: dict[str, frozenset[str]] | None = None
        self._uploads: dict[str, tuple[str, ...]] | None = None

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
            around = self._with_incidents(notes)
            event = make_event(self._number, type_, data, stamp(self.worker, self.run_id, around, self._clock))
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
                    self._announced = with_announcement(self._announced, event)
                return event

    def incidents(self) -> tuple[Mapping[str, Json], ...]:
        """What storage and network did since the last event; each is given once."""
        return tuple(incident for journal in self._journals for incident in journal.take())

    def _with_incidents(self, notes: Mapping[str, Json] | None) -> Mapping[str, Json]:
        incidents = self.incidents()
        return {**(notes or {}), **({"storage": list(incidents)} if incidents else {})}

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
            self._announced = self._told(announcements)
        return sha256 in self._announced.get(output, frozenset())

    def earlier_uploads(self, output: str) -> tuple[str, ...]:
        """Ids of uploads in parts that earlier attempts announced for an output. Raises LedgerFailed."""
        if self.attempt == 1:
            return ()
        if self._uploads is None:
            self._uploads = self._told(announced_uploads)
        return self._uploads.get(output, ())

    def former_uploads(self, output: str) -> tuple[str, ...]:
        """Ids of uploads in parts of jobs that had the output's name before this one. Raises LedgerFailed."""
        return self._told(lambda store, job_id: former_uploads(store, job_id, output))

    def _told(self, ask: Callable[[Store, str], T]) -> T:
        try:
            return ask(self.store, self.job_id)
        except (StoreUnavailable, StoreRefused, StoreDamaged) as why:
            raise LedgerFailed(
                message="the store did not tell what the job has published", detail=why.detail or why.message
            ) from why

    def _own(self, data: bytes) -> Event | None:
        """The event in `data` if it is one of ours whose create did not seem to end well."""
        try:
            event = parse_event(data)
        except StoreDamaged:
            return None
        return event if event.envelope.nonce in self._sent else None

    def _lost(self, type_: str) -> LockLost:
        return LockLost(message=f"the attempt was closed before {type_}")
