"""Compares the store with Prefect, job by job. Reads both and changes neither.

The flow runs are read before the store, so that a job that changes meanwhile looks like progress and not like a
contradiction. A job that seems to need a decision is read again before that is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

from proxx.contracts.errors import JobUnknown, StoreUnavailable
from proxx.store.base import Store
from proxx.store.keys import JOBS, spec_key
from proxx.store.listing import list_jobs
from proxx.store.opening import StoreIdentity, store_identity
from proxx.store.status import JobStatus, State, job_status
from proxx_flows.audit.finding import AuditFinding, JobVerdict
from proxx_flows.audit.next_steps import Advice
from proxx_flows.audit.prefect_run import NamedAttempt, SeenRun, attempt_of_run, describe_run
from proxx_flows.audit.run_index import RunIndex
from proxx_flows.audit.verdict import judge_job, judge_unknown_job
from proxx_flows.common import api
from proxx_flows.common.reference import SHORT

UNNAMED = "(no store named: started by hand)"


@dataclass
class AuditTally:
    """How many jobs have each verdict. With `since`, older jobs are not counted.

    states: verdict and state by the ledger. decide, differs: see AuditFinding. elsewhere: flow runs of other stores,
    by store. nameless: flow runs whose parameters name no job.
    """

    verdicts: Counter[JobVerdict] = field(default_factory=Counter)
    states: Counter[tuple[JobVerdict, State | None]] = field(default_factory=Counter)
    decide: int = 0
    differs: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)
    nameless: int = 0

    @property
    def jobs(self) -> int:
        """The number of jobs: the sum of the verdicts."""
        return self.verdicts.total()

    def count(self, finding: AuditFinding) -> None:
        self.verdicts[finding.verdict] += 1
        self.states[finding.verdict, finding.state] += 1
        self.decide += finding.decide
        self.differs += finding.differs


@dataclass(frozen=True, kw_only=True)
class Audit:
    """An audit of one store. since: leave out jobs that nothing happened to since this day (UTC).

    store_argument: the `--store` that commands need, None if the environment names the store.
    """

    store: Store
    store_id: StoreIdentity
    since: date | None = None
    store_argument: str | None = None

    def findings(self, tally: AuditTally) -> Iterator[AuditFinding]:
        """Yields a finding for every job, those of the store first, and counts it in the tally.

        Raises PrefectUnreachable or StoreUnavailable.
        """
        with RunIndex() as index:
            for run in api.runs_of_flow(since=self.since):
                self._add(index, tally, run)
            for finding in self._all(index):
                tally.count(finding)
                yield finding

    def _all(self, index: RunIndex) -> Iterator[AuditFinding]:
        for status in list_jobs(self.store, self.since):
            runs = index.of(status.job_id)
            with suppress(JobUnknown):
                yield self._finding(status, runs)
        for job_id, foreign_to, runs in index.unseen():
            older = None if foreign_to or self.since is None else self._older(job_id)
            yield self._unknown(job_id, foreign_to, runs) if older is None else self._finding(older, runs)

    def _finding(self, status: JobStatus, runs: tuple[SeenRun, ...]) -> AuditFinding:
        """Returns the finding. A job that looks wrong is first read again, with all its runs."""
        finding = self._judge(status, runs)
        if finding.decide or finding.differs or self._out_of_sight(status, runs):
            runs = self._runs_now(status.job_id, runs, self._status(status.job_id) if status.brief else status)
            finding = self._judge(self._status(status.job_id), runs)
        return finding

    def _older(self, job_id: str) -> JobStatus | None:
        """Returns the status of a job to which only flow runs happened since the day; None if the store lacks it."""
        with suppress(JobUnknown):
            return self._status(job_id)
        return None

    def _out_of_sight(self, status: JobStatus, runs: tuple[SeenRun, ...]) -> bool:
        """Returns whether the run that took the latest attempt may be older than `since`."""
        latest = status.latest
        return self.since is not None and latest is not None and latest.run_id not in {run.id for run in runs}

    def _add(self, index: RunIndex, tally: AuditTally, run: api.PrefectRun) -> None:
        """Adds the run to the index, or counts it if it belongs to no job of this store."""
        named = attempt_of_run(run)
        if named.job_id is None:
            tally.nameless += 1
        elif self._is_ours(named):
            index.add(named.job_id, describe_run(run))
        elif named.store == self.store.uri and named.store_uuid is not None:
            index.add(named.job_id, describe_run(run), foreign_to=named.store_uuid)
        else:
            tally.elsewhere[named.store or UNNAMED] += 1

    def _is_ours(self, named: NamedAttempt) -> bool:
        """Returns whether the run is for this store: by uuid, else by URI, else because the store has the job."""
        if named.store_uuid is not None:
            return named.store_uuid == self.store_id.uuid
        if named.store is not None:
            return named.store == self.store.uri
        return named.job_id is not None and bool(self.store.children(f"{JOBS}{named.job_id}/"))

    def _status(self, job_id: str) -> JobStatus:
        return job_status(self.store, job_id)

    def _judge(self, status: JobStatus, runs: tuple[SeenRun, ...]) -> AuditFinding:
        spec = status.state != State.UNREGISTERED or self.store.read(spec_key(status.job_id)) is not None
        return judge_job(status, runs, self._advice(status.job_id), spec=spec)

    def _runs_now(self, job_id: str, known: tuple[SeenRun, ...], status: JobStatus) -> tuple[SeenRun, ...]:
        """Returns the job's runs as they are now: the known ones, those with its tag, those that took an attempt."""
        runs = {
            run.id: run
            for run in api.runs_tagged(f"job:{job_id[:SHORT]}")
            if attempt_of_run(run).job_id == job_id and self._is_ours(attempt_of_run(run))
        }
        expected = [run.id for run in known] + [attempt.run_id for attempt in status.attempts]
        missing = {run_id for run_id in expected if run_id and run_id not in runs}
        runs |= {run.id: run for run in api.runs_by_ids(sorted(missing))}
        return tuple(sorted(map(describe_run, runs.values()), key=lambda run: (run.created, run.id)))

    def _unknown(self, job_id: str, foreign_to: str, runs: tuple[SeenRun, ...]) -> AuditFinding:
        if foreign_to:
            reason = (
                f"The runs of this job are for store {foreign_to} at this place, but store {self.store_id.uuid} is "
                "here now: the store was replaced, or another share is mounted. Mount the right one."
            )
        else:
            reason = (
                "The store has no record of this job: it was restored from an older copy, or the job never reached "
                "it. If the job is wanted, submit its spec again."
            )
        return judge_unknown_job(job_id, runs, self._advice(job_id), reason)

    def _advice(self, job_id: str) -> Advice:
        return Advice(job_id=job_id, store=self.store_argument)


def audit_store(store: Store, *, since: date | None = None, store_argument: str | None = None) -> Audit:
    """Returns an audit of the store.

    Raises StoreUnavailable if there is no store: an audit of an empty place would report that all is well.
    """
    store_id = store_identity(store)
    if store_id is None:
        raise StoreUnavailable(
            message="there is no job store here: no job was submitted yet, or its share is not mounted",
            detail=store.uri,
        )
    return Audit(store=store, store_id=store_id, since=since, store_argument=store_argument)
