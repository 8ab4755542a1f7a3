"""The store against Prefect, job by job: reads both, changes neither.

The runs are read first and the store after them, so that what happens meanwhile looks like progress and not like
a contradiction. A job that seems to need a decision is looked at once more before that is said.
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
from proxx_flows.audit.verdict import judge_job, unknown
from proxx_flows.common import api
from proxx_flows.common.reference import SHORT

UNNAMED = "(not said: started by hand)"


@dataclass
class AuditTally:
    """How many jobs there are of each kind; it adds up. With a day asked for, older ones are not in it.

    states: verdict and what the ledger says. elsewhere: runs of other stores, by store; nameless: runs whose
    parameters name no job.
    """

    verdicts: Counter[JobVerdict] = field(default_factory=Counter)
    states: Counter[tuple[JobVerdict, State | None]] = field(default_factory=Counter)
    decide: int = 0
    differs: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)
    nameless: int = 0

    @property
    def jobs(self) -> int:
        """All that were looked at."""
        return self.verdicts.total()

    def note(self, found: AuditFinding) -> None:
        self.verdicts[found.verdict] += 1
        self.states[found.verdict, found.state] += 1
        self.decide += found.decide
        self.differs += found.differs


@dataclass(frozen=True, kw_only=True)
class Audit:
    """One look at one store. say_store: what commands have to give as --store, None where the environment does."""

    store: Store
    store_id: StoreIdentity
    since: date | None = None
    say_store: str | None = None

    def findings(self, tally: AuditTally) -> Iterator[AuditFinding]:
        """Every job once, those of the store first. Raises PrefectUnreachable, StoreUnavailable."""
        with RunIndex() as index:
            for run in api.runs_of_flow(since=self.since):
                self._file(index, tally, run)
            for found in self._all(index, tally):
                tally.note(found)
                yield found

    def _all(self, index: RunIndex, tally: AuditTally) -> Iterator[AuditFinding]:
        for status in list_jobs(self.store, self.since):
            runs = index.of(status.job_id)
            with suppress(JobUnknown):
                yield self._found(status, runs)
        for job_id, foreign_to, runs in index.unseen():
            older = None if foreign_to or self.since is None else self._older(job_id)
            yield self._unknown(job_id, foreign_to, runs) if older is None else self._found(older, runs)

    def _found(self, status: JobStatus, runs: tuple[SeenRun, ...]) -> AuditFinding:
        """The verdict; where it is not that all is well, of the whole of what is known, looked at once more."""
        found = self._judge(status, runs)
        if found.decide or found.differs or self._out_of_sight(status, runs):
            runs = self._runs_now(status.job_id, runs, self._status(status.job_id) if status.brief else status)
            found = self._judge(self._status(status.job_id), runs)
        return found

    def _older(self, job_id: str) -> JobStatus | None:
        """A job that only runs have seen since the day asked for; None where the store has nothing of it."""
        with suppress(JobUnknown):
            return self._status(job_id)
        return None

    def _out_of_sight(self, status: JobStatus, runs: tuple[SeenRun, ...]) -> bool:
        """Whether the run that took the latest attempt may be one from before the day asked for."""
        latest = status.latest
        return self.since is not None and latest is not None and latest.run_id not in {run.id for run in runs}

    def _file(self, index: RunIndex, tally: AuditTally, run: api.PrefectRun) -> None:
        """Keep the run with its job, or count it where it is none of this store's."""
        what = attempt_of_run(run)
        if what.job_id is None:
            tally.nameless += 1
        elif self._is_ours(what):
            index.add(what.job_id, describe_run(run))
        elif what.store == self.store.uri and what.store_uuid is not None:
            index.add(what.job_id, describe_run(run), foreign_to=what.store_uuid)
        else:
            tally.elsewhere[what.store or UNNAMED] += 1

    def _is_ours(self, what: NamedAttempt) -> bool:
        """The uuid says it, else the place, else (started by hand, without a store) that the job is here."""
        if what.store_uuid is not None:
            return what.store_uuid == self.store_id.uuid
        if what.store is not None:
            return what.store == self.store.uri
        return what.job_id is not None and bool(self.store.children(f"{JOBS}{what.job_id}/"))

    def _status(self, job_id: str) -> JobStatus:
        return job_status(self.store, job_id)

    def _judge(self, status: JobStatus, runs: tuple[SeenRun, ...]) -> AuditFinding:
        spec = status.state != State.UNREGISTERED or self.store.read(spec_key(status.job_id)) is not None
        return judge_job(status, runs, self._advice(status.job_id), spec=spec)

    def _runs_now(self, job_id: str, known: tuple[SeenRun, ...], status: JobStatus) -> tuple[SeenRun, ...]:
        """The job's runs as they are now: those known, those with its tag, and those that took an attempt."""
        tagged = api.runs_tagged(f"job:{job_id[:SHORT]}")
        found = {
            run.id: run
            for run in tagged
            if attempt_of_run(run).job_id == job_id and self._is_ours(attempt_of_run(run))
        }
        wanted = [run.id for run in known] + [attempt.run_id for attempt in status.attempts]
        missing = {run_id for run_id in wanted if run_id and run_id not in found}
        found |= {run.id: run for run in api.runs_by_ids(sorted(missing))}
        return tuple(sorted(map(describe_run, found.values()), key=lambda run: (run.created, run.id)))

    def _unknown(self, job_id: str, foreign_to: str, runs: tuple[SeenRun, ...]) -> AuditFinding:
        if foreign_to:
            why = (
                f"The runs of this job name store {foreign_to} at this place, and here is store {self.store_id.uuid} "
                "now: it was replaced, or another share is mounted. Mount the right one."
            )
        else:
            why = (
                "The store has nothing of this job: it was restored from an older copy, or the job never reached it. "
                "If the job is wanted, submit its spec once more."
            )
        return unknown(job_id, runs, self._advice(job_id), why)

    def _advice(self, job_id: str) -> Advice:
        return Advice(job_id=job_id, store=self.say_store)


def audit_store(store: Store, *, since: date | None = None, say_store: str | None = None) -> Audit:
    """Raises StoreUnavailable where there is no store: an audit of nothing would find nothing wrong."""
    store_id = store_identity(store)
    if store_id is None:
        raise StoreUnavailable(
            message="there is no job store here: nothing was submitted to it yet, or its share is not mounted",
            detail=store.uri,
        )
    return Audit(store=store, store_id=store_id, since=since, say_store=say_store)
