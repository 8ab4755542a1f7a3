"""A job is not affected if the API is gone while it runs, and its end is reported once the API is back."""

from __future__ import annotations

import threading
import time

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings
from proxx_flows.job.final_state import read_result

from proxx.store.attempts import read_attempts
from tests.flows.cuttable_proxy import cuttable_proxy
from tests.flows.runs import data_of, registered, run_here, run_id, state_types
from tests.flows.server import Server
from tests.flows.storage_area import StorageArea
from tests.support.jobs import make_job


@pytest.mark.clause("I7")
def test_a_job_is_made_while_prefect_is_away(prefect: Server, area: StorageArea) -> None:
    store, job = area.store, make_job(area.at("proxies"), "prores_proxy", 4)
    reference = registered(job, store)
    outages: list[str] = []
    with cuttable_proxy(prefect.port) as proxy:

        def outage() -> None:
            """Cuts the connection from the first clip to the end of the attempt."""
            until = time.monotonic() + 120
            while len(outages) < 2 and time.monotonic() < until:
                attempts = read_attempts(store, job.job_id)
                types = [event.type for event in attempts[0].events] if attempts else []
                if not outages and "clip.started" in types:
                    proxy.cut()
                    outages.append("cut")
                if outages and "lock.released" in types:
                    proxy.restore()
                    outages.append("restored")
                time.sleep(0.02)

        watching = threading.Thread(target=outage)
        watching.start()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{proxy.port}/api"}):
            state = run_here(reference=reference)
            watching.join()
            # Otherwise this process tries for a minute, at its end, to send the rest over the closed proxy.
            APILogHandler().flush()
            EventsWorker.drain_all(timeout=60)
    assert outages == ["cut", "restored"]
    result = read_result(data_of(state))
    assert result is not None
    assert (result.status, state.is_completed()) == ("COMPLETED", True)
    assert state_types(run_id(state)) == ["PENDING", "RUNNING", "COMPLETED"]
    assert len(area.files("proxies")) == 4
    types = [event.type for event in read_attempts(store, job.job_id)[0].events]
    assert types == ["lock.acquired", *["clip.started", "clip.publishing", "clip.completed"] * 4, "lock.released"]
