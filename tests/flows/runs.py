"""Flow runs in tests: registers a job, runs it in this process, and reads its run from Prefect and its ledger."""

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
    """Registers the job like `proxx submit`, and returns the reference to the attempt."""
    register_job(job, spec_bytes(job), store, this_worker(), str(uuid.uuid4()))
    return JobReference(store=store.uri, job_id=job.job_id, attempt=attempt, store_uuid=initialize_store(store).uuid)


def run_here(**parameters: Any) -> State[dict[str, Any]]:  # noqa: ANN401
    """Runs `proxy-job` in this process and returns its final state."""
    return cast("State[dict[str, Any]]", proxy_job(**parameters, return_state=True))


def data_of(state: State[Any] | None) -> dict[str, Any]:
    """Returns the data of a state of any type, read from the result storage."""
    assert state is not None
    data = state.result(raise_on_failure=False, _sync=True)  # type: ignore[call-overload]  # Prefect's own switch
    assert isinstance(data, dict), data
    return data


def run_id(state: State[Any]) -> UUID:
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id is not None
    return flow_run_id


def flow_run(run: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run)


def state_types(run: UUID) -> list[str]:
    """Returns the types of all states that the run was in, oldest first."""
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(run)
    return [state.type.value for state in sorted(states, key=lambda state: state.timestamp)]


def log_of(run: UUID, last: str) -> list[tuple[int, str]]:
    """Returns level and text of each line of the run's log, once a line starts with `last` (they come late)."""

    def read() -> list[tuple[int, str]] | None:
        logs = client.read_logs(
            LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])), limit=200, sort=LogSort.TIMESTAMP_ASC
        )
        lines = [(log.level, log.message) for log in logs]
        return lines if any(text.startswith(last) for _, text in lines) else None

    with get_client(sync_client=True) as client:
        return wait_for(read)


def artifacts(run: UUID, count: int) -> dict[str, dict[str, Any]]:
    """Returns the run's artifacts that have a key, by type, once there are at least `count`."""

    def read() -> dict[str, dict[str, Any]] | None:
        runs = FlowRunFilter(id=FlowRunFilterId(any_=[run])).model_dump(mode="json", exclude_unset=True)
        answer = client.request("POST", "/artifacts/filter", json={"flow_runs": runs}).json()
        # Prefect also creates one without a key for each result.
        by_type = {artifact["type"]: artifact for artifact in answer if artifact["key"]}
        return by_type if len(by_type) >= count else None

    with get_client(sync_client=True) as client:
        return wait_for(read)


def events(prefix: str, resource: str, count: int) -> list[dict[str, Any]]:
    """Returns the events whose name and resource start so, oldest first, once there are at least `count`."""

    def read() -> list[dict[str, Any]] | None:
        event_filter = {
            "event": {"prefix": [prefix]},
            "resource": {"id_prefix": [resource]},
            "order": "ASC",
        }
        answer = client.request("POST", "/events/filter", json={"filter": event_filter, "limit": 50}).json()
        return list(answer["events"]) if len(answer["events"]) >= count else None

    with get_client(sync_client=True) as client:
        return wait_for(read)


def wait_for(read: Callable[[], T | None], seconds: float = 60) -> T:
    """Calls `read` until it returns a value other than None, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = read()
        if value is not None:
            return value
        assert time.monotonic() < deadline, f"nothing after {seconds} s: {read}"
        time.sleep(0.2)


def ledger(store: Store, job_id: str, attempt: int = 1) -> tuple[dict[str, Json], ...]:
    """Returns the canonical log of one attempt."""
    return canonical_log(read_attempts(store, job_id)[attempt - 1].events)


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def codes(lines: Sequence[tuple[int, str]]) -> list[str]:
    """Returns the ledger events that the lines of a log start with, in order."""
    prefixes = ("lock.", "clip.", "refused")
    return [text.split(":")[0] for _, text in lines if text.startswith(prefixes)]
