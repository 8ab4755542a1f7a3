"""A run of Prefect as the audit sees it: whose attempt it is for, and in which state. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from proxx.contracts.error_bases import ProxxError
from proxx.store.opening import open_store
from proxx_flows.common.reference import JOB_ID

if TYPE_CHECKING:
    from proxx_flows.common.api import PrefectRun

ENDED: Final = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
WAITS: Final = frozenset({"SCHEDULED", "PENDING", "PAUSED"})
LONGEST: Final = 300
"""Letters of a state's message that are kept."""


@dataclass(frozen=True, kw_only=True)
class SeenRun:
    """One run. created, since: when it was made and when its latest known change was (RFC 3339). submitted: it has
    a key of `submit`; inline: it carries the whole spec and registers it itself.
    """

    id: str
    attempt: int
    state_type: str
    state_name: str
    message: str = ""
    created: str = ""
    since: str = ""
    submitted: bool = True
    inline: bool = False

    @property
    def alive(self) -> bool:
        return self.state_type not in ENDED

    @property
    def waits(self) -> bool:
        return self.state_type in WAITS

    @property
    def stands(self) -> str:
        """For sentences: `is Late`, `ended Crashed (why, as Prefect has it)`."""
        if self.alive:
            return f"is {self.state_name}"
        why = f" ({self.message})" if self.message and self.state_type != "COMPLETED" else ""
        return f"ended {self.state_name}{why}"


@dataclass(frozen=True, kw_only=True)
class NamedAttempt:
    """What a run says it is for. job_id: None where it names none. store, store_uuid: None where it does not say."""

    job_id: str | None
    store: str | None
    store_uuid: str | None


def attempt_of_run(run: PrefectRun) -> NamedAttempt:
    """What the run's parameters say; whatever somebody typed there, this raises nothing."""
    reference, spec = _object(run.parameters.get("reference")), _object(run.parameters.get("spec"))
    job_id = _text(reference.get("job_id")) or _text(spec.get("job_id"))
    return NamedAttempt(
        job_id=job_id if job_id and re.fullmatch(JOB_ID, job_id) else None,
        store=_place(_text(reference.get("store")) or _text(run.parameters.get("store"))),
        store_uuid=_text(reference.get("store_uuid")),
    )


def describe_run(run: PrefectRun) -> SeenRun:
    reference = _object(run.parameters.get("reference"))
    said = reference.get("attempt", run.parameters.get("attempt", 1))
    attempt = said if isinstance(said, int) and said > 0 else 1
    return SeenRun(
        id=run.id,
        attempt=attempt,
        state_type=run.state_type or "SCHEDULED",
        state_name=run.state_name or "(without a state)",
        message=" ".join(run.message.split())[:LONGEST],
        created=_moment(run.created),
        since=_moment(run.end or run.start or run.created),
        submitted=f":{attempt_of_run(run).job_id}:{attempt}:" in (run.key or ""),
        inline=not reference,
    )


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object, also where somebody gave it as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _moment(time: datetime | None) -> str:
    return time.astimezone(UTC).isoformat() if time is not None else ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _place(store: str | None) -> str | None:
    """One form for one place."""
    if store is None:
        return None
    try:
        return open_store(store).uri
    except ProxxError:
        kind, mark, rest = store.partition("://")
        return f"{kind}{mark}{rest.rpartition('@')[2]}"  # somebody may have typed a password there
