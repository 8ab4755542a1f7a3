"""The calls of Prefect's REST API that proxx makes. All raise errors of `proxx_flows` only."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as clock_time
from itertools import islice
from typing import Any, Final

from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterIdempotencyKey,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from proxx_flows.common.connection import api_address, client
from proxx_flows.common.errors import DeploymentMissing
from proxx_flows.common.reference import JobReference, idempotency_key

FLOW: Final = "proxy-job"
DEPLOYMENT: Final = "proxy-job/proxx"
TERMINAL: Final = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
PAGE: Final = 100
"""Runs per request: a server returns 200 at most, and each may carry a whole spec."""

_ASKED_BY: Final = "proxx.asked-by"  # a label with a new value for each call: shows which call created the run


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A deployment, from which runs are created. ready: a worker has polled for it recently."""

    id: str
    name: str
    ready: bool
    work_pool: str | None


@dataclass(frozen=True, kw_only=True)
class PrefectRun:
    """A flow run as Prefect has it now. key: its idempotency key. state_type: "" if it has no state."""

    id: str
    name: str
    key: str | None
    state_type: str
    state_name: str
    message: str
    created: datetime | None
    start: datetime | None
    end: datetime | None
    tags: tuple[str, ...]
    parameters: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        return self.state_type in TERMINAL


@dataclass(frozen=True, kw_only=True)
class RequestedRun:
    """The run of an idempotency key. created: this call created it, not an earlier one with the same key."""

    run: PrefectRun
    created: bool


def find_deployment(name: str = DEPLOYMENT) -> Deployment:
    """Returns the deployment with this name. Raises DeploymentMissing, PrefectUnreachable."""
    with client() as prefect:
        try:
            response = prefect.read_deployment_by_name(name)
        except ObjectNotFound:
            raise DeploymentMissing(message=f"The server has no deployment {name}.", detail=api_address()) from None
    status = getattr(response.status, "value", response.status)
    return Deployment(id=str(response.id), name=name, ready=status == "READY", work_pool=response.work_pool_name)


def create_run(
    deployment_id: str, reference: JobReference, *, dispatch: int, name: str, tags: Iterable[str] = ()
) -> RequestedRun:
    """Returns the single run of this reference and dispatch, which it creates if it does not exist yet.

    Raises RunRefused if the deployment does not accept the reference, PrefectUnreachable.
    """
    call_id, key = str(uuid.uuid4()), idempotency_key(reference, dispatch)
    parameters = {"reference": reference.model_dump(mode="json")}
    with client() as prefect:
        # The HTTP status shows whether the run is new, but not if the request had to be sent twice.
        flow_run = prefect.create_flow_run_from_deployment(
            uuid.UUID(deployment_id),
            parameters=parameters,
            name=name,
            tags=tags,
            idempotency_key=key,
            labels={_ASKED_BY: call_id},
        )
    return RequestedRun(run=_run(flow_run), created=flow_run.labels.get(_ASKED_BY) == call_id)


def get_run(run_id: str) -> PrefectRun | None:
    """Returns the run, or None if Prefect does not have it."""
    return next(runs_by_ids([run_id]), None)


def runs_by_ids(ids: Sequence[str]) -> Iterator[PrefectRun]:
    """Yields the existing runs among these ids, in no order. Ignores an id that is not a UUID."""
    for page in _pages(filter(None, map(_uuid, ids))):
        yield from _read(FlowRunFilter(id=FlowRunFilterId(any_=page)))


def runs_by_keys(keys: Sequence[str]) -> dict[str, PrefectRun]:
    """Returns the existing runs with these idempotency keys, by key."""
    runs: dict[str, PrefectRun] = {}
    for page in _pages(keys):
        for run in _read(FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=page)), flow=FLOW):
            if run.key is not None:
                runs[run.key] = run
    return runs


def runs_tagged(tag: str) -> Iterator[PrefectRun]:
    """Yields all `proxy-job` runs with this tag, oldest first."""
    yield from _walk(FLOW, {"tags": FlowRunFilterTags(all_=[tag])}, None)


def runs_of_flow(name: str = FLOW, *, since: date | None = None) -> Iterator[PrefectRun]:
    """Yields all runs of the flow scheduled for the day `since` (UTC) or later, oldest first.

    Keeps one page in memory. A run that is rescheduled meanwhile may come twice. No run is left out, even if
    others are created or deleted meanwhile.
    """
    yield from _walk(name, {}, None if since is None else datetime.combine(since, clock_time(), UTC))


def _walk(flow: str, run_filters: dict[str, Any], after: datetime | None) -> Iterator[PrefectRun]:
    """Yields runs by scheduled time. Each page starts at the last time of the page before, without its runs."""
    seen: set[uuid.UUID] = set()
    while True:
        filters = dict(run_filters)
        if after is not None:
            filters["expected_start_time"] = FlowRunFilterExpectedStartTime(after_=after)
        if seen:
            filters["id"] = FlowRunFilterId(not_any_=sorted(seen))
        with client() as prefect:
            page = prefect.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
                flow_run_filter=FlowRunFilter(**filters),
                sort=FlowRunSort.EXPECTED_START_TIME_ASC,
                limit=PAGE,
            )
        for flow_run in page:
            yield _run(flow_run)
        if len(page) < PAGE:
            return
        last = page[-1].expected_start_time
        if last is not None and last != after:
            after, seen = last, set()
        seen |= {flow_run.id for flow_run in page if flow_run.expected_start_time == last}


def _read(run_filter: FlowRunFilter, flow: str | None = None) -> list[PrefectRun]:
    """Returns the runs that match, one page at most."""
    by_flow = FlowFilter(name=FlowFilterName(any_=[flow])) if flow else None
    with client() as prefect:
        page = prefect.read_flow_runs(flow_filter=by_flow, flow_run_filter=run_filter, limit=PAGE)
    return [_run(flow_run) for flow_run in page]


def _pages(values: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(values)
    while page := list(islice(remaining, PAGE)):
        yield page


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _run(flow_run: FlowRun) -> PrefectRun:
    state = flow_run.state
    return PrefectRun(
        id=str(flow_run.id),
        name=flow_run.name,
        key=flow_run.idempotency_key,
        state_type=state.type.value if state else "",
        state_name=(state.name if state else None) or "",
        message=(state.message if state else None) or "",
        created=flow_run.created,
        start=flow_run.start_time,
        end=flow_run.end_time,
        tags=tuple(flow_run.tags),
        parameters=flow_run.parameters,
    )
