"""`status`, `history`, `unlock`, `retire`; which job and which store their arguments name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from proxx.contracts.errors import FormatMismatch
from proxx.contracts.event import Worker, stamp
from proxx.contracts.job import JobContent, JobSpec, seal, spec_bytes
from proxx.contracts.result import ClipCompleted, make_result
from proxx.store.base import Store
from proxx.store.lock import acquire, release
from proxx.store.opening import initialize_store
from proxx.store.registration import record_refusal, register
from tests.cli.command import call
from tests.objects.ground import Ground
from tests.support.results import AnyClip, completed, envelope, failed
from tests.support.specs import clip, job, profile, toolchain

HOSTILE = "\x1b[31mA\n001"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(ground: Ground) -> Store:
    """The store that commands find in their environment: a folder or a bucket."""
    created = ground.store()
    initialize_store(created)
    return created


def put(store: Store, spec: JobSpec) -> str:
    """Registers the job and returns its id."""
    outputs = [output.uri for clip in spec.clips for output in clip.outputs]
    register(store, spec_bytes(spec), spec.job_id, outputs, stamp(worker(), "registrar"))
    return spec.job_id


def worker() -> Worker:
    return Worker(host="edit7\x1b[2J", pid=4711, user="otto")


def hold(store: Store, job_id: str, attempt: int = 1) -> None:
    acquire(store, job_id, attempt, worker(), "run-1").append("clip.started", {"clip": 0, "source": f"/m/{HOSTILE}"})


def finish(store: Store, job_id: str, *clips: AnyClip) -> None:
    ledger = acquire(store, job_id, 1, worker(), "run-1")
    for each in clips:
        if isinstance(each, ClipCompleted):
            ledger.append("clip.completed", {"clip": each.index, "sha256": each.output_sha256, "frames": each.frames})
    release(ledger, make_result(job_id, 1, clips, None, envelope()).to_json())


def test_an_empty_store_has_no_jobs(store: Store, capsys: Capture) -> None:
    answer = call(capsys, "status")
    assert (answer.status, answer.out) == (0, f"No jobs in {store.uri}\n")
    assert call(capsys, "status", "--json").json == {"store": store.uri, "jobs": []}


def test_a_store_that_does_not_exist_is_named(tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "nostore"
    for words in (
        ("status",),
        ("status", "--since", "2026-01-31"),
        ("history", "--all"),
        ("reproduce", "--all"),
        ("reproduce", "--all", "--with-toolchain", "static"),
    ):
        answer = call(capsys, "--store", place, *words)
        assert (answer.status, answer.out) == (0, f"There is no store at {place.as_uri()} yet.\n")
    assert call(capsys, "--store", place, "status", "--json").json == {"store": place.as_uri(), "jobs": []}
    assert call(capsys, "--store", place, "reproduce", "--all", "--json").json["jobs"] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.clause("I6")
def test_every_state_is_shown(store: Store, capsys: Capture) -> None:
    job_id = put(store, job())
    shown = []
    shown.append(call(capsys, "status").out)
    hold(store, job_id)
    shown.append(call(capsys, "status").out)
    assert call(capsys, "unlock", job_id, "--reason", "power cut", "--worker-is-dead").status == 0
    shown.append(call(capsys, "status").out)
    assert call(capsys, "retire", job_id, "--reason", "wrong card").status == 0
    shown.append(call(capsys, "status").out)
    for state, text in zip(("REGISTERED", "HELD", "UNLOCKED", "RETIRED"), shown, strict=True):
        assert job_id[:12] in text
        assert state in text
        assert "\x1b" not in text
    assert "otto@edit7\\x1b[2J process 4711" in shown[1]
    assert "power cut" in shown[2]
    assert "wrong card" in shown[3]


def test_one_job_is_shown_in_full(store: Store, capsys: Capture) -> None:
    job_id = put(store, job(2))
    finish(store, job_id, completed(0), failed(1))
    record_refusal(store, job_id, FormatMismatch(message=HOSTILE), stamp(worker(), "run-2"), 2)
    answer = call(capsys, "status", job_id, "--store", store.uri)
    assert answer.status == 0
    assert job_id in answer.out
    assert "FRAMES_MISMATCH" in answer.out
    assert "attempt 2: FORMAT_MISMATCH: \\x1b[31mA\\n001" in answer.out
    assert "proxx run SPEC --attempt 2" in answer.out
    data = call(capsys, "status", job_id, "--json", "--store", store.uri).json
    assert (data["job_id"], data["state"], data["attempts"][0]["code"]) == (job_id, "FAILED", "FRAMES_MISMATCH")


def test_a_held_job_shows_its_worker_since_when_and_how_to_unlock_it(store: Store, capsys: Capture) -> None:
    job_id = put(store, job())
    hold(store, job_id)
    shown = call(capsys, "status", job_id, "--store", store.uri).out
    assert "HELD by otto@edit7\\x1b[2J process 4711 since 20" in shown
    assert "--worker-is-dead" in shown


@pytest.mark.clause("V5")
def test_history_shows_every_event(store: Store, capsys: Capture) -> None:
    job_id = put(store, job(2))
    hold(store, job_id)
    call(capsys, "unlock", job_id, "--reason", HOSTILE, "--worker-is-dead", "--store", store.uri)
    answer = call(capsys, "history", job_id, "--store", store.uri)
    assert answer.status == 0
    for words in (
        "lock.acquired",
        "clip.started      clip 1 \\x1b[31mA\\n001",
        "unlocked",
        "\\x1b[31mA\\n001 (by",
    ):
        assert words in answer.out
    assert "\x1b" not in answer.out
    data = call(capsys, "history", job_id, "--json", "--store", store.uri).json
    assert [entry["type"] for entry in data["entries"]] == ["lock.acquired", "clip.started", "unlocked"]
    hold(store, job_id, 2)
    assert "attempt 2 is open" in call(capsys, "history", job_id, "--store", store.uri).out


def test_history_shows_how_an_attempt_ended(store: Store, capsys: Capture) -> None:
    job_id = put(store, job(2))
    finish(store, job_id, completed(0), failed(1))
    shown = call(capsys, "history", job_id, "--store", store.uri).out
    assert "clip 1: 25 frames" in shown
    assert "FAILED: 1 of 2 clips" in shown


def test_unlock_needs_a_reason_and_confirmation(store: Store, capsys: Capture) -> None:
    job_id = put(store, job())
    hold(store, job_id)
    answer = call(capsys, "unlock", job_id, "--reason", "x", "--store", store.uri)
    assert answer.status == 2
    assert "LOCK_LOST" in answer.err
    assert "HELD" in call(capsys, "status", "--store", store.uri).out
    assert call(capsys, "unlock", job_id, "--worker-is-dead", "--store", store.uri).status == 2  # no reason
    assert call(capsys, "unlock", job_id, "--reason", " ", "--worker-is-dead", "--store", store.uri).status == 2


def test_a_job_that_cannot_be_unlocked_or_retired_is_exit_status_4(store: Store, capsys: Capture) -> None:
    job_id = put(store, job())
    dead = ("--reason", "x", "--worker-is-dead", "--store", store.uri, "--json")
    assert call(capsys, "unlock", job_id, *dead).code == "NOT_LOCKED"
    hold(store, job_id)
    answer = call(capsys, "retire", job_id, "--reason", "x", "--store", store.uri, "--json")
    assert (answer.status, answer.code) == (4, "LOCKED")
    assert answer.json["error"]["run_id"] == "run-1"
    unlocked = call(capsys, "unlock", job_id, *dead)
    assert unlocked.json == {"job_id": job_id, "attempt": 1, "state": "UNLOCKED", "next_attempt": 2}
    assert call(capsys, "retire", job_id, "--reason", "x", "--store", store.uri, "--json").json["attempt"] == 2
    again = call(capsys, "retire", job_id, "--reason", "x", "--store", store.uri, "--json")
    assert (again.status, again.code) == (4, "JOB_RETIRED")


# --- which job and which store ------------------------------------------------------------------------------


def named(name: str) -> JobSpec:
    """A job of this name, with outputs that no other job has."""
    return seal(
        JobContent(
            schema_="proxx.job/1",
            name=name,
            profile=profile(),
            toolchain=toolchain(),
            clips=(clip(output=f"/proxies/{name}.mov"),),
            left_out=(),
        )
    )


def test_a_job_is_named_by_its_id_its_beginning_or_its_spec(store: Store, tmp_path: Path, capsys: Capture) -> None:
    specs = [named(f"n{number}") for number in range(17)]  # more than 16, so two ids share their first digit
    ids = sorted(put(store, spec) for spec in specs)
    twin = next(first for first, second in pairwise(ids) if first[0] == second[0])
    for argument in (twin, twin[:12]):
        assert call(capsys, "status", argument, "--json", "--store", store.uri).json["job_id"] == twin
    unclear = call(capsys, "status", twin[0], "--json", "--store", store.uri)
    assert (unclear.status, unclear.code) == (3, "JOB_UNKNOWN")
    assert "begin with" in unclear.json["error"]["message"]
    file = tmp_path / "abc"
    file.write_bytes(spec_bytes(specs[0]))
    assert call(capsys, "history", file, "--json", "--store", store.uri).json["job_id"] == specs[0].job_id


@pytest.mark.parametrize(
    ("ground", "argument"),
    [
        *(("file", argument) for argument in ("0" * 64, "zz", "", "/nowhere/x.json", "../../etc", "\x1b[2J")),
        *((kind, "0" * 64) for kind in ("moto", "rgw")),  # the only argument for which the store is read
    ],
    indirect=["ground"],
)
def test_an_unknown_job_is_exit_status_3(argument: str, store: Store, capsys: Capture) -> None:
    put(store, job())
    answer = call(capsys, "history", argument, "--store", store.uri)
    assert answer.status == 3
    assert "JOB_UNKNOWN" in answer.err
    assert "\x1b" not in answer.err


def test_which_store_is_used(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PROXX_STORE", raising=False)

    def uri(*args: object) -> str:
        return str(call(capsys, *args, "--json").json["store"])

    assert uri("status") == (tmp_path / ".proxx/store").as_uri()
    assert list(tmp_path.iterdir()) == []  # reading creates no folder
    monkeypatch.setenv("PROXX_STORE", str(tmp_path / "variable"))
    assert uri("status") == (tmp_path / "variable").as_uri()
    assert uri("--store", tmp_path / "before", "status") == (tmp_path / "before").as_uri()
    assert (
        uri("--store", tmp_path / "before", "status", "--store", tmp_path / "after") == (tmp_path / "after").as_uri()
    )
    monkeypatch.setenv("PROXX_STORE", "")
    assert call(capsys, "status").status == 6  # an empty variable is a mistake and does not mean the default
