"""Submission: each job is registered in the store, and each attempt gets one flow run, however often it is submitted.

The idempotency key of the run and the job's ledger guarantee that. Look-ups made beforehand only save time: the
server and the lock check everything again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from proxx.console.wording import safe
from proxx.contracts.error_bases import ProxxError, Refusal
from proxx.contracts.errors import (
    AttemptClosed,
    AttemptOutOfOrder,
    JobUnknown,
    LocaleUnusable,
    Locked,
    PlaceUnreachable,
    SpecAltered,
    StorageRefused,
    StoreMismatch,
    StoreRefused,
    StoreUnavailable,
    ToolchainMismatch,
    ToolchainMissing,
)
from proxx.contracts.event import Worker, this_worker
from proxx.contracts.job import read_spec
from proxx.engine.execute import register_job
from proxx.store.base import Store
from proxx.store.lock import refusal_for_attempt
from proxx_flows.common import api
from proxx_flows.common.errors import (
    AgainRefused,
    DeploymentMissing,
    PrefectUnreachable,
    RunEnded,
    RunRefused,
    StoreNotShared,
)
from proxx_flows.common.reference import JobReference, idempotency_key, run_name, run_tags
from proxx_flows.submission.dispatch import follow
from proxx_flows.submission.outcome import RequestedAttempt, outcome_of_attempt
from proxx_flows.submission.selection import SelectedJob
from proxx_flows.submission.summary import JobSummary

_DISPATCHES: Final = 8  # looked up in one request; an attempt with more dispatches takes further requests

SYSTEMIC: Final = (
    DeploymentMissing,
    LocaleUnusable,
    PlaceUnreachable,
    PrefectUnreachable,
    RunRefused,
    StorageRefused,
    StoreMismatch,
    StoreNotShared,
    StoreRefused,
    StoreUnavailable,
    ToolchainMismatch,
    ToolchainMissing,
)
"""Errors about the machine, the store or the server: every further job would fail in the same way.

StoreDamaged is about the records of one job.
"""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """One job that has a flow run. created: whether this call created it. dispatch: the number of this run among the
    runs of the attempt, from 1. state: the name of the run's state in Prefect.
    """

    selected: SelectedJob
    requested: RequestedAttempt
    dispatch: int
    run_id: str
    created: bool
    state: str


@dataclass(frozen=True, kw_only=True)
class RefusedJob:
    """One job that has no flow run because of this error. Other jobs are not affected."""

    selected: SelectedJob
    error: ProxxError


@dataclass(frozen=True, kw_only=True)
class Submitter:
    """Submits jobs of one store to one deployment.

    again: create another run for each attempt whose run ended without beginning it.
    """

    store: Store
    store_uuid: str
    deployment: api.Deployment
    again: bool = False
    worker: Worker = field(default_factory=this_worker)
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def submit(self, jobs: Iterable[SelectedJob]) -> Iterator[Submitted | RefusedJob]:
        """Yields the answer for each job, in order.

        Raises the errors of SYSTEMIC; the answers before that stay valid.
        """
        remaining = iter(jobs)
        while page := list(islice(remaining, api.PAGE)):
            known = {} if self.again else self._first_runs(page)
            for selected in page:
                try:
                    yield self._submit_one(selected, known.get(self._key(selected, 1)))
                except SYSTEMIC:
                    raise
                except ProxxError as error:
                    yield RefusedJob(selected=selected, error=error)

    def _first_runs(self, page: Sequence[SelectedJob]) -> dict[str, api.PrefectRun]:
        """Returns the first run of each of these attempts that has one, by idempotency key.

        Looking runs up is ten times cheaper than asking the server to create them again.
        """
        return api.runs_by_keys([self._key(selected, 1) for selected in page])

    def _submit_one(self, selected: SelectedJob, known: api.PrefectRun | None) -> Submitted:
        data = selected.read(self.store)
        spec = read_spec(data)
        if spec.job_id != selected.job_id:
            raise SpecAltered(message="The spec was replaced by another while it was being submitted.")
        requested = RequestedAttempt.of(spec, selected.attempt)
        refusal = self._refusal(requested)
        if isinstance(refusal, JobUnknown):  # the job is new to this store
            if requested.attempt > 1:
                raise AttemptOutOfOrder(message=f"attempt {requested.attempt}: the job is new, so 1 is next")
            register_job(spec, data, self.store, self.worker, self.run_id)
            refusal = self._refusal(requested)  # a job may be retired before its registration is complete
        elif refusal is None:
            register_job(spec, data, self.store, self.worker, self.run_id)
        if refusal is not None:
            return self._run_that_took(selected, requested, refusal)
        del spec, data
        return self._submit_again(selected, requested) if self.again else self._first(selected, requested, known)

    def _first(self, selected: SelectedJob, requested: RequestedAttempt, known: api.PrefectRun | None) -> Submitted:
        """Creates the first run of the attempt, or returns its latest run.

        Raises RunEnded if the latest run has ended without beginning the attempt: a person has to decide.
        """
        answer = api.RequestedRun(run=known, created=False) if known is not None else self._create_run(requested, 1)
        if answer.created or not answer.run.ended:
            return _submitted(selected, requested, 1, answer)
        dispatch, run = max(self._runs(selected).items(), default=(1, answer.run))
        if not run.ended:
            return _submitted(selected, requested, dispatch, api.RequestedRun(run=run, created=False))
        refusal = self._refusal(requested)  # checked again: the run may have begun and ended meanwhile
        if refusal is not None:
            return self._run_that_took(selected, requested, refusal)
        reason = f": {' '.join(run.message.split())[:200]}" if run.message else ""
        raise RunEnded(
            message=f"run {run.id} ended {run.state_name} and never began attempt {requested.attempt}{reason}"
        )

    def _submit_again(self, selected: SelectedJob, requested: RequestedAttempt) -> Submitted:
        """Creates the next run of the attempt. Raises AgainRefused if it has no run, or one that has not ended."""
        runs = self._runs(selected)
        if not runs:
            raise AgainRefused(message=f"attempt {requested.attempt} was never submitted: leave out --again")
        dispatch, run = max(runs.items())
        if not run.ended:
            raise AgainRefused(message=f"run {run.id} for attempt {requested.attempt} is {run.state_name}")
        refusal = self._refusal(requested)  # checked after the run was seen to have ended
        if refusal is not None:
            return self._run_that_took(selected, requested, refusal)
        return _submitted(selected, requested, dispatch + 1, self._create_run(requested, dispatch + 1))

    def _refusal(self, requested: RequestedAttempt) -> Refusal | None:
        return refusal_for_attempt(self.store, requested.job_id, requested.attempt)

    def _run_that_took(self, selected: SelectedJob, requested: RequestedAttempt, refusal: Refusal) -> Submitted:
        """Returns the run that took the attempt, if it was created by submission. Raises the refusal otherwise."""
        if not self.again and isinstance(refusal, Locked | AttemptClosed) and refusal.run_id:
            for dispatch, run in self._runs(selected).items():
                if run.id == refusal.run_id:
                    return _submitted(selected, requested, dispatch, api.RequestedRun(run=run, created=False))
        raise _without_result(refusal) if isinstance(refusal, AttemptClosed) else refusal

    def _create_run(self, requested: RequestedAttempt, dispatch: int) -> api.RequestedRun:
        reference, name = self._reference(requested.job_id, requested.attempt), safe(requested.name)
        return api.create_run(
            self.deployment.id,
            reference,
            dispatch=dispatch,
            name=run_name(name, reference),
            tags=run_tags(name, requested.profile, requested.job_id),
        )

    def _runs(self, selected: SelectedJob) -> dict[int, api.PrefectRun]:
        """Returns all runs of this attempt by dispatch number."""
        runs: dict[int, api.PrefectRun] = {}
        first = 1
        while True:
            keys = {self._key(selected, number): number for number in range(first, first + _DISPATCHES)}
            page = api.runs_by_keys(list(keys))
            if not page:
                return runs
            runs |= {keys[key]: run for key, run in page.items()}
            first += _DISPATCHES

    def _key(self, selected: SelectedJob, dispatch: int) -> str:
        return idempotency_key(self._reference(selected.job_id, selected.attempt), dispatch)

    def _reference(self, job_id: str, attempt: int) -> JobReference:
        return JobReference(store=self.store.uri, job_id=job_id, attempt=attempt, store_uuid=self.store_uuid)


def await_outcomes(
    store: Store, submitted: Sequence[Submitted], warn: Callable[[str], None]
) -> Iterator[tuple[Submitted, JobSummary]]:
    """Yields each job as its run ends, with the outcome that the ledger records."""
    by_run = {job.run_id: job for job in submitted}
    for end in follow(list(by_run), warn):
        job = by_run[end.run_id]
        yield job, outcome_of_attempt(store, job.requested, end)


def _without_result(refusal: AttemptClosed) -> AttemptClosed:
    """Returns the refusal with the status of the result only: a thousand refused jobs stay in memory."""
    status = refusal.result.get("status") if refusal.result else None
    outcome = str(status) if status else "an operator closed it"
    return AttemptClosed(message=f"{refusal.message}: {outcome}", detail=refusal.detail, run_id=refusal.run_id)


def _submitted(
    selected: SelectedJob, requested: RequestedAttempt, dispatch: int, answer: api.RequestedRun
) -> Submitted:
    return Submitted(
        selected=selected,
        requested=requested,
        dispatch=dispatch,
        run_id=answer.run.id,
        created=answer.created,
        state=answer.run.state_name,
    )
