"""An API that is gone while a job is made takes nothing from the job, and hears of its end when it is back."""

from __future__ import annotations

import threading
import time

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings
from proxx_flows.job.final_state import read_result

from proxx.store.attempts import read_attempts
from tests.flows.ground import Ground
from tests.flows.relay import relaying
from tests.flows.runs import data_of, registered, run_here, run_id, state_types
from tests.flows.server import Server
from tests.support.jobs import make_job


@pytest.mark.clause("I7")
def test_a_job_is_made_while_prefect_is_away(prefect: Server, ground: Ground) -> None:
    store, job = ground.store, make_job(ground.at("proxies"), "prores_proxy", 4)
    reference = registered(job, store)
    seen: list[str] = []
    with relaying(prefect.port) as relay:

        def outage() -> None:
            """Away from the first clip to the end of the attempt."""
            until = time.monotonic() + 120
            while len(seen) < 2 and time.monotonic() < until:
                attempts = read_attempts(store, job.job_id)
                types = [event.type for event in attempts[0].events] if attempts else []
                if not seen and "clip.started" in types:
                    relay.cut()
                    seen.append("cut")
                if seen and "lock.released" in types:
                    relay.mend()
                    seen.append("mended")
                time.sleep(0.02)

        watching = threading.Thread(target=outage)
        watching.start()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{relay.port}/api"}):
            state = run_here(reference=reference)
            watching.join()
            # Else this process tries for a minute, at its end, to send what is left over a line that is gone.
            APILogHandler().flush()
            EventsWorker.drain_all(timeout=60)
    assert seen == ["cut", "mended"]
    result = read_result(data_of(state))
    assert result is not None
    assert (result.status, state.is_completed()) == ("COMPLETED", True)
    assert state_types(run_id(state)) == ["PENDING", "RUNNING", "COMPLETED"]
    assert len(ground.files("proxies")) == 4
    types = [event.type for event in read_attempts(store, job.job_id)[0].events]
    assert types == ["lock.acquired", *["clip.started", "clip.publishing", "clip.completed"] * 4, "lock.released"]
