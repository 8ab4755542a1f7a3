"""The past rebuilt after everything but the events was deleted: real jobs that ended in every way."""

from __future__ import annotations

import hashlib
import json
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from proxx.contracts.canonical import Json, pretty_bytes, read_json
from proxx.contracts.event import Worker, stamp
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.store import replay
from proxx.store.base import MemoryStore
from proxx.store.file import FileStore
from proxx.store.keys import claim_digest, event_key, parse, result_key
from proxx.store.lock import acquire, release, retire, unlock
from proxx.store.opening import initialize_store, open_store
from proxx.store.registration import register
from proxx.store.status import State
from tests.cli.command import Answer, call, proxx
from tests.faults.test_kill import Stage
from tests.support.jobs import create, half_second, make_job, write_spec
from tests.support.results import JOB, completed, failed, not_run, result

DIT: Final = Worker(host="cart-2", pid=7, user="dit")
OPERATOR: Final = Worker(host="desk", pid=1, user="op")


@dataclass(frozen=True)
class Fleet:
    """A store with many jobs, and a second one that holds a copy of its events and nothing else."""

    root: Path
    jobs: dict[str, JobSpec]

    @property
    def full(self) -> FileStore:
        return FileStore(self.root / "store")

    @property
    def bare(self) -> FileStore:
        return FileStore(self.root / "events-only")

    def id(self, name: str) -> str:
        return self.jobs[name].job_id

    def story(self, name: str) -> replay.JobStory:
        return next(job for job in self.rebuilt() if job.job_id == self.id(name))

    def rebuilt(self) -> tuple[replay.JobStory, ...]:
        return tuple(replay.stories(self.bare))

    def places(self) -> dict[str, replay.OutputStory]:
        return {place.output: place for place in replay.outputs(self.rebuilt())}


def run(root: Path, job: JobSpec, attempt: int, expected: int, fault: str = "none") -> None:
    stage = Stage(root, write_spec(job, root / f"{job.job_id}.json"), job)
    code, output = stage.run(attempt, fault)
    assert code == expected, output


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Jobs: good; failed, then completed; killed; unlocked, then completed; retired and replaced; waiting."""
    root = tmp_path_factory.mktemp("fleet")
    full = FileStore(root / "store")
    card = root / "card"
    card.mkdir()
    sources = tuple(card / f"clip{index}.mov" for index in range(2))
    for index, path in enumerate(sources):
        path.write_bytes(half_second(path.name, f"01:00:0{index}:00").read_bytes())
    jobs = {
        name: make_job(root / "proxies" / name, "prores_proxy_half", clips=2)
        for name in ("good", "killed", "unlocked", "first", "waiting")
    }
    jobs["repaired"] = create(sources, root / "proxies" / "repaired", "h264_review_mp4")
    jobs["next"] = make_job(root / "proxies" / "first", "prores_proxy_half", clips=2, name="next")

    run(root, jobs["good"], 1, 0)
    run(root, jobs["good"], 2, 0)
    hidden = sources[1].rename(card / "hidden")
    run(root, jobs["repaired"], 1, 1)
    hidden.rename(sources[1])
    run(root, jobs["repaired"], 2, 0)
    run(root, jobs["killed"], 1, -signal.SIGKILL, "after:5")
    run(root, jobs["unlocked"], 1, -signal.SIGKILL, "progress")
    unlock(full, jobs["unlocked"].job_id, "power cut", OPERATOR)
    run(root, jobs["unlocked"], 2, 0)
    run(root, jobs["first"], 1, 0)
    retire(full, jobs["first"].job_id, "wrong card", OPERATOR)
    run(root, jobs["next"], 1, 1)  # the retired job's proxies are in the way
    waiting = jobs["waiting"]
    places = [output.uri for clip in waiting.clips for output in clip.outputs]
    register(full, spec_bytes(waiting), waiting.job_id, places, stamp(DIT, "r"))

    fleet = Fleet(root, jobs)
    for key in full.list(""):
        if (named := parse(key)) and named.kind == "event":
            fleet.bare.create(key, full.read(key) or b"")
    return fleet


def answer(store: FileStore, *verb: str) -> Any:  # noqa: ANN401  (JSON)
    output = proxx(*verb, "--json", "--store", store.root)
    assert output.status == 0, output
    return output.json


def begun(fleet: Fleet) -> list[str]:
    return sorted(job.job_id for name, job in fleet.jobs.items() if name != "waiting")


@pytest.mark.clause("V5", lead=True)
def test_every_result_is_rebuilt_from_the_events_byte_for_byte(fleet: Fleet) -> None:
    """Only the event objects of a store are copied: each result.json is rebuilt from them, of failed jobs too."""
    kinds = {named.kind for key in fleet.bare.list("") if (named := parse(key))}
    assert kinds == {"event"}, "the copy holds more than events"
    rebuilt = {
        result_key(job.job_id, attempt.status.attempt): pretty_bytes(attempt.result.to_json())
        for job in fleet.rebuilt()
        for attempt in job.attempts
        if attempt.result is not None
    }
    recorded = {key: fleet.full.read(key) for key in fleet.full.list("jobs/") if key.endswith("/result.json")}
    assert rebuilt == recorded
    ends = sorted(json.loads(data)["status"] for data in rebuilt.values())
    assert ends == ["COMPLETED"] * 5 + ["FAILED"] * 2


@pytest.mark.clause("V5", "I6")
def test_status_and_history_equal_those_rebuilt_from_the_events(fleet: Fleet) -> None:
    rebuilt = {job.job_id: job for job in fleet.rebuilt()}
    assert sorted(rebuilt) == begun(fleet)
    status = {job["job_id"]: job for job in answer(fleet.full, "status")["jobs"]}
    assert status.pop(fleet.id("waiting"))["state"] == "REGISTERED"  # it never began, so it has no events
    for job_id in status:
        shown = answer(fleet.full, "status", job_id)
        assert rebuilt[job_id].state == status[job_id]["state"] == shown["state"]
        assert [attempt.status.to_json() for attempt in rebuilt[job_id].attempts] == shown["attempts"]
        full = answer(fleet.full, "history", job_id)
        assert [entry.to_json() for entry in rebuilt[job_id].entries] == full["entries"]
        assert rebuilt[job_id].problems == tuple(full["problems"]) == ()
    states = {name: rebuilt[job.job_id].state for name, job in fleet.jobs.items() if name != "waiting"}
    assert states == {
        "good": "COMPLETED",
        "repaired": "COMPLETED",
        "killed": "HELD",
        "unlocked": "COMPLETED",
        "first": "RETIRED",
        "next": "FAILED",
    }


@pytest.mark.clause("V5")
def test_owners_of_outputs_and_published_bytes(fleet: Fleet) -> None:
    places = fleet.places()
    claims = {
        (claim.name, claim.number): read_json(fleet.full.read(key) or b"")
        for key in fleet.full.list("claims/")
        if (claim := parse(key))
    }
    outputs = {clip.outputs[0].uri for name, job in fleet.jobs.items() if name != "waiting" for clip in job.clips}
    never_announced = fleet.jobs["killed"].clips[1].outputs[0].uri  # its worker was killed before
    assert set(places) == outputs - {never_announced}
    for output, place in places.items():
        generations = sorted(number for digest, number in claims if digest == claim_digest(output))
        owner = claims[claim_digest(output), generations[-1]]
        assert isinstance(owner, dict)
        assert place.owners == (owner["job_id"],)
        assert len(place.former) == len(generations) - 1
        published = (
            "sha256:" + hashlib.sha256(Path(output).read_bytes()).hexdigest() if Path(output).exists() else None
        )
        assert {entry.sha256 for entry in place.published if entry.step == "clip.completed"} == ({published} - {None})
    first = [clip.outputs[0].uri for clip in fleet.jobs["first"].clips]
    assert {places[output].former for output in first} == {(fleet.id("first"),)}


@pytest.mark.clause("V5", "V2")
def test_what_a_killed_worker_had_made(fleet: Fleet) -> None:
    (killed,) = fleet.story("killed").attempts
    assert (killed.status.state, killed.result) == (State.HELD, None)
    assert [(clip.clip, clip.step) for clip in killed.clips] == [(0, "clip.completed"), (1, "clip.started")]
    made = fleet.jobs["killed"].clips[0].outputs[0].uri
    assert killed.clips[0].sha256 == "sha256:" + hashlib.sha256(Path(made).read_bytes()).hexdigest()
    first, second = fleet.story("unlocked").attempts
    assert (first.status.state, first.status.reason, first.result) == (State.UNLOCKED, "power cut", None)
    assert [(clip.clip, clip.step) for clip in first.clips] == [(0, "clip.started")]
    assert second.result is not None
    failed_first = fleet.story("repaired").attempts[0]
    assert [(clip.step, clip.code) for clip in failed_first.clips] == [
        ("clip.completed", None),
        ("clip.failed", "SOURCE_MISSING"),
    ]


@pytest.mark.clause("V5")
@pytest.mark.clause("A7", lead=True)
def test_the_timeline_of_all_jobs(fleet: Fleet) -> None:
    """Every event of every job is listed once, by time, with its worker; events alone give the same list."""
    full = answer(fleet.full, "history", "--all")
    bare = answer(fleet.bare, "history", "--all")
    assert (full.pop("store"), bare.pop("store")) == (fleet.full.uri, fleet.bare.uri)
    assert full == bare
    assert len(full["entries"]) == len(fleet.bare.list("")) > 30
    times = [entry["time"] for entry in full["entries"]]
    assert times == sorted(times)
    assert {job["job_id"] for job in full["jobs"]} == {entry["job_id"] for entry in full["entries"]}
    assert sorted(job["job_id"] for job in full["jobs"]) == begun(fleet)

    output = proxx("history", "--all", "--store", fleet.bare.root)
    assert output.status == 0
    head, *rows = output.out.split("\n\n")[0].splitlines()
    assert head.split()[0] == "TIME"
    assert len(rows) == len(full["entries"])
    for row, entry in zip(rows, full["entries"], strict=True):
        worker = entry["worker"]
        assert f"{entry['job_id'][:12]} {entry['attempt']} " in row
        assert entry["type"] in row
        assert f"{worker['user']}@{worker['host']} process {worker['pid']}" in row
    assert f"{fleet.id('killed')[:12]} attempt 1 is open: its worker is running or has died" in output.out


# --- without real jobs ------------------------------------------------------------------------------------


def attempt_on(day: int, store: MemoryStore | FileStore, job_id: str, *, ends: bool = True) -> None:
    """Registers a job and takes its attempt on that day of January."""
    register(store, b"{}", job_id, [f"/p/{job_id}.mov"], stamp(DIT, "r"))
    ledger = acquire(store, job_id, 1, DIT, "run-1", clock=lambda: datetime(2026, 1, day, 12, tzinfo=UTC))
    ledger.append("clip.started", {"clip": 0, "source": "/m/\x1b[31mA.mov"})
    if ends:
        release(ledger, result(completed(0)).to_json())


def events(store: MemoryStore) -> dict[str, bytes]:
    return {key: store.read(key) or b"" for key in store.list("")}


def test_the_timeline_is_in_order_of_time_and_since_cuts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FileStore(tmp_path / "store")
    initialize_store(store)
    attempt_on(3, store, "aa" * 32)
    attempt_on(2, store, "bb" * 32)
    attempt_on(1, store, "cc" * 32, ends=False)

    def history(*args: str) -> Answer:
        return call(capsys, "history", "--all", *args, "--store", store.root)

    whole = history()
    assert [line.split()[2][:2] for line in whole.out.splitlines()[1:9]] == ["cc"] * 2 + ["bb"] * 3 + ["aa"] * 3
    assert "clip 1 \\x1b[31mA.mov" in whole.out
    assert "\x1b" not in whole.out
    assert "cccccccccccc attempt 1 is open" in whole.out
    assert len(history("--since", "2026-01-02").out.split("\n\n")[0].splitlines()) == 7
    later = history("--since", "2026-01-03", "--json").json
    assert {entry["job_id"][:2] for entry in later["entries"]} == {"aa"}
    assert [job["job_id"][:2] for job in later["jobs"]] == ["aa"]
    assert later["since"] == "2026-01-03"
    assert history("--since", "2026-01-04").out.startswith(f"No events in {store.uri} since 2026-01-04\n")


@pytest.mark.parametrize("args", [(), ("aa", "--all"), ("aa", "--since", "2026-01-01"), ("--all", "--since", "x")])
def test_all_and_since_do_not_go_with_one_job(
    args: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "history", *args, "--store", tmp_path / "store").status == 2


def test_a_store_without_events_has_an_empty_timeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(str(tmp_path / "store"))
    initialize_store(store)
    output = call(capsys, "history", "--all", "--store", tmp_path / "store")
    assert (output.status, output.out) == (0, f"No events in {store.uri}\n")
    assert replay.rebuild({}) == ()


def test_a_clock_that_was_set_back_does_not_change_the_order_of_events() -> None:
    store = MemoryStore()
    register(store, b"{}", JOB, ["/p/a"], stamp(DIT, "r"))
    hours = iter((12, 12, 11, 13))  # the index key takes the first
    ledger = acquire(store, JOB, 1, DIT, "r", clock=lambda: datetime(2026, 1, 1, next(hours), tzinfo=UTC))
    ledger.append("clip.started", {"clip": 0})
    ledger.append("clip.failed", {"clip": 0})
    lines = replay.timeline(replay.rebuild(events(store)))
    assert [line.entry.number for line in lines] == [1, 2, 3]
    assert [line.entry.time[11:13] for line in lines] == ["12", "11", "13"]


def test_a_missing_event_is_named_and_the_result_is_still_rebuilt() -> None:
    store = MemoryStore()
    attempt_on(1, store, JOB)
    kept = events(store)
    del kept[event_key(JOB, 1, 2)]
    (job,) = replay.rebuild(kept)
    assert (job.state, job.problems) == (State.DAMAGED, ("attempt 1 event 2 is missing",))
    assert job.attempts[0].result == result(completed(0))


def test_a_missing_last_event_is_named_if_there_is_a_next_attempt() -> None:
    store = MemoryStore()
    attempt_on(1, store, JOB)
    acquire(store, JOB, 2, DIT, "run-2")
    kept = events(store)
    del kept[event_key(JOB, 1, 3)]
    (job,) = replay.rebuild(kept)
    assert job.problems == ("attempt 1: its last event is missing",)


@pytest.mark.parametrize(
    "core",
    [
        {"status": "COMPLETED"},
        {**result(completed(0)).to_json(), "schema": "proxx.result/2"},
        {**result(failed(0)).to_json(), "status": "COMPLETED"},
    ],
)
def test_a_result_that_cannot_be_read_is_named(core: dict[str, Json]) -> None:
    store = MemoryStore()
    register(store, b"{}", JOB, ["/p/a"], stamp(DIT, "r"))
    release(acquire(store, JOB, 1, DIT, "r"), core)
    (job,) = replay.rebuild(events(store))
    assert job.attempts[0].result is None
    assert job.problems == ("attempt 1: its result cannot be read",)


def test_outputs_of_clips_that_did_not_run_belong_to_the_job() -> None:
    store = MemoryStore()
    register(store, b"{}", JOB, ["/p/a"], stamp(DIT, "r"))
    stopped = failed(0).failure
    release(acquire(store, JOB, 1, DIT, "r"), result(failed(0), not_run(1), stopped=stopped).to_json())
    outputs = replay.outputs(replay.rebuild(events(store)))
    assert [(place.output, place.owners, place.published) for place in outputs] == [
        ("/proxies/A000.mov", (JOB,), ()),
        ("/proxies/A001.mov", (JOB,), ()),
    ]
