"""Submission: each job registered by Phase 1's own call, each attempt asked for as one run, however often it is said.

What makes that true is the run's idempotency key and the ledger, never what was looked up a moment before: every
look is taken again by the server or by the lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from proxx.console.wording import safe
from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import AttemptClosed, AttemptOutOfOrder, JobRetired, Locked, SpecAltered, StoreDamaged
from proxx.contracts.event import Event, Worker, this_worker
from proxx.contracts.job import read_spec
from proxx.engine.execute import register_job
from proxx.store.attempts import Closed, Open, read_attempts
from proxx.store.base import Store
from proxx_flows.common import api
from proxx_flows.common.errors import AgainRefused, RunEnded
from proxx_flows.common.reference import JobReference, idempotency_key, run_name, run_tags
from proxx_flows.submission.dispatch import follow
from proxx_flows.submission.outcome import RequestedAttempt, outcome_of_attempt
from proxx_flows.submission.selection import SelectedJob
from proxx_flows.submission.summary import JobSummary

_DISPATCHES: Final = 8  # looked up at once; who needs more has them looked up in further requests


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """One job that has its run. created: by this call. dispatch: which run of this attempt. state: Prefect's word."""

    wanted: SelectedJob
    asked: RequestedAttempt
    dispatch: int
    run_id: str
    created: bool
    state: str


@dataclass(frozen=True, kw_only=True)
class RefusedJob:
    """One job that was not asked for. The others are no concern of its."""

    wanted: SelectedJob
    why: ProxxError


@dataclass(frozen=True, kw_only=True)
class Submitter:
    """Where jobs are handed in. again: ask once more for attempts whose run ended without beginning them."""

    store: Store
    store_uuid: str
    deployment: api.Deployment
    again: bool = False
    worker: Worker = field(default_factory=this_worker)
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def submit(self, jobs: Iterable[SelectedJob]) -> Iterator[Submitted | RefusedJob]:
        """Each job's answer, in order. Raises what would be wrong with every further job too: StoreUnavailable,
        PrefectUnreachable and their like. What was answered until then stands.
        """
        left = iter(jobs)
        while some := list(islice(left, api.PAGE)):
            known = {} if self.again else self._known(some)
            for wanted in some:
                try:
                    yield self._one(wanted, known.get(self._key(wanted, 1)))
                except ProxxError as why:
                    if is_systemic(why):
                        raise
                    yield RefusedJob(wanted=wanted, why=why)

    def _known(self, some: Sequence[SelectedJob]) -> dict[str, api.PrefectRun]:
        """Those that have their run already, by its key: to look is ten times cheaper than to ask once more."""
        return api.runs_by_keys([self._key(wanted, 1) for wanted in some])

    def _one(self, wanted: SelectedJob, known: api.PrefectRun | None) -> Submitted:
        data = wanted.read(self.store)
        spec = read_spec(data)
        if spec.job_id != wanted.job_id:
            raise SpecAltered(message="The spec was replaced by another while it was being submitted.")
        asked = RequestedAttempt.of(spec, wanted.attempt)
        begun = standing(self.store, asked)
        if begun is not None:
            return self._begun(wanted, asked, begun)
        register_job(spec, data, self.store, self.worker, self.run_id)
        del spec, data
        return self._once_more(wanted, asked) if self.again else self._first(wanted, asked, known)

    def _first(self, wanted: SelectedJob, asked: RequestedAttempt, known: api.PrefectRun | None) -> Submitted:
        """Ask. Where that was done before, and the run has ended without beginning, somebody has to decide."""
        found = api.RequestedRun(run=known, created=False) if known is not None else self._ask(asked, 1)
        if found.created or not found.run.ended:
            return _submitted(wanted, asked, 1, found)
        dispatch, run = max(self._runs(wanted).items(), default=(1, found.run))
        if not run.ended:
            return _submitted(wanted, asked, dispatch, api.RequestedRun(run=run, created=False))
        begun = standing(self.store, asked)  # once more: the run may have gone its whole way since
        if begun is not None:
            return self._begun(wanted, asked, begun)
        said = f": {' '.join(run.message.split())[:200]}" if run.message else ""
        raise RunEnded(message=f"run {run.id} ended {run.state_name} and never began attempt {asked.attempt}{said}")

    def _once_more(self, wanted: SelectedJob, asked: RequestedAttempt) -> Submitted:
        runs = self._runs(wanted)
        if not runs:
            raise AgainRefused(message=f"attempt {asked.attempt} was never asked for: leave out --again")
        dispatch, run = max(runs.items())
        if not run.ended:
            raise AgainRefused(message=f"run {run.id} for attempt {asked.attempt} is {run.state_name}")
        begun = standing(self.store, asked)  # read after the run was seen to have ended
        if begun is not None:
            return self._begun(wanted, asked, begun)
        return _submitted(wanted, asked, dispatch + 1, self._ask(asked, dispatch + 1))

    def _begun(self, wanted: SelectedJob, asked: RequestedAttempt, begun: Open | Closed) -> Submitted:
        """The attempt is somebody's: of the run that was asked for here, or of another, which is refused."""
        by = begun.acquired
        if not self.again and by is not None:
            for dispatch, run in self._runs(wanted).items():
                if run.id == by.envelope.run_id:
                    return _submitted(wanted, asked, dispatch, api.RequestedRun(run=run, created=False))
        match begun:
            case Open(acquired=acquired):
                raise Locked(
                    message=f"attempt {asked.attempt} is open",
                    detail=_who(acquired),
                    run_id=acquired.envelope.run_id,
                    since=acquired.envelope.time,
                )
            case Closed(last=last, result=result):
                how = str(result["status"]) if result and "status" in result else "by an operator's decision"
                raise AttemptClosed(  # without the result: a thousand of them would be kept
                    message=f"attempt {asked.attempt} has ended: {how}",
                    detail=_who(last),
                    run_id=by.envelope.run_id if by else "",
                )

    def _ask(self, asked: RequestedAttempt, dispatch: int) -> api.RequestedRun:
        reference, name = self._reference(asked.job_id, asked.attempt), safe(asked.name)
        return api.create_run(
            self.deployment.id,
            reference,
            dispatch=dispatch,
            name=run_name(name, reference),
            tags=run_tags(name, asked.profile, asked.job_id),
        )

    def _runs(self, wanted: SelectedJob) -> dict[int, api.PrefectRun]:
        """The runs there are for this attempt, by dispatch."""
        found: dict[int, api.PrefectRun] = {}
        first = 1
        while True:
            keys = {self._key(wanted, number): number for number in range(first, first + _DISPATCHES)}
            some = api.runs_by_keys(list(keys))
            if not some:
                return found
            found |= {keys[key]: run for key, run in some.items()}
            first += _DISPATCHES

    def _key(self, wanted: SelectedJob, dispatch: int) -> str:
        return idempotency_key(self._reference(wanted.job_id, wanted.attempt), dispatch)

    def _reference(self, job_id: str, attempt: int) -> JobReference:
        return JobReference(store=self.store.uri, job_id=job_id, attempt=attempt, store_uuid=self.store_uuid)


def is_systemic(why: ProxxError) -> bool:
    """Whether it is about the machine, the store or the server, and not about one job."""
    return why.status == 6 and not isinstance(why, StoreDamaged)


def standing(store: Store, asked: RequestedAttempt) -> Open | Closed | None:
    """Whose the attempt is; None where it is nobody's and may be taken next.

    Raises AttemptOutOfOrder, JobRetired, StoreDamaged: what the lock would say, before anything is asked for.
    """
    attempt, states = asked.attempt, [known.state for known in read_attempts(store, asked.job_id)]
    latest = states[-1] if states else None
    if isinstance(latest, Closed) and latest.last.type == "retired" and attempt >= len(states):
        raise JobRetired(message="the job is retired", detail=_who(latest.last))
    if 1 <= attempt <= len(states):
        state = states[attempt - 1]
        return state if isinstance(state, Open | Closed) else None
    if isinstance(latest, Open):
        said = f"attempt {attempt}: attempt {len(states)} is open"
        raise AttemptOutOfOrder(message=said, detail=_who(latest.acquired))
    if attempt != len(states) + 1:
        had = f"{len(states) + 1} is next" if states else "the job has had none yet, so 1 is next"
        raise AttemptOutOfOrder(message=f"attempt {attempt}: {had}")
    return None


def ends(
    store: Store, submitted: Sequence[Submitted], warn: Callable[[str], None]
) -> Iterator[tuple[Submitted, JobSummary]]:
    """Each job as its run ends, with what came of it by the ledger."""
    by_run = {one.run_id: one for one in submitted}
    for end in follow(list(by_run), warn):
        one = by_run[end.run_id]
        yield one, outcome_of_attempt(store, one.asked, end)


def _submitted(wanted: SelectedJob, asked: RequestedAttempt, dispatch: int, found: api.RequestedRun) -> Submitted:
    return Submitted(
        wanted=wanted,
        asked=asked,
        dispatch=dispatch,
        run_id=found.run.id,
        created=found.created,
        state=found.run.state_name,
    )


def _who(event: Event) -> str:
    return f"{event.type} {event.envelope.time} by {event.envelope.worker}, run {event.envelope.run_id or '-'}"
