"""The execution lock: the order of attempts, every refusal, and races between workers and operators."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import Refusal
from proxx.contracts.errors import (
    AttemptClosed,
    AttemptOutOfOrder,
    JobRetired,
    JobUnknown,
    Locked,
    LockLost,
    NotLocked,
    StoreDamaged,
    StoreUnavailable,
)
from proxx.contracts.event import Worker, stamp
from proxx.store import lock as module
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.ledger import Ledger, put_event
from proxx.store.lock import acquire, refusal_for_attempt, release, retire, unlock
from proxx.store.registration import register
from tests.objects.kinds import Kind, NewStore, turns

JOB = "ab" * 32
WORKER = Worker(host="cart-2", pid=7, user="dit")
OPERATOR = Worker(host="desk", pid=1, user="op")
RESULT: dict[str, Json] = {"status": "COMPLETED", "fingerprint": "f", "clips": [], "envelope": {"elapsed_ms": 3}}


def registered(store: Store) -> Store:
    register(store, b"{}", JOB, ["/p/a.mov"], stamp(OPERATOR, "reg"))
    return store


@pytest.fixture
def store(new_store: NewStore) -> Store:
    return registered(new_store())


def take(store: Store, attempt: int = 1, run_id: str = "run-1") -> Ledger:
    return acquire(store, JOB, attempt, WORKER, run_id)


@pytest.mark.clause("P4", lead=True)
def test_acquire_and_release_are_logged(store: Store) -> None:
    """The first event names the worker that took the attempt, the last one the result with which it was released."""
    ledger = take(store)
    ended = release(ledger, RESULT)
    (attempt,) = read_attempts(store, JOB)
    assert [(event.type, event.envelope.worker) for event in attempt.events] == [
        ("lock.acquired", WORKER),
        ("lock.released", WORKER),
    ]
    assert attempt.events[0].data == {"attempt": 1, "job_id": JOB}
    assert ended.data == {"result": {"status": "COMPLETED", "fingerprint": "f", "clips": []}}
    assert ended.envelope.notes == {"result": {"elapsed_ms": 3}}
    assert isinstance(attempt.state, Closed) and attempt.state.result == RESULT
    assert json.loads(store.read(f"jobs/{JOB}/attempts/0001/result.json") or b"") == RESULT
    day, clock = ended.envelope.time[:10], ended.envelope.time[11:19].replace(":", "")
    assert store.list("index/ended/") == (f"index/ended/{day}/{JOB}/0001.{clock}.completed.run-1",)
    assert any(key.startswith(f"index/open/{day}/{JOB}/0001.") for key in store.list("index/open/"))


@pytest.mark.clause("P5")
def test_the_refusal_of_an_open_attempt_names_its_worker(store: Store) -> None:
    acquired = read_attempts(take(store).store, JOB)[0].events[0]
    with pytest.raises(Locked) as caught:
        take(store, run_id="run-2")
    error = caught.value
    assert (error.code, error.status, error.message) == ("LOCKED", 4, "attempt 1 is open")
    assert (error.run_id, error.since) == ("run-1", acquired.envelope.time)
    assert "dit@cart-2 process 7" in (error.detail or "") and error.since in (error.detail or "")
    with pytest.raises(AttemptOutOfOrder, match="attempt 1 is open"):
        take(store, 2)


@pytest.mark.clause("F4")
def test_a_closed_attempt_is_refused_with_its_result(store: Store) -> None:
    release(take(store), RESULT)
    with pytest.raises(AttemptClosed) as caught:
        take(store, run_id="again")
    error = caught.value
    assert (error.code, error.status, error.message) == ("ATTEMPT_CLOSED", 4, "attempt 1 has ended")
    assert (error.result, error.run_id) == (RESULT, "run-1")
    assert [a.number for a in read_attempts(store, JOB)] == [1]
    take(store, 2)


@pytest.mark.clause("P5")
@pytest.mark.parametrize(
    ("attempt", "message"), [(0, "start at 1"), (-1, "start at 1"), (2, "so 1 is next"), (9, "so 1")]
)
def test_the_first_attempt_is_1(store: Store, attempt: int, message: str) -> None:
    with pytest.raises(AttemptOutOfOrder, match=message) as caught:
        take(store, attempt)
    assert (caught.value.code, caught.value.status) == ("ATTEMPT_OUT_OF_ORDER", 4)


def test_no_attempt_number_is_skipped(store: Store) -> None:
    release(take(store), RESULT)
    with pytest.raises(AttemptOutOfOrder, match="2 is next"):
        take(store, 3)


@pytest.mark.clause("P6", lead=True)
def test_a_job_that_is_not_registered_cannot_be_taken(store: Store, new_store: NewStore) -> None:
    """A job whose registration is incomplete cannot be locked."""
    for job_id in ("cd" * 32, "../x", ""):
        with pytest.raises(JobUnknown) as caught:
            acquire(store, job_id, 1, WORKER, "r")
        assert (caught.value.code, caught.value.status) == ("JOB_UNKNOWN", 3)
    half = new_store()
    half.create(f"jobs/{JOB}/spec.json", b"{}")
    with pytest.raises(JobUnknown):
        take(half)


def test_the_refusal_of_an_attempt_is_known_without_taking_it(store: Store, new_store: NewStore) -> None:
    """Whatever state the job is in, `refusal_for_attempt` returns what `acquire` raises, and writes nothing."""

    def same(where: Store, attempt: int) -> str:
        before = where.list("")
        refusal = refusal_for_attempt(where, JOB, attempt)
        assert where.list("") == before
        assert refusal is not None
        with pytest.raises(type(refusal)) as caught:
            take(where, attempt)
        assert vars(caught.value) == vars(refusal)
        return refusal.code

    assert same(new_store(), 1) == "JOB_UNKNOWN"
    assert refusal_for_attempt(store, JOB, 1) is None
    assert [same(store, attempt) for attempt in (0, 2)] == ["ATTEMPT_OUT_OF_ORDER"] * 2
    ledger = take(store)
    assert [same(store, attempt) for attempt in (1, 2, 3)] == ["LOCKED"] + ["ATTEMPT_OUT_OF_ORDER"] * 2
    release(ledger, RESULT)
    closed = refusal_for_attempt(store, JOB, 1)
    assert isinstance(closed, AttemptClosed) and (closed.result, closed.run_id) == (RESULT, "run-1")
    assert [same(store, attempt) for attempt in (1, 3)] == ["ATTEMPT_CLOSED", "ATTEMPT_OUT_OF_ORDER"]
    assert refusal_for_attempt(store, JOB, 2) is None
    retire(store, JOB, "wrong profile", OPERATOR)
    assert [same(store, attempt) for attempt in (1, 2, 3, 9)] == ["ATTEMPT_CLOSED"] + ["JOB_RETIRED"] * 3


@pytest.mark.clause("N2")
def test_after_an_unlock_a_living_worker_finds_its_lock_lost(store: Store) -> None:
    ledger = take(store)
    ledger.append("clip.started", {"clip": 0})
    assert unlock(store, JOB, "power cut", OPERATOR) == 1
    with pytest.raises(LockLost):
        ledger.append("clip.publishing", {"clip": 0})
    with pytest.raises(LockLost):
        release(ledger, RESULT)
    (attempt,) = read_attempts(store, JOB)
    assert isinstance(attempt.state, Closed) and attempt.state.result is None
    assert attempt.events[-1].data == {"reason": "power cut"}
    assert attempt.events[-1].envelope.worker == OPERATOR
    with pytest.raises(AttemptClosed) as caught:
        take(store)
    assert caught.value.result is None
    take(store, 2)


def test_unlock_refuses_if_no_attempt_is_open(store: Store) -> None:
    with pytest.raises(JobUnknown):
        unlock(store, "cd" * 32, "x", OPERATOR)
    with pytest.raises(NotLocked) as caught:
        unlock(store, JOB, "x", OPERATOR)
    assert (caught.value.code, caught.value.status) == ("NOT_LOCKED", 4)
    ledger = take(store)
    with pytest.raises(ValueError, match="reason"):
        unlock(store, JOB, "  ", OPERATOR)
    release(ledger, RESULT)
    with pytest.raises(NotLocked):
        unlock(store, JOB, "x", OPERATOR)


def test_unlock_outruns_a_worker_that_writes_and_gives_up_on_one_that_keeps_writing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIES", 8)
    ledger = take(store)
    real_put_event = put_event
    writes = iter(["clip.started", "clip.completed"])

    def worker_first(*args: object) -> bytes | None:
        if type_ := next(writes, None):
            ledger.append(type_, {})  # type: ignore[arg-type]
        return real_put_event(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "put_event", worker_first)
    assert unlock(store, JOB, "dead", OPERATOR) == 1
    types = [event.type for event in read_attempts(store, JOB)[0].events]
    assert types == ["lock.acquired", "clip.started", "clip.completed", "unlocked"]

    ledger = take(store, 2)
    writes = iter(["clip.started"] * 1000)
    with pytest.raises(Locked, match="its worker is alive"):
        unlock(store, JOB, "dead", OPERATOR)
    ledger.append("lock.released", {"result": {}})


def test_unlock_just_after_the_release_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = take(store)
    real_put_event = put_event

    def released_first(*args: object) -> bytes | None:
        monkeypatch.undo()
        release(ledger, RESULT)
        return real_put_event(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "put_event", released_first)
    with pytest.raises(NotLocked, match="has just ended"):
        unlock(store, JOB, "dead", OPERATOR)
    assert [event.type for event in read_attempts(store, JOB)[0].events] == ["lock.acquired", "lock.released"]


def test_a_retired_job_never_runs_again(store: Store) -> None:
    release(take(store), RESULT)
    assert retire(store, JOB, "wrong profile", OPERATOR) == 2
    for attempt in (2, 3, 4):
        with pytest.raises(JobRetired) as caught:
            take(store, attempt)
        assert (caught.value.code, caught.value.status) == ("JOB_RETIRED", 4)
    with pytest.raises(AttemptClosed):  # its result stays available
        take(store, 1)
    with pytest.raises(JobRetired):
        retire(store, JOB, "again", OPERATOR)
    with pytest.raises(NotLocked):
        unlock(store, JOB, "x", OPERATOR)


def test_retire_refuses_an_open_attempt_and_an_unknown_job(store: Store) -> None:
    with pytest.raises(JobUnknown):
        retire(store, "cd" * 32, "x", OPERATOR)
    take(store)
    with pytest.raises(Locked) as caught:
        retire(store, JOB, "x", OPERATOR)
    assert caught.value.run_id == "run-1"


def test_a_damaged_ledger_refuses_every_action(store: Store) -> None:
    store.create(f"jobs/{JOB}/attempts/0001/events/00001.json", b"{")
    acts: tuple[Callable[[], object], ...] = (
        lambda: take(store),
        lambda: take(store, 2),
        lambda: unlock(store, JOB, "x", OPERATOR),
        lambda: retire(store, JOB, "x", OPERATOR),
    )
    for act in acts:
        with pytest.raises(StoreDamaged):
            act()


@pytest.mark.clause("V2")
def test_the_event_closes_the_attempt_even_if_the_copies_cannot_be_written(tmp_path: Path) -> None:
    store = registered(FileStore(tmp_path))
    ledger = take(store)
    (tmp_path / f"jobs/{JOB}/attempts/0001/result.json").mkdir()
    (tmp_path / "index/ended").write_bytes(b"")
    release(ledger, RESULT)
    with pytest.raises(AttemptClosed) as caught:
        take(store)
    assert caught.value.result == RESULT


def test_a_store_that_cannot_record_the_lock_is_a_refusal(tmp_path: Path) -> None:
    store = registered(FileStore(tmp_path))
    attempts = tmp_path / f"jobs/{JOB}/attempts/0001"
    attempts.mkdir(parents=True)
    (attempts / "events").symlink_to(tmp_path / "gone")
    with pytest.raises(StoreUnavailable) as caught:
        take(store)
    assert caught.value.message == "the lock's event could not be stored"


def outcome(act: Callable[[], object]) -> str:
    try:
        act()
    except (Refusal, LockLost) as error:
        return error.code
    return "won"


def at_once(*acts: Callable[[], object]) -> list[str]:
    barrier = threading.Barrier(len(acts))
    outcomes: list[str] = [""] * len(acts)

    def run(place: int) -> None:
        barrier.wait()
        outcomes[place] = outcome(acts[place])

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.clause("P3", "T2")
def test_of_twenty_workers_one_gets_the_lock(kind: Kind, store: Store) -> None:
    for attempt in range(1, turns(kind, memory=10, file=10, server=2) + 1):
        held: list[Ledger] = []

        def race(me: int, attempt: int = attempt, held: list[Ledger] = held) -> None:
            held.append(take(store, attempt, f"run-{me}"))

        outcomes = at_once(*(partial(race, me) for me in range(20)))
        assert sorted(outcomes) == ["LOCKED"] * 19 + ["won"]
        assert read_attempts(store, JOB)[-1].events[0].envelope.run_id == held[0].run_id
        release(held[0], RESULT)


def test_of_retire_and_acquire_at_once_one_wins(kind: Kind) -> None:
    ends = set()
    for _ in range(turns(kind, memory=150, file=20, server=3)):
        store = registered(kind.new())
        outcomes = tuple(at_once(partial(take, store), partial(retire, store, JOB, "x", OPERATOR)))
        assert outcomes in (("won", "LOCKED"), ("JOB_RETIRED", "won"))
        assert [a.problems for a in read_attempts(store, JOB)] == [()]
        ends.add(outcomes)
    assert ends


def test_unlock_of_a_writing_worker_leaves_one_end_and_no_gap(kind: Kind) -> None:
    for turn in range(turns(kind, memory=100, file=20, server=4)):
        store = registered(kind.new())
        ledger = take(store)

        def work(ledger: Ledger = ledger, clips: int = turn % 5) -> None:
            for clip in range(clips):
                ledger.append("clip.started", {"clip": clip})
            release(ledger, RESULT)

        outcomes = at_once(work, partial(unlock, store, JOB, "x", OPERATOR))
        assert outcomes in (["won", "NOT_LOCKED"], ["LOCK_LOST", "won"])
        (attempt,) = read_attempts(store, JOB)
        assert attempt.problems == () and isinstance(attempt.state, Closed)
        assert attempt.state.last.type == ("lock.released" if outcomes[0] == "won" else "unlocked")


HOLDER = """
import sys
from pathlib import Path
from proxx.contracts.errors import Refusal
from proxx.contracts.event import this_worker
from proxx.store.lock import acquire, release
from proxx.store.opening import FileStore
store, job = FileStore(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for attempt in range(1, 31):
    while True:
        try:
            ledger = acquire(store, job, attempt, this_worker(), sys.argv[3])
        except Refusal as error:
            if error.code == "ATTEMPT_CLOSED":
                break
            assert error.code in ("LOCKED", "ATTEMPT_OUT_OF_ORDER"), error
        else:
            for clip in range(2):
                ledger.append("clip.started", {"clip": clip})
            release(ledger, {"status": "COMPLETED", "clips": []})
            break
"""


@pytest.mark.clause("P3", "T1")
@pytest.mark.clause("A6", "T7", lead=True)
def test_of_processes_that_share_only_a_folder_one_holds_each_attempt(tmp_path: Path) -> None:
    """Three processes that share only a folder take 30 attempts: each attempt belongs to one process."""
    store = registered(FileStore(tmp_path))
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), JOB, f"run-{me}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me in range(3)
    ]
    for holder in holders:
        assert holder.stdout and holder.stdout.readline() == "ready\n"
    for holder in holders:
        assert holder.stdin
        holder.stdin.write("go\n")
        holder.stdin.flush()
    assert [holder.communicate(timeout=120)[1] for holder in holders] == [""] * 3
    attempts = read_attempts(store, JOB)
    assert len(attempts) == 30
    for attempt in attempts:
        assert isinstance(attempt.state, Closed)
        assert len({(event.envelope.worker, event.envelope.run_id) for event in attempt.events}) == 1
