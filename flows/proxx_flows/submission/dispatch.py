"""Jobs handed to a pool's workers and followed to their ends. Who follows may go; the jobs go on."""

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
"""The dispatch that `proxx submit` begins with too: whoever asks for the same attempt gets the same run."""
POLL_SECONDS: Final = (1, 2, 4, 8, 15)
"""Between two looks, the last one for ever. A look is one request for every hundred runs."""


@dataclass(frozen=True)
class DispatchedRun:
    """The run of an attempt. ended: long ago, so that this call asked for nothing."""

    run_id: str
    ended: bool


def dispatch_job(deployment: api.Deployment, reference: JobReference, asked: RequestedAttempt) -> DispatchedRun:
    """The run that works on the attempt: made now, or the last one it was given. Raises errors of `api`."""
    name = safe(asked.name)
    found = api.create_run(
        deployment.id,
        reference,
        dispatch=FIRST,
        name=run_name(name, reference),
        tags=run_tags(name, asked.profile, asked.job_id),
    )
    if found.created:
        return DispatchedRun(found.run.id, ended=False)
    run, dispatch = found.run, FIRST
    while run.ended and (later := api.runs_by_keys([key := idempotency_key(reference, dispatch + 1)])):
        run, dispatch = later[key], dispatch + 1  # an operator asked again
    return DispatchedRun(run.id, ended=run.ended)


def follow(
    run_ids: Sequence[str], warn: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> Iterator[RunEnd]:
    """Each run as it ends, in the order of their ends. A server that is away for a while is waited for."""
    left, look, away = set(run_ids), 0, False
    while left:
        try:
            found = {run.id: run for run in api.runs_by_ids(sorted(left))}
        except PrefectUnreachable as why:
            if not away:
                warn(f"{why} Waiting for it: the jobs do not depend on this.")
            away = True
        else:
            away = False
            for run_id in sorted(left):
                run = found.get(run_id)
                if run is None or run.ended:
                    left.discard(run_id)
                    state, message = (run.state_name, run.message) if run else ("Deleted", "Prefect does not know it")
                    yield RunEnd(run_id=run_id, state=state, message=message)
        if left:
            sleep(POLL_SECONDS[min(look, len(POLL_SECONDS) - 1)])
            look += 1
