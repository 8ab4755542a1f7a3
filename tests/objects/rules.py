"""What a test may do to requests on their way to an object store, and which ones it is done to."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

PATIENCE: Final = 60  # seconds until a rule must have acted


@dataclass(frozen=True)
class Reset:
    """The client sees a reset; the server never hears of the request."""


@dataclass(frozen=True)
class ResetMidway:
    """Both see a reset after so many bytes of the request's body. A shorter body passes."""

    after: int


@dataclass(frozen=True)
class StallMidway:
    """After so many bytes of the request's body nothing happens until the rule is released."""

    after: int


@dataclass(frozen=True)
class Stall:
    """Nothing happens until the rule is released; then it goes on. late: also when the client has
    given up, for bodies that fit in memory."""

    late: bool = False


@dataclass(frozen=True)
class StallAnswer:
    """The server does it at once; its answer waits until the rule is released."""


@dataclass(frozen=True)
class Answer:
    """This instead of the server's answer; the server never hears of the request."""

    status: int
    code: str


@dataclass(frozen=True)
class LoseAnswer:
    """The server does it and answers; the client sees a reset."""


@dataclass(frozen=True)
class Drip:
    """The answer arrives byte by byte. pause: seconds between two."""

    pause: float = 0.001


@dataclass(frozen=True)
class Cut:
    """The answer's body ends after so many bytes."""

    after: int


@dataclass(frozen=True)
class Before:
    """The test does something when the request has arrived, before the server hears of it."""

    do: Callable[[], object]


Action = Reset | ResetMidway | StallMidway | Stall | StallAnswer | Answer | LoseAnswer | Drip | Cut | Before


@dataclass
class Request:
    """One that arrived, and what became of it. No header that could hold a credential is kept."""

    method: str
    path: str
    query: Mapping[str, str]
    conditions: Mapping[str, str]  # If-Match and its like, names in lower case
    size: int | None  # of the body, in bytes, where the client said it
    status: int | None = None  # the server's, also where the client was not told; None where there was no answer
    fault: str | None = None  # what was done to it


@dataclass
class Rule:
    """Act on the nth request that fits and on the next `times` - 1 (None: all)."""

    action: Action
    method: str | None
    path: str | None
    query: str | None
    when: Callable[[Request], bool]
    nth: int
    times: int | None
    fitted: int = 0
    _acted: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def fits(self, request: Request) -> bool:
        return (
            self.method in (None, request.method)
            and (self.path is None or re.search(self.path, request.path) is not None)
            and (self.query is None or self.query in request.query)
            and self.when(request)
        )

    def acts(self) -> bool:
        """Count a request that fits, and whether it is one to act on."""
        self.fitted += 1
        return self.fitted >= self.nth and (self.times is None or self.fitted < self.nth + self.times)

    def wait(self) -> None:
        """Until it has acted: a stalled request has arrived, a lost answer has been given."""
        assert self._acted.wait(PATIENCE), f"no request came that {self.action} is for"

    @property
    def acted(self) -> bool:
        return self._acted.is_set()

    def release(self) -> None:
        self._released.set()

    def act(self) -> None:
        self._acted.set()

    def hold(self) -> None:
        self._acted.set()
        self._released.wait()
