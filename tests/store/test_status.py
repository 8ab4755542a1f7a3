"""Status and history: every state is read from the store alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proxx.contracts.canonical import Json
from proxx.contracts.errors import JobUnknown, Locked, StoreUnavailable
from proxx.contracts.event import Worker, stamp
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.keys import event_key
from proxx.store.ledger import Ledger
from proxx.store.listing import list_jobs
from proxx.store.lock import acquire, release, retire, unlock
from proxx.store.registration import record_refusal, register
from proxx.store.status import State, job_history, job_status
from tests.objects.kinds import Kind, NewStore

JOB = "ab" * 32
DIT = Worker(host="cart-2", pid=7, user="dit")
OPERATOR = Worker(host="desk", pid=1, user="op")
DONE: dict[str, Json] = {
    "status": "COMPLETED",
    "fingerprint": "f" * 64,
    "clips": [{"failure": None}],
    "stopped": None,
}
FAILED: dict[str, Json] = {
    "status": "FAILED",
    "fingerprint": "e" * 64,
    "clips": [
        {"failure": None},
        {"failure": {"code": "DECODE_FAILED", "message": "m"}},
        {"failure": {"code": "DISK_FULL"}},
    ],
    "stopped": {"code": "DISK_FULL"},
}
STOPPED: dict[str, Json] = {"status": "FAILED", "clips": [{"failure": None}], "stopped": {"code": "INTERRUPTED"}}


def enter(store: Store, job_id: str = JOB) -> None:
    register(store, b"{}", job_id, [f"/p/{job_id}.mov"], stamp(DIT, "reg"))


def take(store: Store, attempt: int = 1) -> Ledger:
    enter(store)
    return acquire(store, JOB, attempt, DIT, f"run-{attempt}")


def half_registered(store: Store) -> None:
    store.create(f"jobs/{JOB}/spec.json", b"{}")


def failed(store: Store) -> None:
    release(take(store), FAILED)


def failed_then_done(store: Store) -> None:
    failed(store)
    release(take(store, 2), DONE)


def unlocked(store: Store) -> None:
    take(store)
    unlock(store, JOB, "power cut", OPERATOR)


def retired(store: Store) -> None:
    failed(store)
    retire(store, JOB, "wrong profile", OPERATOR)


def retired_unregistered(store: Store) -> None:
    half_registered(store)
    retire(store, JOB, "not needed", OPERATOR)


def damaged(store: Store) -> None:
    enter(store)
    store.create(event_key(JOB, 1, 1), b"{")


def only_refused(store: Store) -> None:
    record_refusal(store, JOB, Locked(message="m"), stamp(DIT, "r"), 1)


@pytest.mark.clause("V2")
@pytest.mark.clause("I6", lead=True)
@pytest.mark.parametrize(
    ("story", "state", "code", "attempts"),
    [
        (half_registered, "UNREGISTERED", None, 0),
        (only_refused, "UNREGISTERED", None, 0),
        (enter, "REGISTERED", None, 0),
        (take, "HELD", None, 1),
        (failed, "FAILED", "DECODE_FAILED", 1),
        (lambda store: release(take(store), STOPPED), "FAILED", "INTERRUPTED", 1),
        (lambda store: release(take(store), {}), "FAILED", None, 1),
        (failed_then_done, "COMPLETED", None, 2),
        (unlocked, "UNLOCKED", None, 1),
        (retired, "RETIRED", None, 2),
        (retired_unregistered, "RETIRED", None, 1),
        (damaged, "DAMAGED", None, 1),
    ],
)
def test_every_state(
    store: Store, story: Callable[[Store], object], state: str, code: str | None, attempts: int
) -> None:
    """Each state is produced, and read back from the store alone."""
    story(store)
    before = store.list("")
    status = job_status(store, JOB)
    assert (status.state, len(status.attempts)) == (state, attempts)
    assert (status.latest.code if status.latest else None) == code
    (listed,) = list_jobs(store)
    assert (listed.job_id, listed.state, len(listed.attempts)) == (JOB, state, attempts)
    assert (listed.latest.code if listed.latest else None) == code
    assert listed.brief or listed == status
    assert store.list("") == before  # reading changes nothing
    json.dumps(status.to_json())


def test_the_status_of_a_held_job(store: Store) -> None:
    ledger = take(store)
    ledger.append("clip.started", {"clip": 0})
    status = job_status(store, JOB)
    assert status.registered and status.outputs == (f"/p/{JOB}.mov",) and status.registered_at
    assert status.latest
    assert (status.latest.worker, status.latest.run_id, status.latest.events) == (DIT, "run-1", 2)
    assert status.latest.since and status.latest.ended is None


def test_the_status_of_ended_attempts(store: Store) -> None:
    failed_then_done(store)
    take(store, 3)
    unlock(store, JOB, "power cut", OPERATOR)
    retire(store, JOB, "enough", OPERATOR)
    one, two, three, four = job_status(store, JOB).attempts
    assert (one.state, one.code, one.fingerprint) == (State.FAILED, "DECODE_FAILED", "e" * 64)
    assert (two.state, two.code, two.fingerprint, two.worker) == (State.COMPLETED, None, "f" * 64, DIT)
    assert (three.state, three.reason, three.worker, three.run_id) == (State.UNLOCKED, "power cut", DIT, "run-3")
    assert (four.state, four.reason, four.worker) == (State.RETIRED, "enough", OPERATOR)
    assert all(attempt.ended and attempt.since for attempt in (one, two, three, four))


def test_refusals_are_shown_in_order(store: Store) -> None:
    for text in ("one", "two"):
        record_refusal(store, JOB, StoreUnavailable(message=text), stamp(DIT, "r"), 1)
    status = job_status(store, JOB)
    assert [(refused.code, refused.message) for refused in status.refusals] == [
        ("STORE_UNAVAILABLE", "one"),
        ("STORE_UNAVAILABLE", "two"),
    ]


@pytest.mark.clause("V3", lead=True)
def test_a_damaged_job_is_named_and_hides_no_other(store: Store) -> None:
    """A job whose records are torn or gone is named with what is missing, and hides no other."""
    damaged(store)
    enter(store, "cd" * 32)
    store.create(f"jobs/{'ef' * 32}/registered.json", b"{")
    store.create(f"jobs/{'ef' * 32}/refusals/{'0' * 36}.json", b"{")
    torn, whole, headless = list_jobs(store)
    assert (torn.state, torn.problems) == (State.DAMAGED, ("attempt 1 event 1 cannot be read",))
    assert whole.state == State.REGISTERED
    assert headless.state == State.DAMAGED and headless.registered
    assert headless.problems == (
        f"refusal {'0' * 36} cannot be read",
        "spec.json is missing",
        "registered.json cannot be read",
    )


@pytest.mark.parametrize("job_id", ["cd" * 32, "", "../x", "no such job"])
def test_an_unknown_job_is_refused(job_id: str, kind: Kind, tmp_path: Path) -> None:
    for store in (kind.new(), kind.bare()):
        for ask in (job_status, job_history):
            with pytest.raises(JobUnknown) as caught:
                ask(store, job_id)
            assert (caught.value.code, caught.value.status) == ("JOB_UNKNOWN", 3)
        assert list(list_jobs(store)) == []
    assert kind.name != "file" or len(list(tmp_path.iterdir())) == 1  # a reader creates no store


def test_folders_left_by_a_killed_writer_are_not_a_job(tmp_path: Path) -> None:
    (tmp_path / "jobs" / JOB / "attempts" / "0001" / "events").mkdir(parents=True)
    assert list(list_jobs(FileStore(tmp_path))) == []


@pytest.mark.clause("V5")
def test_the_history_needs_only_the_events(new_store: NewStore) -> None:
    store = new_store()
    written: list[tuple[int, str, Json]] = []
    for attempt, result in ((1, FAILED), (2, DONE)):
        ledger = take(store, attempt)
        written.append((attempt, "lock.acquired", {"attempt": attempt, "job_id": JOB}))
        for clip in range(3):
            data: dict[str, Json] = {"clip": clip, "output": f"/p/{clip}.mov", "sha256": f"{attempt}{clip}"}
            for type_ in ("clip.started", "clip.publishing", "clip.completed"):
                ledger.append(type_, data, {"elapsed_ms": clip})
                written.append((attempt, type_, data))
        release(ledger, result)
        written.append((attempt, "lock.released", {"result": result}))
    retire(store, JOB, "enough", OPERATOR)
    written.append((3, "retired", {"reason": "enough"}))

    events_only = new_store()
    for key in store.list("jobs/"):
        if "/events/" in key:
            events_only.create(key, store.read(key) or b"")
    history = job_history(events_only, JOB)
    assert history == job_history(store, JOB) and history.problems == ()
    assert [(e.attempt, e.type, e.data) for e in history.entries] == written
    assert [e.worker for e in history.entries] == [DIT] * (len(written) - 1) + [OPERATOR]
    assert history.entries[1].notes == {"elapsed_ms": 0}
    assert job_status(events_only, JOB).attempts == job_status(store, JOB).attempts


def test_history_names_what_is_unreadable_and_has_the_rest(new_store: NewStore) -> None:
    store = new_store()
    ledger = take(store)
    ledger.append("clip.started", {"clip": 0})
    torn = new_store()
    for key in store.list(""):
        torn.create(key, b"{" if key.endswith("00001.json") else store.read(key) or b"")
    history = job_history(torn, JOB)
    assert [entry.type for entry in history.entries] == ["clip.started"]
    assert history.problems == ("attempt 1 event 1 cannot be read",)


def test_a_job_without_attempts_has_an_empty_history(store: Store) -> None:
    enter(store)
    assert job_history(store, JOB).entries == ()


@pytest.mark.clause("I6", "I7")
def test_a_fresh_process_sees_the_same(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    failed(store)
    take(store, 2)
    program = (
        "import json, sys; from proxx.store.opening import open_store\n"
        "from proxx.store.status import job_status, job_history\n"
        "store = open_store(sys.argv[1])\n"
        "print(json.dumps([f(store, sys.argv[2]).to_json() for f in (job_status, job_history)]))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, store.uri, JOB], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(output) == [
        json.loads(json.dumps(answer.to_json())) for answer in (job_status(store, JOB), job_history(store, JOB))
    ]
