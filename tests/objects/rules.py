"""Faults that a test can inject into requests to an object store, and the rules that select the requests."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

PATIENCE: Final = 60  # seconds within which a rule must act


@dataclass(frozen=True)
class Reset:
    """The client sees a reset; the request does not reach the server."""


@dataclass(frozen=True)
class ResetMidway:
    """Both sides see a reset after so many bytes of the request's body. A shorter body passes."""

    after: int


@dataclass(frozen=True)
class StallMidway:
    """After so many bytes of the request's body nothing happens until the rule is released."""

    after: int


@dataclass(frozen=True)
class Stall:
    """The request waits until the rule is released. late: it is sent on even if the client has given up, for bodies
    that fit in memory.
    """

    late: bool = False


@dataclass(frozen=True)
class StallAnswer:
    """The server executes the request at once; its answer waits until the rule is released."""


@dataclass(frozen=True)
class Answer:
    """The proxy answers; the request does not reach the server."""

    status: int
    code: str


@dataclass(frozen=True)
class LoseAnswer:
    """The server executes the request and answers; the client sees a reset."""


@dataclass(frozen=True)
class Drip:
    """The answer arrives byte by byte. pause: seconds between two bytes."""

    pause: float = 0.001


@dataclass(frozen=True)
class Cut:
    """The answer's body ends after so many bytes."""

    after: int


@dataclass(frozen=True)
class Before:
    """The proxy calls `do` before it passes the request on."""

    do: Callable[[], object]


@dataclass(frozen=True)
class Strip:
    """The proxy removes a header of the request. name: in lower case."""

    name: str


@dataclass(frozen=True)
class Garble:
    """The proxy flips one bit of the request's body."""


Action = (
    Reset
    | ResetMidway
    | Stall
    | StallMidway
    | StallAnswer
    | Answer
    | LoseAnswer
    | Drip
    | Cut
    | Before
    | Strip
    | Garble
)


@dataclass
class Request:
    """A request that arrived, and its outcome. No header that can hold a credential is kept."""

    method: str
    path: str
    query: Mapping[str, str]
    conditions: Mapping[str, str]  # If-Match and similar headers, names in lower case
    size: int | None  # of the body in bytes, if the client announced it
    status: int | None = None  # the server's, even if the client did not receive it; None without an answer
    fault: str | None = None  # the name of the injected fault


@dataclass
class Rule:
    """Acts on the nth request that fits and on the next `times` - 1 (all if None)."""

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
        """Counts a request that fits and tells whether to act on it."""
        self.fitted += 1
        return self.fitted >= self.nth and (self.times is None or self.fitted < self.nth + self.times)

    def wait(self) -> None:
        """Waits until the rule has acted: a stalled request has arrived, or a lost answer was given."""
        assert self._acted.wait(PATIENCE), f"no request matched {self.action}"

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
