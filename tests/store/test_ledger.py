"""Events: numbering, the holder's ledger, lost locks, failing stores, damage, and the canonical log."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from proxx.contracts import event as events
from proxx.contracts.canonical import NotCanonical
from proxx.contracts.errors import (
    LedgerFailed,
    LockLost,
    StoreDamaged,
    StoreRefused,
    StoreUnavailable,
    ToolchainMissing,
)
from proxx.contracts.event import (
    Event,
    Worker,
    event_bytes,
    make_event,
    parse_event,
    stamp,
    this_worker,
)
from proxx.store import ledger
from proxx.store.attempts import (
    Attempt,
    Closed,
    NotBegun,
    Open,
    announcements,
    is_retired,
    read_attempts,
)
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.keys import event_key
from proxx.store.ledger import Ledger
from tests.objects.around import Around
from tests.objects.kinds import NewStore
from tests.support.results import canonical_log

JOB = "ab" * 32
WORKER = Worker(host="cart-2", pid=7, user="dit", name="night")
SHA = "sha256:" + "1" * 64


def noon() -> datetime:
    return datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)


def new_ledger(store: Store, attempt: int = 1, run_id: str = "run-1") -> Ledger:
    return Ledger(store, JOB, attempt, WORKER, run_id, clock=noon)


class Failing(Around):
    """Fails creates, if `fail` is set, before or after the object was created."""

    fail = ""

    def create(self, key: str, data: bytes) -> bytes | None:
        if self.fail == "before":
            raise StoreUnavailable(message="the store could not create an object", detail="no route to host")
        existing = super().create(key, data)
        if self.fail == "after":
            raise StoreUnavailable(message="the store could not create an object", detail="timed out")
        return existing


@pytest.mark.clause("A7")
def test_an_event_as_it_is_stored(store: Store) -> None:
    written = new_ledger(store).append("lock.acquired", {"attempt": 1}, {"elapsed_ms": 5})
    data = store.read(f"jobs/{JOB}/attempts/0001/events/00001.json") or b""
    assert json.loads(data) == {
        "schema": "proxx.event/1",
        "number": 1,
        "type": "lock.acquired",
        "data": {"attempt": 1},
        "envelope": {
            "time": "2026-01-31T12:00:00.000001Z",
            "worker": {"host": "cart-2", "pid": 7, "user": "dit", "name": "night"},
            "run_id": "run-1",
            "nonce": written.envelope.nonce,
            "notes": {"elapsed_ms": 5},
        },
    }
    assert parse_event(data) == written


def test_times_are_utc_whatever_the_clock_s_zone() -> None:
    stamped = stamp(WORKER, "r", clock=lambda: datetime(2026, 1, 31, 1, tzinfo=timezone(timedelta(hours=9))))
    assert stamped.time == "2026-01-30T16:00:00.000000Z"


def test_a_worker_has_host_user_process_and_name() -> None:
    me = this_worker("pool-1")
    assert me.host and me.pid and me.name == "pool-1"
    assert str(WORKER) == "dit@cart-2 process 7 (night)"
    assert str(Worker(host="h", pid=1)) == "h process 1"


def test_data_that_has_no_canonical_form_is_a_bug_and_logs_nothing(store: Store) -> None:
    with pytest.raises(NotCanonical):
        new_ledger(store).append("lock.acquired", {"seconds": 0.5})  # type: ignore[dict-item]
    assert store.list("") == ("store.json",)


@pytest.mark.clause("A5")
def test_numbers_have_no_gap_and_the_state_follows_from_the_events(store: Store) -> None:
    assert read_attempts(store, JOB) == ()
    assert Attempt(1, ()).state == NotBegun()
    mine = new_ledger(store)
    first = mine.append("lock.acquired", {})
    assert read_attempts(store, JOB)[0].state == Open(first)
    for clip in range(3):
        mine.append("clip.started", {"clip": clip})
        mine.append("clip.completed", {"clip": clip})
    last = mine.append("lock.released", {"result": {"status": "COMPLETED"}}, {"result": {"elapsed_ms": 1}})
    (attempt,) = read_attempts(store, JOB)
    assert [event.number for event in attempt.events] == list(range(1, 9))
    assert attempt.state == Closed(last, first)
    assert attempt.state.result == {"status": "COMPLETED", "envelope": {"elapsed_ms": 1}}
    with pytest.raises(RuntimeError, match="after the attempt was closed"):
        mine.append("clip.started", {})


@pytest.mark.clause("P3", "T2")
def test_a_worker_that_finds_its_number_taken_has_lost_the_lock(store: Store) -> None:
    mine = new_ledger(store)
    mine.append("lock.acquired", {})
    other = make_event(2, "unlocked", {"reason": "dead"}, stamp(WORKER, "x"))
    assert ledger.put_event(store, JOB, 1, other) is None
    for _ in range(2):
        with pytest.raises(LockLost) as caught:
            mine.append("clip.publishing", {"sha256": SHA})
        assert caught.value.code == "LOCK_LOST"
        assert caught.value.message == "the attempt was closed before clip.publishing"
    assert len(store.list("jobs/")) == 2


def test_require_held_finds_a_closed_attempt_and_a_failing_store(new_store: NewStore) -> None:
    class Unreadable(Around):
        failing = False

        def read(self, key: str) -> bytes | None:
            if self.failing:
                raise StoreUnavailable(message="the store could not read an object")
            return super().read(key)

    store = Unreadable(new_store())
    mine = new_ledger(store)
    mine.append("lock.acquired", {})
    mine.require_held("the publish")
    store.failing = True
    with pytest.raises(LedgerFailed, match="before the publish"):
        mine.require_held("the publish")
    other = new_ledger(new_store())
    other.append("lock.acquired", {})
    other.store.create(f"jobs/{JOB}/attempts/0001/events/00002.json", b"another's")
    with pytest.raises(LockLost, match="closed before the publish"):
        other.require_held("the publish")
    with pytest.raises(LockLost):
        other.append("clip.publishing", {})


@pytest.mark.clause("V2")
@pytest.mark.parametrize("fault", ["before", "after"])
def test_after_a_store_failure_only_the_end_of_the_attempt_is_logged(new_store: NewStore, fault: str) -> None:
    store = Failing(new_store())
    mine = new_ledger(store)
    mine.append("lock.acquired", {})
    store.fail = fault
    with pytest.raises(LedgerFailed) as caught:
        mine.append("clip.started", {"clip": 0})
    assert (caught.value.code, caught.value.status) == ("LEDGER_FAILED", 1)
    assert caught.value.message == "the event clip.started could not be stored"
    assert caught.value.detail in ("no route to host", "timed out")
    store.fail = ""
    with pytest.raises(LedgerFailed, match="not tried"):
        mine.append("clip.publishing", {"clip": 0})
    mine.append("lock.released", {"result": {"status": "FAILED"}})
    (attempt,) = read_attempts(store, JOB)
    assert isinstance(attempt.state, Closed)
    middle = ["clip.started"] if fault == "after" else []
    assert [event.type for event in attempt.events] == ["lock.acquired", *middle, "lock.released"]


def test_a_release_that_seemed_to_fail_is_logged_once(new_store: NewStore) -> None:
    store = Failing(new_store())
    mine = new_ledger(store)
    mine.append("lock.acquired", {})
    store.fail = "after"
    with pytest.raises(LedgerFailed):
        mine.append("lock.released", {"result": {"status": "COMPLETED"}})
    store.fail = ""
    ended = mine.append("lock.released", {"result": {"status": "FAILED"}})
    assert ended.data == {"result": {"status": "COMPLETED"}}  # the event that the store has is the one that counts
    (attempt,) = read_attempts(store, JOB)
    assert len(attempt.events) == 2 and attempt.problems == ()


def test_an_attempt_closed_after_a_store_failure_is_lost(new_store: NewStore) -> None:
    store = Failing(new_store())
    mine = new_ledger(store)
    mine.append("lock.acquired", {})
    store.fail = "before"
    with pytest.raises(LedgerFailed):
        mine.append("clip.started", {})
    store.fail = ""
    ledger.put_event(store, JOB, 1, make_event(2, "unlocked", {"reason": "x"}, stamp(WORKER, "y")))
    with pytest.raises(LockLost):
        mine.append("lock.released", {"result": {}})


def test_a_signal_between_the_create_and_its_answer_does_not_lose_the_lock(new_store: NewStore) -> None:
    class Interrupting(Around):
        def create(self, key: str, data: bytes) -> bytes | None:
            existing = super().create(key, data)
            if b"clip.started" in data:
                raise KeyboardInterrupt
            return existing

    store = Interrupting(new_store())
    mine = new_ledger(store)
    mine.append("lock.acquired", {})
    with pytest.raises(KeyboardInterrupt):
        mine.append("clip.started", {})
    mine.append("lock.released", {"result": {}})
    assert [e.type for e in read_attempts(store, JOB)[0].events] == ["lock.acquired", "clip.started", "lock.released"]


@pytest.mark.clause("V2")
def test_an_unwritable_events_folder_fails_the_ledger(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    folder = tmp_path / "jobs" / JOB / "attempts" / "0001" / "events"
    folder.parent.mkdir(parents=True)
    folder.write_bytes(b"")  # root may write into read-only folders, but nobody into a file
    with pytest.raises(LedgerFailed) as caught:
        new_ledger(store).append("lock.acquired", {})
    assert "Not a directory" in (caught.value.detail or "") or "File exists" in (caught.value.detail or "")


def damaged(new_store: NewStore, change: Callable[[Store], None]) -> Attempt:
    store = new_store()
    change(store)
    attempts = read_attempts(store, JOB)
    assert len(attempts) == 1
    with pytest.raises(StoreDamaged) as caught:
        _ = attempts[0].state
    assert caught.value.message == "; ".join(attempts[0].problems)
    return attempts[0]


def put(store: Store, number: int, event: Event) -> None:
    store.create(event_key(JOB, 1, number), event_bytes(event))


def event(number: int, type_: events.EventType) -> Event:
    return make_event(number, type_, {}, stamp(WORKER, "r"))


@pytest.mark.clause("V5")
def test_gaps_and_unreadable_events_are_reported(new_store: NewStore) -> None:
    def gap(store: Store) -> None:
        put(store, 1, event(1, "lock.acquired"))
        put(store, 3, event(3, "lock.released"))

    def no_first(store: Store) -> None:
        put(store, 2, event(2, "lock.released"))

    def cut_short(store: Store) -> None:
        put(store, 1, event(1, "lock.acquired"))
        store.create(event_key(JOB, 1, 2), b'{"schema":"proxx.ev')

    def later_schema(store: Store) -> None:
        store.create(event_key(JOB, 1, 1), event_bytes(event(1, "lock.acquired")).replace(b"t/1", b"t/2"))

    def misplaced(store: Store) -> None:
        put(store, 1, event(2, "clip.started"))

    def after_the_end(store: Store) -> None:
        put(store, 1, event(1, "lock.acquired"))
        put(store, 2, event(2, "unlocked"))
        put(store, 3, event(3, "clip.started"))

    assert damaged(new_store, gap).problems == ("attempt 1 event 2 is missing",)
    assert damaged(new_store, no_first).problems == ("attempt 1 event 1 is missing",)
    assert damaged(new_store, cut_short).problems == ("attempt 1 event 2 cannot be read",)
    assert damaged(new_store, later_schema).problems == ("attempt 1 event 1 cannot be read",)
    assert damaged(new_store, misplaced).problems == (
        "attempt 1 event 1 is numbered 2",
        "attempt 1 event 1 is out of place: clip.started",
    )
    assert damaged(new_store, after_the_end).problems == ("attempt 1 event 3 comes after the end of the attempt",)


def test_a_missing_attempt_is_reported(store: Store) -> None:
    new_ledger(store, 2).append("lock.acquired", {})
    first, second = read_attempts(store, JOB)
    assert first.problems == ("attempt 1 is missing",)
    assert isinstance(second.state, Open)


def test_a_stale_listing_hides_nothing(new_store: NewStore) -> None:
    class Stale(Around):
        def list(self, folder: str) -> tuple[str, ...]:
            return ()

    store = Stale(new_store())
    new_ledger(store).append("lock.acquired", {})
    new_ledger(store, 2).append("lock.acquired", {})
    assert [len(attempt.events) for attempt in read_attempts(store, JOB)] == [1, 1]


def test_a_folder_left_by_a_killed_writer_is_not_an_attempt(tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / JOB / "attempts" / "0001" / "events"
    folder.mkdir(parents=True)
    (folder / ".00001.json.abc").write_bytes(b"{")
    assert read_attempts(FileStore(tmp_path), JOB) == ()


@pytest.mark.clause("I2")
def test_the_canonical_log_does_not_depend_on_who_and_when(new_store: NewStore) -> None:
    logs = []
    for worker, run_id, day in ((WORKER, "a", 1), (Worker(host="other", pid=99), "b", 2)):
        store = new_store()

        def clock(day: int = day) -> datetime:
            return datetime(2026, 1, day, tzinfo=UTC)

        mine = Ledger(store, JOB, 1, worker, run_id, clock=clock)
        mine.append("lock.acquired", {"attempt": 1}, {"cwd": f"/tmp/{day}"})  # noqa: S108 - a note, not a file
        mine.append("lock.released", {"result": {"status": "COMPLETED"}})
        logs.append(canonical_log(read_attempts(store, JOB)[0].events))
    assert logs[0] == logs[1]
    assert logs[0][0] == {"schema": "proxx.event/1", "number": 1, "type": "lock.acquired", "data": {"attempt": 1}}


def test_announcements_of_every_attempt_of_the_job_count(store: Store) -> None:
    for attempt, sha in ((1, "1"), (2, "2")):
        mine = new_ledger(store, attempt)
        mine.append("lock.acquired", {})
        assert not mine.has_announced("/p/a.mov", sha)
        mine.append("clip.publishing", {"clip": 0, "output": "/p/a.mov", "sha256": sha})
        assert mine.has_announced("/p/a.mov", sha) and mine.has_announced("/p/a.mov", "1")
        if attempt == 1:
            mine.append("unlocked", {"reason": "dead"})
    assert announcements(store, JOB) == {"/p/a.mov": frozenset({"1", "2"})}
    late = new_ledger(store, 3)
    assert late.has_announced("/p/a.mov", "2")
    assert not late.has_announced("/p/a.mov", "3")
    assert not late.has_announced("/p/b.mov", "1")
    assert announcements(store, "cd" * 32) == {}


def test_announcements_are_not_read_from_a_damaged_ledger(store: Store) -> None:
    put(store, 1, event(1, "lock.acquired"))
    store.create(event_key(JOB, 1, 2), b"{")
    with pytest.raises(StoreDamaged):
        announcements(store, JOB)
    with pytest.raises(LedgerFailed) as caught:
        new_ledger(store).has_announced("/p/a.mov", SHA)
    assert caught.value.detail == "attempt 1 event 2 cannot be read"


def test_a_store_that_refuses_to_read_fails_the_ledger(store: Store) -> None:
    """This is not a refusal of the job: the attempt has begun."""

    class Refusing(Around):
        def read(self, key: str) -> bytes | None:
            raise StoreRefused(message="the server does not speak S3")

    put(store, 1, event(1, "lock.acquired"))
    with pytest.raises(LedgerFailed, match="the record of what was published could not be read"):
        new_ledger(Refusing(store)).has_announced("/p/a.mov", SHA)


def test_is_retired_reads_the_first_event_of_each_attempt(store: Store) -> None:
    assert not is_retired(store, JOB)
    mine = new_ledger(store)
    mine.append("lock.acquired", {})
    mine.append("unlocked", {"reason": "x"})
    assert not is_retired(store, JOB)
    new_ledger(store, 2).append("retired", {"reason": "x"})
    assert is_retired(store, JOB)


def test_a_store_client_that_is_not_usable_any_more_fails_the_ledger(store: Store) -> None:
    """A hook of the client's library can be found missing in the middle of an attempt."""

    class Unusable(Around):
        def create(self, key: str, data: bytes) -> bytes | None:
            raise ToolchainMissing(message="a hook of the S3 client is missing", detail="s3fs 2030.1")

    pen = new_ledger(store)
    pen.append("lock.acquired", {})
    pen.store = Unusable(store)
    with pytest.raises(LedgerFailed) as caught:
        pen.append("clip.started", {"clip": 0})
    assert caught.value.detail == "s3fs 2030.1"
    with pytest.raises(LedgerFailed, match="not tried"):
        pen.append("clip.completed", {"clip": 0})
