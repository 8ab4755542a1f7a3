"""A flow run as the audit sees it: the attempt it is for, and its state. Pure."""

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
WAITING: Final = frozenset({"SCHEDULED", "PENDING", "PAUSED"})
MESSAGE_LENGTH: Final = 300
"""How many characters of a state's message are kept."""


@dataclass(frozen=True, kw_only=True)
class SeenRun:
    """One flow run.

    created, since: when it was created, and the time of its latest known change (RFC 3339).
    submitted: it has the idempotency key of a submission. inline: its parameters hold the whole spec, so that it
    registers the job itself.
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
        return self.state_type in WAITING

    @property
    def status_text(self) -> str:
        """The state for use in a sentence: `is Late`, `ended Crashed (the message in Prefect)`."""
        if self.alive:
            return f"is {self.state_name}"
        message = f" ({self.message})" if self.message and self.state_type != "COMPLETED" else ""
        return f"ended {self.state_name}{message}"


@dataclass(frozen=True, kw_only=True)
class NamedAttempt:
    """The job and the store that a run's parameters name; None for what they do not name."""

    job_id: str | None
    store: str | None
    store_uuid: str | None


def attempt_of_run(run: PrefectRun) -> NamedAttempt:
    """Returns what the run's parameters name. Raises nothing, also for parameters that are not valid."""
    reference, spec = _object(run.parameters.get("reference")), _object(run.parameters.get("spec"))
    job_id = _text(reference.get("job_id")) or _text(spec.get("job_id"))
    return NamedAttempt(
        job_id=job_id if job_id and re.fullmatch(JOB_ID, job_id) else None,
        store=_place(_text(reference.get("store")) or _text(run.parameters.get("store"))),
        store_uuid=_text(reference.get("store_uuid")),
    )


def describe_run(run: PrefectRun) -> SeenRun:
    reference = _object(run.parameters.get("reference"))
    number = reference.get("attempt", run.parameters.get("attempt", 1))
    attempt = number if isinstance(number, int) and number > 0 else 1
    return SeenRun(
        id=run.id,
        attempt=attempt,
        state_type=run.state_type or "SCHEDULED",
        state_name=run.state_name or "(without a state)",
        message=" ".join(run.message.split())[:MESSAGE_LENGTH],
        created=_moment(run.created),
        since=_moment(run.end or run.start or run.created),
        submitted=f":{attempt_of_run(run).job_id}:{attempt}:" in (run.key or ""),
        inline=not reference,
    )


def _object(value: object) -> Mapping[str, Any]:
    """Returns the JSON object, also if `value` is its text; an empty one if `value` is neither."""
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
    """Returns the store's URI in its normal form, so that two spellings of one place are equal."""
    if store is None:
        return None
    try:
        return open_store(store).uri
    except ProxxError:
        scheme, separator, rest = store.partition("://")
        return f"{scheme}{separator}{rest.rpartition('@')[2]}"  # without a password
