"""Creates the flow runs of jobs and follows them until they end. The jobs go on if nobody follows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from proxx.console.wording import safe
from proxx_flows.common import api
from proxx_flows.common.errors import PrefectUnreachable
from proxx_flows.common.reference import JobReference, idempotency_key, run_name, run_tags
from proxx_flows.submission.outcome import RequestedAttempt, RunEnd

FIRST: Final = 1
"""Dispatch numbers start here, as for `proxx submit`: everybody who submits the same attempt gets the same run."""
POLL_SECONDS: Final = (1, 2, 4, 8, 15)
"""Pauses between polls; the last one is repeated. A poll is one request for every hundred runs."""


@dataclass(frozen=True)
class DispatchedRun:
    """The flow run of an attempt. ended: it had ended before this call, so nothing was created."""

    run_id: str
    ended: bool


def dispatch_job(deployment: api.Deployment, reference: JobReference, requested: RequestedAttempt) -> DispatchedRun:
    """Creates the first flow run of the attempt, or returns its latest run if it has one.

    Raises PrefectUnreachable or RunRefused.
    """
    name = safe(requested.name)
    answer = api.create_run(
        deployment.id,
        reference,
        dispatch=FIRST,
        name=run_name(name, reference),
        tags=run_tags(name, requested.profile, requested.job_id),
    )
    if answer.created:
        return DispatchedRun(answer.run.id, ended=False)
    run, dispatch = answer.run, FIRST
    while run.ended and (later := api.runs_by_keys([key := idempotency_key(reference, dispatch + 1)])):
        run, dispatch = later[key], dispatch + 1  # `proxx submit --again` created it
    return DispatchedRun(run.id, ended=run.ended)


def follow(
    run_ids: Sequence[str], warn: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> Iterator[RunEnd]:
    """Yields each run when it ends, in the order of the ends. Waits while the server cannot be reached.

    warn: receives one message each time the server becomes unreachable.
    """
    remaining, polls, unreachable = set(run_ids), 0, False
    while remaining:
        try:
            runs = {run.id: run for run in api.runs_by_ids(sorted(remaining))}
        except PrefectUnreachable as error:
            if not unreachable:
                warn(f"{error} Waiting for the server: the jobs run without it.")
            unreachable = True
        else:
            unreachable = False
            for run_id in sorted(remaining):
                run = runs.get(run_id)
                if run is None or run.ended:
                    remaining.discard(run_id)
                    state, message = (run.state_name, run.message) if run else ("Deleted", "Prefect has no such run")
                    yield RunEnd(run_id=run_id, state=state, message=message)
        if remaining:
            sleep(POLL_SECONDS[min(polls, len(POLL_SECONDS) - 1)])
            polls += 1
