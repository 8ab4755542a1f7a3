"""Flow runs in tests: a registered job, its run in this process, and what Prefect and the ledger say of it after."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import LogSort
from proxx_flows.common.reference import JobReference
from proxx_flows.proxy_job import proxy_job

from proxx.contracts.canonical import Json
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import register_job
from proxx.store.attempts import read_attempts
from proxx.store.base import Store
from proxx.store.opening import initialize_store
from tests.support.results import canonical_log

T = TypeVar("T")


def registered(job: JobSpec, store: Store, attempt: int = 1) -> JobReference:
    """The job in the store, as `proxx submit` leaves it."""
    register_job(job, spec_bytes(job), store, this_worker(), str(uuid.uuid4()))
    return JobReference(store=store.uri, job_id=job.job_id, attempt=attempt, store_uuid=initialize_store(store).uuid)


def run_here(**parameters: Any) -> State[dict[str, Any]]:  # noqa: ANN401
    """One flow run in this process, to its state."""
    return cast("State[dict[str, Any]]", proxy_job(**parameters, return_state=True))


def data_of(state: State[Any] | None) -> dict[str, Any]:
    """What a run's state holds for programs, whatever its kind: read from the result storage."""
    assert state is not None
    found = state.result(raise_on_failure=False, _sync=True)  # type: ignore[call-overload]  # Prefect's own switch
    assert isinstance(found, dict), found
    return found


def run_id(state: State[Any]) -> UUID:
    found = state.state_details.flow_run_id
    assert found is not None
    return found


def flow_run(which: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(which)


def state_types(which: UUID) -> list[str]:
    """The whole state history."""
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(which)
    return [state.type.value for state in sorted(states, key=lambda state: state.timestamp)]


def log_of(which: UUID, until: str) -> list[tuple[int, str]]:
    """Level and text of the run's log, waited for until a line begins with `until`: logs are sent now and then."""

    def read() -> list[tuple[int, str]] | None:
        found = client.read_logs(
            LogFilter(flow_run_id=LogFilterFlowRunId(any_=[which])), limit=200, sort=LogSort.TIMESTAMP_ASC
        )
        lines = [(log.level, log.message) for log in found]
        return lines if any(text.startswith(until) for _, text in lines) else None

    with get_client(sync_client=True) as client:
        return wait_for(read)


def artifacts(which: UUID, count: int) -> dict[str, dict[str, Any]]:
    """The run's artifacts that have a key, by type, once there are as many."""

    def read() -> dict[str, dict[str, Any]] | None:
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[which])).model_dump(mode="json", exclude_unset=True)
        found = client.request("POST", "/artifacts/filter", json={"flow_runs": wanted}).json()
        ours = {one["type"]: one for one in found if one["key"]}  # Prefect keeps one without a key for each result
        return ours if len(ours) >= count else None

    with get_client(sync_client=True) as client:
        return wait_for(read)


def events(prefix: str, resource: str, count: int) -> list[dict[str, Any]]:
    """Events with this beginning of a name and of a resource, oldest first, once there are so many."""

    def read() -> list[dict[str, Any]] | None:
        wanted = {
            "event": {"prefix": [prefix]},
            "resource": {"id_prefix": [resource]},
            "order": "ASC",
        }
        found = client.request("POST", "/events/filter", json={"filter": wanted, "limit": 50}).json()
        return list(found["events"]) if len(found["events"]) >= count else None

    with get_client(sync_client=True) as client:
        return wait_for(read)


def wait_for(ask: Callable[[], T | None], seconds: float = 60) -> T:
    """What `ask` gives, once it gives anything."""
    until = time.monotonic() + seconds
    while True:
        found = ask()
        if found is not None:
            return found
        assert time.monotonic() < until, f"nothing after {seconds} s: {ask}"
        time.sleep(0.2)


def ledger(store: Store, job_id: str, attempt: int = 1) -> tuple[dict[str, Json], ...]:
    """The canonical log of one attempt."""
    return canonical_log(read_attempts(store, job_id)[attempt - 1].events)


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def codes(lines: Sequence[tuple[int, str]]) -> list[str]:
    """The ledger's words of a log, in order."""
    words = ("lock.", "clip.", "refused")
    return [text.split(":")[0] for _, text in lines if text.startswith(words)]
