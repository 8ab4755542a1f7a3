"""What an audit finds: one verdict on one job, and what an operator can do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from proxx.store.status import State
from proxx_flows.audit.next_steps import NextStep


class JobVerdict(StrEnum):
    WAITING = "WAITING"  # a run is asked for and has not begun
    RUNNING = "RUNNING"  # a run is on it
    COMPLETED = "COMPLETED"  # made
    FAILED = "FAILED"  # it ended without being made, and why is on record; retired jobs too
    HELD = "HELD"  # an attempt is open, and nothing in Prefect runs it
    LOST = "LOST"  # no result and nothing that works on one: nobody will do anything
    UNKNOWN_TO_PREFECT = "UNKNOWN_TO_PREFECT"  # registered, and no run was ever asked for
    UNKNOWN_TO_STORE = "UNKNOWN_TO_STORE"  # named, and not registered in this store


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """The verdict on one job. state: what the ledger says, None where it has nothing. attempt: the latest.

    decide: somebody has to do something, or nothing will happen. differs: Prefect says something else than the
    ledger. since: of the latest thing known (RFC 3339). said: sentences. steps: what can be done, to be pasted.
    """

    job_id: str
    verdict: JobVerdict
    state: State | None
    attempt: int | None
    decide: bool
    differs: bool
    since: str
    said: str
    steps: tuple[NextStep, ...] = ()
    runs: tuple[str, ...] = ()
