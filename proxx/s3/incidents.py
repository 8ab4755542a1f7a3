"""What storage and network did on the way: requests sent again, slow answers. Kept beside the canonical log.

Nothing reads it to decide. It goes to the envelopes of events, to `proxx history`, and to the program's own log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

LOG: Final = logging.getLogger("proxx.storage")
KEPT: Final = 200  # incidents that wait for an event; a storm says the same thing more often than anyone reads it


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One thing that happened to one request.

    kind: it was sent again, its lost answer was settled by reading back, or its answer came late. action: S3's name
    of the request. place: bucket and key, never a credential. cause: why, by `proxx.wirefault`. number: which of the
    allowed resends. milliseconds: how long the request took.
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
        why = f", {self.cause}" if self.cause else ""
        count = f" (resend {self.number})" if self.number else ""
        return f"{self.action} {self.place}: {self.kind}{count}{why}{after}"


class IncidentJournal:
    """Incidents until an event takes them along. For several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Incident] = []
        self._left_out = 0

    def note(self, incident: Incident) -> None:
        LOG.warning("%s", incident)
        with self._lock:
            if len(self._waiting) < KEPT:
                self._waiting.append(incident)
            else:
                self._left_out += 1

    def take(self) -> tuple[Mapping[str, str | int], ...]:
        """All that wait, as plain JSON in the order they happened; they are no longer kept here."""
        with self._lock:
            taken, self._waiting = self._waiting, []
            left, self._left_out = self._left_out, 0
        more: tuple[Mapping[str, str | int], ...] = ({"kind": "left_out", "number": left},) if left else ()
        return (*(one.to_json() for one in taken), *more)
