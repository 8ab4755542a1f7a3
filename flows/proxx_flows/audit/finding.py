"""The finding of an audit about one job: a verdict, an explanation, and what an operator can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from proxx.store.status import State
from proxx_flows.audit.next_steps import NextStep


class JobVerdict(StrEnum):
    WAITING = "WAITING"  # a run is scheduled and has not begun
    RUNNING = "RUNNING"  # a run works on it
    COMPLETED = "COMPLETED"  # all proxies were made
    FAILED = "FAILED"  # it ended without completing and the reason is recorded, or it is retired
    HELD = "HELD"  # an attempt is open, and no run in Prefect works on it
    LOST = "LOST"  # no result, and nothing will produce one
    UNKNOWN_TO_PREFECT = "UNKNOWN_TO_PREFECT"  # registered, and Prefect has no run for it
    UNKNOWN_TO_STORE = "UNKNOWN_TO_STORE"  # named by a run or refused, and not registered in this store


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """The verdict on one job.

    state: of the job by its ledger, None if the store has no record of it. attempt: the latest.
    decide: nothing will happen unless somebody acts. differs: Prefect contradicts the ledger.
    since: time of the latest known event (RFC 3339). explanation: sentences for the operator.
    steps: what can be done, as commands to paste. runs: ids of the job's flow runs, oldest first.
    """

    job_id: str
    verdict: JobVerdict
    state: State | None
    attempt: int | None
    decide: bool
    differs: bool
    since: str
    explanation: str
    steps: tuple[NextStep, ...] = ()
    runs: tuple[str, ...] = ()
