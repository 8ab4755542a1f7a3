"""The list of all jobs: the same states as the events give, without reading what a listing shows already."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.errors import OutputClaimed
from proxx.contracts.event import Worker, stamp
from proxx.contracts.result import make_result
from proxx.store.base import MemoryStore
from proxx.store.file import FileStore
from proxx.store.keys import ENDED, JOBS, OPEN, parse
from proxx.store.listing import list_jobs
from proxx.store.lock import acquire, release, retire, unlock
from proxx.store.opening import initialize_store
from proxx.store.registration import record_refusal, register
from proxx.store.s3 import longest_create
from proxx.store.status import JobStatus, State, job_status
from tests.support.results import completed, envelope, failed

WORKER = Worker(host="one", pid=7)
ENDS = ("failed", "unlocked", "completed", "held", "retired")
DAY = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Counting(MemoryStore):
    """Counts reads by kind of key."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()

    def read(self, key: str) -> bytes | None:
        parsed = parse(key)
        self.reads[parsed.kind if parsed else key] += 1
        return super().read(key)


def job_id(number: int) -> str:
    return f"{number:064x}"


def enter(store: MemoryStore | FileStore, number: int, at: datetime = DAY) -> str:
    job = job_id(number)
    register(store, b"{}", job, [f"/p/{number}.mov"], stamp(WORKER, "r", clock=lambda: at))
    return job


def run(store: MemoryStore | FileStore, job: str, attempt: int, end: str, at: datetime = DAY) -> None:
    """Runs one attempt that ends as `completed`, `failed` or `unlocked`, or stays open for `held`."""
    ledger = acquire(store, job, attempt, WORKER, f"run-{attempt}", clock=lambda: at)
    if end == "unlocked":
        unlock(store, job, "power cut", WORKER, clock=lambda: at)
    elif end != "held":
        clip = completed() if end == "completed" else failed()
        release(ledger, make_result(job, attempt, (clip,), None, envelope()).to_json())


def by_events(store: MemoryStore) -> list[JobStatus]:
    """The status of every job, read from its events."""
    return [job_status(store, job) for job in store.children(JOBS)]


def states(jobs: list[JobStatus]) -> dict[str, tuple[State, int, str | None]]:
    return {job.job_id: (job.state, len(job.attempts), job.latest.code if job.latest else None) for job in jobs}


@pytest.mark.clause("I6")
@given(st.lists(st.lists(st.sampled_from(ENDS), max_size=4), max_size=6))
def test_the_listing_and_the_events_give_the_same_states(stories: list[list[str]]) -> None:
    """Whatever happened to any number of jobs, their states are the same, listed or read."""
    store = MemoryStore()
    for number, story in enumerate(stories):
        job = enter(store, number)
        for attempt, end in enumerate(story, 1):
            if end == "retired":
                retire(store, job, "wrong card", WORKER)
                break
            run(store, job, attempt, end)
            if end == "held":
                break
    whole = states(by_events(store))
    assert states(list(list_jobs(store))) == whole
    since = {job: (state, code) for job, (state, _, code) in states(list(list_jobs(store, date(2020, 1, 1)))).items()}
    assert since == {job: (state, code) for job, (state, _, code) in whole.items()}


@pytest.mark.clause("I7")
@given(st.sets(st.integers(0, 30)))
def test_the_states_do_not_depend_on_the_index(lost: set[int]) -> None:
    """A store that lost any part of its index lists every job the same."""
    store = MemoryStore()
    for number, end in enumerate(("completed", "failed", "held", "unlocked")):
        run(store, enter(store, number), 1, end)
    enter(store, 9)
    whole = states(by_events(store))
    partial = MemoryStore()
    index = [key for key in store.list("") if key.startswith((OPEN, ENDED))]
    gone = {index[place] for place in lost if place < len(index)}
    for key in store.list(""):
        if key not in gone:
            partial.create(key, store.read(key) or b"")
    assert states(list(list_jobs(partial))) == whole


def test_jobs_that_the_listing_shows_in_full_are_not_read() -> None:
    store = Counting()
    for number in range(200):
        run(store, enter(store, number), 1, "completed" if number % 2 else "failed")
    for number in range(200, 300):
        enter(store, number)  # waiting
    run(store, enter(store, 300), 1, "held")
    store.reads.clear()
    listed = list(list_jobs(store))
    assert Counter(job.state for job in listed) == {"COMPLETED": 100, "FAILED": 100, "REGISTERED": 100, "HELD": 1}
    assert store.reads["spec"] <= 1 and store.reads["event"] <= 3 and store.reads.total() < 12  # only the open one
    store.reads.clear()
    assert len(list(list_jobs(store, date(2026, 1, 31)))) == 301
    assert store.reads.total() < 12


def test_since_lists_the_jobs_that_something_happened_to_and_no_other() -> None:
    store, earlier = MemoryStore(), DAY - timedelta(days=3)
    old, begun, ended = (enter(store, number, earlier) for number in range(3))
    run(store, old, 1, "completed", earlier)
    run(store, begun, 1, "held")  # registered long ago, taken since
    ledger = acquire(store, ended, 1, WORKER, "r", clock=lambda: earlier)
    ledger._clock = lambda: DAY  # taken long ago, ended since
    release(ledger, make_result(ended, 1, (completed(),), None, envelope()).to_json())
    new = enter(store, 7)
    assert {job.job_id: job.state for job in list_jobs(store, DAY.date())} == {
        begun: State.HELD,
        ended: State.COMPLETED,
        new: State.REGISTERED,
    }
    assert old in {job.job_id for job in list_jobs(store)}


def test_since_allows_for_a_clock_that_is_behind() -> None:
    """A job is registered early in the day and run by a machine on which it is still the day before."""
    store, behind = MemoryStore(), DAY - timedelta(hours=14)
    assert behind.date() < DAY.date()
    job, waiting = enter(store, 1), enter(store, 2)
    run(store, job, 1, "completed", behind)
    listed = {status.job_id: status.state for status in list_jobs(store, DAY.date())}
    assert listed == {job: State.COMPLETED, waiting: State.REGISTERED}
    assert listed == {status.job_id: status.state for status in list_jobs(store)}


@pytest.mark.parametrize("resends", [0, 5, 9, 200])
def test_since_has_an_attempt_however_long_its_first_requests_took(resends: int) -> None:
    """The index key was created before midnight; its create took as long as the store's resends allow."""
    store, midnight = MemoryStore(), datetime(2026, 1, 31, tzinfo=UTC)
    initialize_store(store, resends=resends)
    slow, before = (enter(store, number, midnight - timedelta(days=10)) for number in range(2))
    asked = midnight - timedelta(seconds=longest_create(resends) - 1)
    times = iter((asked, midnight + timedelta(seconds=1)))
    acquire(store, slow, 1, WORKER, "r", clock=lambda: next(times))
    run(store, before, 1, "held", asked)  # the same, but its event is of the day before
    assert [(job.job_id, job.state) for job in list_jobs(store, midnight.date())] == [(slow, State.HELD)]


@pytest.mark.parametrize("resends", [0, 10**15])
@pytest.mark.parametrize("day", [date.min, date.max])
def test_since_may_be_any_day(resends: int, day: date) -> None:
    store = MemoryStore()
    initialize_store(store, resends=resends)
    run(store, enter(store, 1), 1, "held")
    assert len(list(list_jobs(store, day))) == (day == date.min)


@pytest.mark.clause("V3")
def test_incomplete_jobs_are_read_and_reported(tmp_path: Path) -> None:
    """A half registration, a refusal, a missing event: each is reported, and none counts as in order."""
    store = FileStore(tmp_path)
    run(store, enter(store, 1), 1, "completed")
    (tmp_path / f"jobs/{job_id(1)}/attempts/0001/events/00001.json").unlink()
    store.create(f"jobs/{job_id(2)}/spec.json", b"{}")
    refusal = OutputClaimed(message="it belongs to another job", owner=job_id(1))
    record_refusal(store, enter(store, 3), refusal, stamp(WORKER, "r"))
    store.create(f"jobs/{job_id(4)}/nonsense", b"")
    listed = {job.job_id: job for job in list_jobs(store)}
    assert [listed[job_id(n)].state for n in (1, 2, 3)] == [State.DAMAGED, State.UNREGISTERED, State.REGISTERED]
    assert listed[job_id(3)].refusals[0].code == "OUTPUT_CLAIMED"
    assert job_id(4) not in listed
