"""A way to one bucket that tests break, and the wires that go it, each made once: making one takes seconds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from proxx.s3 import bucket as product
from proxx.s3.incidents import Journal
from proxx.s3.transport import Pace, Wire
from proxx.store.opening import init
from proxx.store.s3 import S3Store
from tests.objects.endpoint import Bucket
from tests.objects.fault import Proxy, proxying
from tests.objects.kinds import connected

PATIENT: Final = Pace(patience=30.0, pauses=(0.0,))
HASTY: Final = Pace(patience=0.5, pauses=(0.0,))
NOTED: Final = ("kind", "action", "place", "cause", "number")
_NUMBERS: Final = itertools.count(1)


@dataclass
class Line:
    """bucket: by the way that works. way: the one that is broken."""

    bucket: Bucket
    way: Proxy
    wires: dict[Pace, Wire] = field(default_factory=dict)

    def wire(self, pace: Pace = PATIENT, resends: int = 0) -> Wire:
        if pace not in self.wires:
            own = Wire(pace=pace, journal=Journal())
            self.wires[pace] = connected(self.bucket.endpoint.at(self.way.url).bucket(self.bucket.name), own)
        wire = self.wires[pace]
        wire.resends, wire.sent = resends, 0
        wire.journal.take()
        self.way.forget()
        return wire

    def objects(self, pace: Pace = PATIENT, resends: int = 0) -> product.Bucket:
        return product.Bucket(self.wire(pace, resends), self.bucket.name)

    def store(self, resends: int = 0, pace: Pace = PATIENT) -> S3Store:
        """One that is made and proved; nothing has been counted or noted yet."""
        made = S3Store(self.bucket.name, self.prefix(), self.wire(pace))
        init(made, resends=resends)
        made.create("first", b"")
        self.wire(pace, resends)
        return made

    def prefix(self) -> str:
        """A new one, without a slash at its end."""
        return fresh()


def fresh() -> str:
    """A prefix that nothing is below."""
    return f"line-{next(_NUMBERS)}"


def noted(wire: Wire) -> list[tuple[object, ...]]:
    """What the journal holds, without how long things took; it is empty then."""
    return [tuple(one.get(name) for name in NOTED) for one in wire.journal.take()]


@contextmanager
def lined(bucket: Bucket) -> Iterator[Line]:
    with proxying(bucket.endpoint.url) as way:
        yield Line(bucket, way)
