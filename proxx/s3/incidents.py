"""Records what went wrong between Proxx and object storage: resent requests, lost and slow answers.

No decision depends on these records. They go into the envelopes of events, outside the canonical log, and from there
to `proxx history`; and into the program's own log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

LOG: Final = logging.getLogger("proxx.storage")
KEPT: Final = 200  # incidents kept until the next event; nobody reads more of a storm of equal ones


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One thing that happened to one request.

    kind: `resent`; `settled`, if its answer was lost and reading the object back decided; or `slow`. action: S3's
    name of the request. place: bucket and key, never a credential. cause: a `proxx.s3.faults.Cause`. number: which of
    the allowed resends this is. milliseconds: how long the request took.
    """

    kind: Literal["resent", "settled", "slow"]
    action: str
    place: str
    cause: str = ""
    number: int = 0
    milliseconds: int = 0

    def to_json(self) -> Mapping[str, str | int]:
        return {name: value for name, value in vars(self).items() if value not in ("", 0)}

    def __str__(self) -> str:
        after = f" after {self.milliseconds} ms" if self.milliseconds else ""
        cause = f", {self.cause}" if self.cause else ""
        count = f" (resend {self.number})" if self.number else ""
        return f"{self.action} {self.place}: {self.kind}{count}{cause}{after}"


class IncidentJournal:
    """Keeps incidents until they are taken into an event. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Incident] = []
        self._left_out = 0

    def note(self, incident: Incident) -> None:
        """Keeps an incident and logs it."""
        LOG.warning("%s", incident)
        with self._lock:
            if len(self._waiting) < KEPT:
                self._waiting.append(incident)
            else:
                self._left_out += 1

    def take(self) -> tuple[Mapping[str, str | int], ...]:
        """Returns and removes all incidents, as plain JSON in the order they happened."""
        with self._lock:
            taken, self._waiting = self._waiting, []
            left, self._left_out = self._left_out, 0
        rest: tuple[Mapping[str, str | int], ...] = ({"kind": "left_out", "number": left},) if left else ()
        return (*(incident.to_json() for incident in taken), *rest)
