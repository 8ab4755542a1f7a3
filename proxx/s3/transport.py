"""Requests to object storage: one client, one way of sending again, one limit of patience. `bucket` has the verbs.

Credentials and endpoint come from the standard chain (environment, profile, role) and from nowhere else. The
libraries' own ways of sending again are off (`wireclient`): a request is sent again for the causes of
`wirefault.RESENT`, a fixed number of times, each time noted.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeVar

from proxx.s3 import client as wireclient
from proxx.s3.faults import RESENT, Cause, StorageFault, cause_of_error
from proxx.s3.incidents import Incident, IncidentJournal

RESENDS: Final = 5  # what a new store's record says, where nobody says otherwise
PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)  # seconds before each resend, the last one for all that follow
PATIENCE_SECONDS: Final = 60  # without one byte in either direction
SLOW_MS: Final = 10_000  # a request without a large body that took longer is worth a note
_TICK: Final = 0.2  # seconds between looks whether to stop

T = TypeVar("T")
Stop = Callable[[], bool]


def never() -> bool:
    return False


class ActivityClock:
    """When the last byte of a request went or came: what tells a slow transfer from a dead one."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self._held = False

    def beat(self) -> None:
        self.last = time.monotonic()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Not the server's silence: this process has to find something out before it sends more."""
        self._held = True
        try:
            yield
        finally:
            self.beat()
            self._held = False

    @property
    def silence(self) -> float:
        """Seconds since."""
        return 0.0 if self._held else time.monotonic() - self.last


Action = Callable[[Any, ActivityClock], Awaitable[T]]
"""What a request does with the client (aiobotocore's, which has no types). Called anew for each resend."""


@dataclass(frozen=True, kw_only=True)
class TransportTiming:
    """How long things may take, for tests to shorten: seconds."""

    patience: float = PATIENCE_SECONDS
    pauses: tuple[float, ...] = PAUSES


class _Stopped(Exception):
    pass


class Transport:
    """One object storage as this process reaches it. For several threads at once; good on both sides of a fork.

    resends: how often a request may be sent again. sent: requests so far, resends among them.
    """

    def __init__(
        self, *, resends: int = RESENDS, journal: IncidentJournal | None = None, pace: TransportTiming | None = None
    ) -> None:
        self.resends = resends
        self.journal = journal or IncidentJournal()
        self.sent = 0
        self._pace = pace or TransportTiming()
        self._files: Any = None
        self._inherited: Any = None
        self._pid = 0

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
        """The answer to one request. action: S3's name of it. place: for records. Raises WireFault.

        large: it has a body of any length, so that a long time is no news. patience: seconds of silence, where the
        server has more to do than to answer.
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
        raise AssertionError("counting does not end")

    def _pause(self, number: int, fault: StorageFault, should_stop: Stop) -> None:
        pauses = self._pace.pauses
        end = time.monotonic() + pauses[min(number, len(pauses)) - 1]
        while (left := end - time.monotonic()) > 0:
            if should_stop():
                raise StorageFault(Cause.STOPPED, fault.action, fault.place) from fault
            time.sleep(min(left, _TICK))

    def _once(self, action: str, place: str, do: Action[T], should_stop: Stop, patience: float) -> T:
        from fsspec.asyn import sync

        self.sent += 1
        try:
            files = self._connected()
            answer: T = sync(files.loop, self._attend, files, do, should_stop, patience)
        except _Stopped:
            fault = StorageFault(Cause.STOPPED, action, place)
        except Exception as why:
            known = cause_of_error(why)
            if known is None:
                raise
            cause, code, status = known
            fault = StorageFault(cause, action, place, code, status)
        else:
            return answer
        raise fault  # here, and not above: what the libraries say can hold key ids, and would hang on it

    async def _attend(
        self,
        files: Any,  # noqa: ANN401  (s3fs has no types)
        do: Action[T],
        should_stop: Stop,
        patience: float,
    ) -> T:
        """The request, watched: ended when told to stop, or when nothing moves for too long."""
        import asyncio

        pulse = ActivityClock()

        async def request() -> T:
            client = await wireclient.client_of(files)
            pulse.beat()
            return await do(client, pulse)

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

    def _connected(self) -> Any:  # noqa: ANN401  (s3fs has no types)
        """The client's session of this process. Of its parent's nothing is used: a fork copies no threads."""
        if self._pid != os.getpid():
            with _connecting:
                if self._pid != os.getpid():
                    # Kept, not closed: its connections and their poll are still the parent's.
                    self._inherited = (self._inherited, self._files)
                    self._files, self._pid = wireclient.make_file_system(self._pace.patience), os.getpid()
        return self._files


_connecting = threading.Lock()


def _open_again() -> None:
    """A thread that was connecting at the time of the fork is not there to open the lock in the child."""
    global _connecting
    _connecting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_again)
