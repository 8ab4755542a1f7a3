"""Prefect's REST API, as much of it as proxx needs; nothing else speaks it. Raises errors of `flows` only."""

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

from proxx_flows.common.connection import client, place
from proxx_flows.common.errors import DeploymentMissing
from proxx_flows.common.reference import JobReference, idempotency_key

FLOW: Final = "proxy-job"
DEPLOYMENT: Final = "proxy-job/proxx"
TERMINAL: Final = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
PAGE: Final = 100
"""Runs a request: a server gives 200 at most, and each may carry a whole spec."""

_ASKED_BY: Final = "proxx.asked-by"  # a label, its value new for each call: tells whose run it is that comes back


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What runs are made from. ready: a worker has polled for it not long ago."""

    id: str
    name: str
    ready: bool
    work_pool: str | None


@dataclass(frozen=True, kw_only=True)
class PrefectRun:
    """A flow run as Prefect has it now. key: its idempotency key. state_type is "" where it has no state."""

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
    """A run that was asked for. created: by this very call, not by an earlier one under the same key."""

    run: PrefectRun
    created: bool


def find_deployment(name: str = DEPLOYMENT) -> Deployment:
    """Raises DeploymentMissing, PrefectUnreachable."""
    with client() as prefect:
        try:
            found = prefect.read_deployment_by_name(name)
        except ObjectNotFound:
            raise DeploymentMissing(message=f"The server has no deployment {name}.", detail=place()) from None
    status = getattr(found.status, "value", found.status)
    return Deployment(id=str(found.id), name=name, ready=status == "READY", work_pool=found.work_pool_name)


def create_run(
    deployment_id: str, reference: JobReference, *, dispatch: int, name: str, tags: Iterable[str] = ()
) -> RequestedRun:
    """The one run of this reference and dispatch: made now, or as it was made before.

    Raises RunRefused where the deployment does not take the reference, PrefectUnreachable.
    """
    mine, key = str(uuid.uuid4()), idempotency_key(reference, dispatch)
    parameters = {"reference": reference.model_dump(mode="json")}
    with client() as prefect:
        # The answer's status would say whether it is new, but not to a request that had to be sent twice.
        get_run = prefect.create_flow_run_from_deployment(
            uuid.UUID(deployment_id),
            parameters=parameters,
            name=name,
            tags=tags,
            idempotency_key=key,
            labels={_ASKED_BY: mine},
        )
    return RequestedRun(run=_run(get_run), created=get_run.labels.get(_ASKED_BY) == mine)


def get_run(run_id: str) -> PrefectRun | None:
    """One run, or None where Prefect does not know it."""
    return next(runs_by_ids([run_id]), None)


def runs_by_ids(ids: Sequence[str]) -> Iterator[PrefectRun]:
    """Those that there are, in no order. An id that is not a UUID is nobody's."""
    for some in _pages(filter(None, map(_uuid, ids))):
        yield from _read(FlowRunFilter(id=FlowRunFilterId(any_=some)))


def runs_by_keys(keys: Sequence[str]) -> dict[str, PrefectRun]:
    """The runs with these idempotency keys, by key."""
    found: dict[str, PrefectRun] = {}
    for some in _pages(keys):
        for one in _read(FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=some)), flow=FLOW):
            if one.key is not None:
                found[one.key] = one
    return found


def runs_tagged(tag: str) -> Iterator[PrefectRun]:
    """All runs of the flow with this tag, oldest first."""
    yield from _walk(FLOW, {"tags": FlowRunFilterTags(all_=[tag])}, None)


def runs_of_flow(name: str = FLOW, *, since: date | None = None) -> Iterator[PrefectRun]:
    """All runs of the flow that were to start on `since` (UTC) or later, oldest first, a page in memory at a time.

    A run that is put off meanwhile may come twice. None is left out, whatever else is made or deleted.
    """
    yield from _walk(name, {}, None if since is None else datetime.combine(since, clock_time(), UTC))


def _walk(flow: str, wanted: dict[str, Any], after: datetime | None) -> Iterator[PrefectRun]:
    """By the time they were to start. A page begins at the last time of the one before, without those given."""
    given: set[uuid.UUID] = set()
    while True:
        filters = dict(wanted)
        if after is not None:
            filters["expected_start_time"] = FlowRunFilterExpectedStartTime(after_=after)
        if given:
            filters["id"] = FlowRunFilterId(not_any_=sorted(given))
        with client() as prefect:
            page = prefect.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
                flow_run_filter=FlowRunFilter(**filters),
                sort=FlowRunSort.EXPECTED_START_TIME_ASC,
                limit=PAGE,
            )
        for one in page:
            yield _run(one)
        if len(page) < PAGE:
            return
        last = page[-1].expected_start_time
        if last is not None and last != after:
            after, given = last, set()
        given |= {one.id for one in page if one.expected_start_time == last}


def _read(wanted: FlowRunFilter, flow: str | None = None) -> list[PrefectRun]:
    """What fits on one page."""
    by_flow = FlowFilter(name=FlowFilterName(any_=[flow])) if flow else None
    with client() as prefect:
        return [_run(one) for one in prefect.read_flow_runs(flow_filter=by_flow, flow_run_filter=wanted, limit=PAGE)]


def _pages(values: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(values)
    while some := list(islice(left, PAGE)):
        yield some


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _run(found: FlowRun) -> PrefectRun:
    state = found.state
    return PrefectRun(
        id=str(found.id),
        name=found.name,
        key=found.idempotency_key,
        state_type=state.type.value if state else "",
        state_name=(state.name if state else None) or "",
        message=(state.message if state else None) or "",
        created=found.created,
        start=found.start_time,
        end=found.end_time,
        tags=tuple(found.tags),
        parameters=found.parameters,
    )
