"""One flow run that was handed out twice: which of its processes may speak for it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import AttemptClosed, Locked
from proxx_flows.common.connection import client
from proxx_flows.common.errors import PrefectUnreachable


def is_own(why: ProxxError, run_id: str) -> bool:
    """Whether the attempt was taken by this very run."""
    return isinstance(why, Locked | AttemptClosed) and why.run_id == run_id


def ended_since(run_id: str, since: str) -> bool:
    """Whether Prefect has called the run ended since then (RFC 3339): somebody started it again after it crashed.

    If not, another process is at it right now, and the end is that one's to tell. So too where Prefect cannot be
    asked.
    """
    try:
        with client() as prefect:
            states = prefect.read_flow_run_states(UUID(run_id))
    except PrefectUnreachable:
        return False
    return any(state.is_final() and state.timestamp > datetime.fromisoformat(since) for state in states)
