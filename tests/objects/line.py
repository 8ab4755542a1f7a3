"""A connection to one bucket through a faulty proxy, with its transports: creating one takes seconds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from proxx.s3 import bucket as product
from proxx.s3.incidents import IncidentJournal
from proxx.s3.transport import Transport, TransportTiming
from proxx.store.opening import initialize_store
from proxx.store.s3 import S3Store
from tests.objects.endpoint import Bucket
from tests.objects.fault import Proxy, proxying
from tests.objects.kinds import connected

PATIENT: Final = TransportTiming(patience=30.0, pauses=(0.0,))
HASTY: Final = TransportTiming(patience=0.5, pauses=(0.0,))
NOTED: Final = ("kind", "action", "place", "cause", "number")
_NUMBERS: Final = itertools.count(1)


@dataclass
class Line:
    """bucket: reached directly. way: the proxy that tests break."""

    bucket: Bucket
    way: Proxy
    wires: dict[TransportTiming, Transport] = field(default_factory=dict)

    def wire(self, pace: TransportTiming = PATIENT, resends: int = 0) -> Transport:
        """Returns a transport through the proxy. Its counts, its journal and the rules of the proxy are cleared."""
        if pace not in self.wires:
            own = Transport(pace=pace, journal=IncidentJournal())
            self.wires[pace] = connected(self.bucket.endpoint.at(self.way.url).bucket(self.bucket.name), own)
        wire = self.wires[pace].with_resends(resends)
        wire.connection.sent = 0
        wire.journal.take()
        self.way.forget()
        return wire

    def objects(self, pace: TransportTiming = PATIENT, resends: int = 0) -> product.Bucket:
        return product.Bucket(self.wire(pace, resends), self.bucket.name)

    def store(self, resends: int = 0, pace: TransportTiming = PATIENT) -> S3Store:
        """Returns an initialized store that has passed its trial; counts and journal are empty."""
        made = S3Store(self.bucket.name, self.prefix(), self.wire(pace))
        initialize_store(made, resends=resends)
        made.create("first", b"")
        self.wire(pace, resends)
        return made

    def prefix(self) -> str:
        """Returns a new prefix without a slash at its end."""
        return fresh()


def fresh() -> str:
    """Returns an unused prefix."""
    return f"line-{next(_NUMBERS)}"


def noted(wire: Transport) -> list[tuple[object, ...]]:
    """Takes the incidents out of the journal and returns them without their durations."""
    return [tuple(incident.get(name) for name in NOTED) for incident in wire.journal.take()]


@contextmanager
def lined(bucket: Bucket) -> Iterator[Line]:
    with proxying(bucket.endpoint.url) as way:
        yield Line(bucket, way)
