"""A run recognises its own attempt; only a run that was started again after its end reports that it is locked."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow
from prefect.states import Crashed, Pending, Running
from proxx_flows.common.reference import JobReference
from proxx_flows.job.duplicate_run import is_own, started_again_after_end
from proxx_flows.proxy_job import proxy_job

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import AttemptClosed, JobUnknown, Locked
from proxx.contracts.event import this_worker, utc_now
from proxx.store.lock import acquire
from tests.flows.runs import data_of, flow_run, registered, state_types
from tests.flows.storage_area import StorageArea
from tests.support.jobs import make_job

CLOCK_ERRORS = pytest.mark.parametrize(
    "clock_error", [timedelta(0), timedelta(hours=1), timedelta(hours=-1)], ids=["right", "ahead", "behind"]
)


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (Locked(message="", run_id="run-1"), True),
        (Locked(message="", run_id="run-2"), False),
        (Locked(message=""), False),
        (AttemptClosed(message="", run_id="run-1"), True),
        (AttemptClosed(message=""), False),
        (JobUnknown(message=""), False),
    ],
)
def test_a_run_recognises_its_own_attempt(error: ProxxError, own: bool) -> None:
    assert is_own(error, "run-1") is own


def new_run(reference: JobReference) -> UUID:
    with get_client(sync_client=True) as client:
        parameters = {"reference": reference.model_dump(mode="json")}
        return client.create_flow_run(proxy_job, parameters=parameters, state=Pending()).id


def enter(run: UUID, *states: State[None]) -> None:
    """Put the run into each of the states, in order."""
    with get_client(sync_client=True) as client:
        for state in states:
            client.set_flow_run_state(run, state, force=True)


def take(area: StorageArea, reference: JobReference, run: UUID, clock_error: timedelta) -> None:
    """Take the attempt as a process of the run whose clock is wrong by this much."""
    acquire(area.store, reference.job_id, 1, this_worker(), str(run), clock=lambda: utc_now() + clock_error)


@pytest.mark.clause("P3")
@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("crashed", [False, True], ids=["still at work", "crashed"])
@CLOCK_ERRORS
def test_only_a_run_started_again_after_its_end_reports_the_lock(
    area: StorageArea, crashed: bool, clock_error: timedelta
) -> None:
    reference = registered(make_job(area.at("proxies"), "prores_proxy"), area.store)
    run = new_run(reference)
    enter(run, Running())
    take(area, reference, run, clock_error)
    if crashed:
        enter(run, Crashed(), Pending())  # Pending: an operator's `Retry`
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
    assert not area.files("proxies")


@pytest.mark.usefixtures("prefect")
@CLOCK_ERRORS
def test_a_second_process_of_a_run_started_again_reports_nothing(area: StorageArea, clock_error: timedelta) -> None:
    """The run crashed before it took the attempt, was started again, and was then handed out twice."""
    reference = registered(make_job(area.at("proxies"), "prores_proxy"), area.store)
    run = new_run(reference)
    enter(run, Crashed(), Pending(), Running())
    take(area, reference, run, clock_error)
    with pytest.raises(Abort):
        run_flow(proxy_job, flow_run=flow_run(run), return_type="state")
    assert state_types(run) == ["PENDING", "CRASHED", "PENDING", "RUNNING", "RUNNING"]
    assert not area.files("proxies")


def test_an_api_that_does_not_answer_proves_no_end() -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    from tests.flows.server import free_port

    unreachable = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(unreachable):
        assert not started_again_after_end("00000000-0000-4000-8000-000000000000")
