"""Sends requests to object storage: one client, one rule for resends, one timeout. `bucket` has the requests.

Credentials and endpoint come from the standard AWS chain (environment, profile, role) only. The libraries' own
resends are disabled (see `client`): a request is resent for the causes in `faults.RESENT`, a fixed number of times,
and each resend is recorded.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Self, TypeVar

from proxx.s3.client import RequestTrace, current_trace, make_file_system, open_client
from proxx.s3.faults import RESENT, Cause, StorageFault, cause_of_error
from proxx.s3.incidents import Incident, IncidentJournal

RESENDS: Final = 5  # the default for a new store
PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)  # seconds before each resend; the last value applies to all later ones
PATIENCE_SECONDS: Final = 60  # without one byte in either direction
SLOW_MS: Final = 10_000  # a request without a large body that takes longer is recorded
_TICK: Final = 0.2  # seconds between checks for a stop request

T = TypeVar("T")
Stop = Callable[[], bool]


def never() -> bool:
    """Returns False: a stop check for work that is never stopped."""
    return False


class ActivityClock:
    """The time of the last byte of a request in either direction: it tells a slow transfer from a dead one.

    trace: what the client did for the request.
    """

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.trace = RequestTrace()
        self._held = False

    def beat(self) -> None:
        self.last = time.monotonic()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stops the clock while the block runs: this process, not the server, delays the next byte."""
        self._held = True
        try:
            yield
        finally:
            self.beat()
            self._held = False

    @property
    def silence(self) -> float:
        """Seconds since the last byte."""
        return 0.0 if self._held else time.monotonic() - self.last


Action = Callable[[Any, ActivityClock], Awaitable[T]]
"""What a request does with the client (aiobotocore's, which has no types). Called again for each resend."""


@dataclass(frozen=True, kw_only=True)
class TransportTiming:
    """Time limits in seconds. Tests shorten them."""

    patience: float = PATIENCE_SECONDS
    pauses: tuple[float, ...] = PAUSES


class _Stopped(Exception):
    pass


class Connection:
    """The client of this process. A fork makes its own.

    sent: requests so far, including resends.
    """

    def __init__(self, patience: float) -> None:
        self.sent = 0
        self._patience = patience
        self._files: Any = None
        self._inherited: Any = None
        self._pid = 0

    def files(self) -> Any:  # noqa: ANN401  (s3fs has no types)
        """Returns the file system of this process. The parent's is never used: a fork copies no threads."""
        if self._pid != os.getpid():
            with _connecting:
                if self._pid != os.getpid():
                    # Kept, not closed: the parent still uses its connections and their poll.
                    self._inherited = (self._inherited, self._files)
                    self._files, self._pid = make_file_system(self._patience), os.getpid()
        return self._files


class Transport:
    """One object storage as this process reaches it. Safe for several threads and on both sides of a fork.

    resends: how often a request may be resent; it never changes (see `with_resends`).
    """

    def __init__(
        self, *, resends: int = RESENDS, journal: IncidentJournal | None = None, pace: TransportTiming | None = None
    ) -> None:
        self._resends = resends
        self.journal = journal or IncidentJournal()
        self._pace = pace or TransportTiming()
        self.connection = Connection(self._pace.patience)

    @property
    def resends(self) -> int:
        return self._resends

    @property
    def sent(self) -> int:
        """Requests so far over the connection, including resends."""
        return self.connection.sent

    def with_resends(self, resends: int) -> Self:
        """Returns a transport with another number of resends over the same connection, with the same journal."""
        other = copy.copy(self)
        other._resends = resends
        return other

    def call(
        self,
        action: str,
        place: str,
        do: Action[T],
        *,
        should_stop: Stop = never,
        large: bool = False,
        patience: float = 0.0,
    ) -> T:
        """Sends one request and returns its answer. Raises StorageFault.

        action: S3's name of the request. place: for records. large: the body can have any length, so a long
        transfer is not recorded as slow. patience: seconds of silence allowed if the server works before it answers.
        """
        uncertain = False
        for number in count(1):
            since = time.monotonic()
            try:
                answer = self._once(action, place, do, should_stop, max(patience, self._pace.patience))
            except StorageFault as fault:
                uncertain = fault.uncertain = uncertain or fault.uncertain
                if fault.cause not in RESENT or number > self.resends:
                    raise
                took = round((time.monotonic() - since) * 1000)
                self.journal.note(
                    Incident(
                        kind="resent",
                        action=action,
                        place=place,
                        cause=fault.cause,
                        number=number,
                        milliseconds=took,
                    )
                )
                self._pause(number, fault, should_stop)
            else:
                took = round((time.monotonic() - since) * 1000)
                if took > SLOW_MS and not large:
                    self.journal.note(Incident(kind="slow", action=action, place=place, milliseconds=took))
                return answer
        raise AssertionError("unreachable: count() never ends")

    def _pause(self, number: int, fault: StorageFault, should_stop: Stop) -> None:
        pauses = self._pace.pauses
        end = time.monotonic() + pauses[min(number, len(pauses)) - 1]
        while (left := end - time.monotonic()) > 0:
            if should_stop():
                raise StorageFault(Cause.STOPPED, fault.action, fault.place) from fault
            time.sleep(min(left, _TICK))

    def _once(self, action: str, place: str, do: Action[T], should_stop: Stop, patience: float) -> T:
        from fsspec.asyn import sync

        self.connection.sent += 1
        try:
            files = self.connection.files()
            answer: T = sync(files.loop, self._attend, files, do, should_stop, patience)
        except _Stopped:
            fault = StorageFault(Cause.STOPPED, action, place)
        except Exception as error:
            known = cause_of_error(error)
            if known is None:
                raise
            cause, code, status = known
            fault = StorageFault(cause, action, place, code, status)
        else:
            return answer
        raise fault  # outside the handler: the libraries' errors can contain key ids and would be attached to it

    async def _attend(
        self,
        files: Any,  # noqa: ANN401  (s3fs has no types)
        do: Action[T],
        should_stop: Stop,
        patience: float,
    ) -> T:
        """Makes the request and ends it on a stop request, or if no byte moves for `patience` seconds."""
        import asyncio

        pulse = ActivityClock()

        async def request() -> T:
            client = await open_client(files)
            pulse.beat()
            current_trace.set(pulse.trace)  # of this task only
            try:
                answer = await do(client, pulse)
            except Exception:
                if pulse.trace.refused is None:
                    raise
            else:
                pulse.trace.require_complete()
                return answer
            raise pulse.trace.refused  # the libraries wrap it

        task = asyncio.ensure_future(request())
        try:
            while not (await asyncio.wait({task}, timeout=_TICK))[0]:
                if should_stop():
                    raise _Stopped
                if pulse.silence > patience:
                    raise TimeoutError
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})


_connecting = threading.Lock()


def _replace_lock() -> None:
    """Replaces the lock in a forked child, where the thread that may have held it does not exist."""
    global _connecting
    _connecting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)
