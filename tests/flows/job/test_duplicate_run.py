"""A run that is handed out again knows itself; one that was started again after it crashed says it is locked."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow
from prefect.states import Crashed, Pending, Running
from proxx_flows.job.duplicate_run import ended_since, is_own
from proxx_flows.proxy_job import proxy_job

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import AttemptClosed, JobUnknown, Locked
from proxx.contracts.event import this_worker
from proxx.store.lock import acquire
from tests.flows.ground import Ground
from tests.flows.runs import data_of, flow_run, registered, state_types
from tests.support.jobs import make_job


@pytest.mark.parametrize(
    ("why", "own"),
    [
        (Locked(message="", run_id="run-1"), True),
        (Locked(message="", run_id="run-2"), False),
        (Locked(message=""), False),
        (AttemptClosed(message="", run_id="run-1"), True),
        (AttemptClosed(message=""), False),
        (JobUnknown(message=""), False),
    ],
)
def test_a_run_knows_itself(why: ProxxError, own: bool) -> None:
    assert is_own(why, "run-1") is own


@pytest.mark.clause("P3")
@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("crashed", [False, True], ids=["still at work", "crashed"])
def test_who_may_speak_for_a_run_whose_attempt_is_open(ground: Ground, crashed: bool) -> None:
    store = ground.store
    reference = registered(make_job(ground.at("proxies"), "prores_proxy"), store)
    with get_client(sync_client=True) as client:
        parameters = {"reference": reference.model_dump(mode="json")}
        run = client.create_flow_run(proxy_job, parameters=parameters, state=Pending()).id
        client.set_flow_run_state(run, Running())
        acquire(store, reference.job_id, 1, this_worker(), str(run))
        if crashed:
            client.set_flow_run_state(run, Crashed(), force=True)
            client.set_flow_run_state(run, Pending(), force=True)  # an operator's `Retry`
    if crashed:
        run_flow(proxy_job, flow_run=flow_run(run), return_type="state")
        state = flow_run(run).state
        assert state is not None
        assert state.is_failed()
        assert (state.message or "").startswith("LOCKED: attempt 1 is open.")
        assert data_of(state)["error"]["run_id"] == str(run)
    else:
        with pytest.raises(Abort):
            run_flow(proxy_job, flow_run=flow_run(run), return_type="state")
        assert state_types(run)[-1] == "RUNNING"
    assert not ground.files("proxies")


def test_an_api_that_cannot_be_asked_is_no_proof_of_an_end() -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    from tests.flows.server import free_port

    nobody = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nobody):
        assert not ended_since("00000000-0000-4000-8000-000000000000", "2026-01-31T10:00:00.000000Z")
