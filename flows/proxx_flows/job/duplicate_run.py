"""Decides which process reports the end of a flow run that several processes were started for."""

from __future__ import annotations

from uuid import UUID

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import AttemptClosed, Locked
from proxx_flows.common.connection import client
from proxx_flows.common.errors import PrefectUnreachable


def is_own(error: ProxxError, run_id: str) -> bool:
    """Returns whether this same run took the attempt that the error is about."""
    return isinstance(error, Locked | AttemptClosed) and error.run_id == run_id


def started_again_after_end(run_id: str) -> bool:
    """Returns whether this process is the only one that has started the run since the run last ended in Prefect.

    True means that an operator started the run again after it had crashed: no process works on the attempt, and
    this one reports that it is locked. False means that another process may be working on it and reports the end
    itself; also if Prefect does not answer. Only the server's own record decides: its states in the order in which
    it received them. The time in the lock comes from a worker, whose clock may be wrong.
    """
    try:
        with client() as prefect:
            states = prefect.read_flow_run_states(UUID(run_id))
    except PrefectUnreachable:
        return False
    states.sort(key=lambda state: state.timestamp)  # set by the server
    ends = [index for index, state in enumerate(states) if state.is_final()]
    return bool(ends) and sum(state.is_running() for state in states[ends[-1] :]) == 1
