"""The outcome of an attempt is read from the store; Prefect's words are used only if the store has no record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from proxx_flows.common.errors import RunLost
from proxx_flows.submission.outcome import RequestedAttempt, RunEnd, ended_before, outcome_of_attempt, refused_summary
from proxx_flows.submission.summary import ClipCounts, Fault, JobSummary, job_summary

from proxx.contracts.errors import JobRetired, Locked, OutputClaimed
from proxx.contracts.event import Worker, stamp
from proxx.contracts.result import ExecutionResult, make_result
from proxx.store.base import MemoryStore
from proxx.store.ledger import Ledger
from proxx.store.lock import acquire, release, retire, unlock
from proxx.store.registration import record_refusal, register
from tests.support.results import JOB, completed, envelope, failed

ME = Worker(host="one", pid=17, user="editor")
REQUESTED = RequestedAttempt(job_id=JOB, attempt=1, name="A001", profile="prores_proxy", clips=2)
ENDED = RunEnd(run_id="run-1", state="Crashed", message="it went away")


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    register(store, b"{}", JOB, ("/proxies/A000.mov", "/proxies/A001.mov"), stamp(ME, "registrar"))
    return store


def take(store: MemoryStore) -> Ledger:
    return acquire(store, JOB, 1, ME, "run-1")


def without(status: str, fault: Fault, *, run_id: str | None, recorded: bool) -> JobSummary:
    return JobSummary(
        job_id=JOB,
        name="A001",
        status=status,  # type: ignore[arg-type]  # a word of the contract
        attempt=1,
        run_id=run_id,
        recorded=recorded,
        fingerprint=None,
        clips=ClipCounts(total=2, completed=0, failed=0, not_run=2),
        outputs=(),
        failures=(fault,),
    )


@pytest.mark.parametrize(
    "result",
    [
        make_result(JOB, 1, (completed(0), completed(1)), None, envelope()),
        make_result(JOB, 1, (completed(0), failed(1)), None, envelope()),
    ],
    ids=["completed", "failed"],
)
def test_a_recorded_result_is_the_outcome(store: MemoryStore, result: ExecutionResult) -> None:
    assert ended_before(store, REQUESTED) is None
    ledger = take(store)
    assert ended_before(store, REQUESTED) is None
    release(ledger, result.to_json())
    assert outcome_of_attempt(store, REQUESTED, ENDED) == job_summary("A001", result, recorded=False)
    assert ended_before(store, REQUESTED) == job_summary("A001", result, recorded=True)
    second = replace(REQUESTED, attempt=2)  # a completed job is not run again; a failed one may be
    assert ended_before(store, second) == (
        job_summary("A001", result, recorded=True) if result.status == "COMPLETED" else None
    )
    another = RunEnd(run_id="run-2", state="Failed", message="ATTEMPT_CLOSED")
    assert outcome_of_attempt(store, REQUESTED, another) == job_summary("A001", result, recorded=True)


def test_an_open_attempt_with_an_ended_run_is_lost(store: MemoryStore) -> None:
    take(store)
    fault = Fault.of(RunLost(message="Its run ended Crashed and recorded no result", detail="it went away"))
    assert outcome_of_attempt(store, REQUESTED, ENDED) == without("LOST", fault, run_id="run-1", recorded=False)


def test_a_refusal_is_found_by_its_run(store: MemoryStore) -> None:
    take(store)
    record_refusal(store, JOB, OutputClaimed(message="not this"), stamp(ME, "another"), 1)
    locked = Locked(message="attempt 1 is taken", detail="by one")
    record_refusal(store, JOB, locked, stamp(ME, "run-2"), 1)
    second = RunEnd(run_id="run-2", state="Failed", message="LOCKED")
    assert outcome_of_attempt(store, REQUESTED, second) == without(
        "REFUSED", Fault.of(locked), run_id="run-2", recorded=False
    )


def test_an_attempt_that_an_operator_closed_is_lost_with_the_reason(store: MemoryStore) -> None:
    take(store)
    unlock(store, JOB, "power cut", ME)
    closed = outcome_of_attempt(store, REQUESTED, ENDED)
    assert (closed.status, closed.run_id, closed.recorded) == ("LOST", "run-1", True)
    assert closed.failures[0].code == "ATTEMPT_CLOSED"
    assert closed.failures[0].message == "an operator closed attempt 1: power cut"


def test_a_retired_job_is_refused_with_the_reason(store: MemoryStore) -> None:
    retire(store, JOB, "not wanted", ME)
    fault = Fault.of(JobRetired(message="an operator retired the job: not wanted"))
    assert ended_before(store, REQUESTED) == without("REFUSED", fault, run_id=None, recorded=True)


def test_a_job_retired_after_it_completed_is_refused(store: MemoryStore) -> None:
    """Its outputs may belong to another job by now."""
    result = make_result(JOB, 1, (completed(0), completed(1)), None, envelope())
    release(take(store), result.to_json())
    retire(store, JOB, "not wanted", ME)
    fault = Fault.of(JobRetired(message="an operator retired the job: not wanted"))
    assert ended_before(store, REQUESTED) == without("REFUSED", fault, run_id=None, recorded=True)


def test_a_job_refused_before_it_had_a_run() -> None:
    error = OutputClaimed(message="/x belongs to job 1", owner="1", output="/x")
    assert refused_summary(REQUESTED, error) == without("REFUSED", Fault.of(error), run_id=None, recorded=False)
