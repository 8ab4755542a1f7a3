"""`proxx submit`: each job gets one run, however often and by how many it is submitted; refused jobs are named."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelled, Completed, Crashed, Failed, Running
from proxx_flows.common import api
from proxx_flows.common.reference import JobReference, idempotency_key

from proxx.contracts.errors import ToolchainMismatch
from proxx.contracts.event import Worker, stamp
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.result import make_result
from proxx.store.base import Store
from proxx.store.keys import spec_key
from proxx.store.lock import acquire, release, retire
from proxx.store.opening import initialize_store, store_identity
from proxx.store.registration import is_registered, record_refusal
from tests.cli.command import Answer, call, start
from tests.flows.deploy import deploy
from tests.flows.server import Server, free_port
from tests.flows.specs import spec_like, write_specs
from tests.flows.storage_area import KINDS, new_area, use_credentials
from tests.support.results import completed, envelope, failed

ME: Final = Worker(host="cart-2", pid=7, user="dit")
FRAMES: Final = "FRAMES_MISMATCH"
DEADLINE: Final = 120  # seconds


@dataclass(frozen=True)
class World:
    """A store of the test, the session's server, and a folder of specs."""

    server: Server
    store: Store
    specs: Path
    jobs: tuple[JobSpec, ...]
    capsys: pytest.CaptureFixture[str]

    def submit(self, *args: object, store: object = None) -> Answer:
        return call(self.capsys, "submit", "--json", "--store", store or self.store.uri, *args)

    def spec(self, index: int) -> Path:
        return self.specs / f"{index:03d}.json"

    def run_of(self, index: int, dispatch: int = 1, attempt: int = 1) -> api.PrefectRun:
        return self.runs(attempt)[index, dispatch]

    def runs(self, attempt: int = 1) -> dict[tuple[int, int], api.PrefectRun]:
        """Returns the runs by job index and dispatch."""
        known = store_identity(self.store)
        if known is None:
            return {}
        keys = {
            idempotency_key(
                JobReference(store="x", job_id=job.job_id, attempt=attempt, store_uuid=known.uuid), dispatch
            ): (index, dispatch)
            for index, job in enumerate(self.jobs)
            for dispatch in (1, 2, 3)
        }
        return {keys[key]: run for key, run in api.runs_by_keys(list(keys)).items()}

    def end(self, index: int, code: str | None, *, attempt: int = 1, run_id: str | None = None) -> None:
        """Ends the job's attempt as a worker does: COMPLETED, or FAILED with the code."""
        run = run_id or self.run_of(index, attempt=attempt).id
        ledger = acquire(self.store, self.jobs[index].job_id, attempt, ME, run)
        clip = completed() if code is None else failed()
        release(ledger, make_result(self.jobs[index].job_id, attempt, (clip,), None, envelope()).to_json())
        if api.get_run(run) is not None:  # otherwise it ran outside Prefect
            set_state(run, Completed() if code is None else Failed(message=code))


def set_state(run_id: str, state: Any) -> None:  # noqa: ANN401  (Prefect's)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(uuid.UUID(run_id), state, force=True)


@pytest.fixture(scope="module")
def deployed(server: Server) -> str:
    return deploy(server)


on_each_kind = pytest.mark.parametrize("world", KINDS, indirect=True)


@pytest.fixture
def world(
    prefect: Server,
    deployed: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> World:
    """On a folder; with `on_each_kind` on each kind of storage."""
    ground = use_credentials(new_area(getattr(request, "param", "file"), request, tmp_path), monkeypatch)
    jobs = write_specs(tmp_path / "specs", 3, tmp_path / "proxies")
    return World(prefect, ground.store, tmp_path / "specs", jobs, capsys)


def process(world: World, *args: object, **keywords: Any) -> subprocess.Popen[str]:  # noqa: ANN401
    """Starts `proxx submit` in a process of its own."""
    env = world.server.env(PYTHONPATH=str(Path(__file__).parents[3]), PROXX_STORE=world.store.uri)
    return start("submit", *args, **{"env": env, **keywords})


def codes(answer: Answer) -> list[str | None]:
    return [job["error"] and job["error"]["code"] for job in answer.json["jobs"]]


# --- one run for each job --------------------------------------------------------------------------------


@on_each_kind
def test_each_job_is_registered_and_has_one_run(world: World) -> None:
    first = world.submit(world.specs)
    known = store_identity(world.store)
    assert known is not None
    runs = world.runs()
    assert first.status == 0
    assert first.json == {
        "store": world.store.uri,
        "store_uuid": known.uuid,
        "deployment": "proxy-job/proxx",
        "complete": True,
        "jobs": [
            {
                "spec": str(world.spec(index)),
                "job_id": job.job_id,
                "attempt": 1,
                "dispatch": 1,
                "run_id": runs[index, 1].id,
                "created": True,
                "state": "Scheduled",
                "outcome": None,
                "error": None,
            }
            for index, job in enumerate(world.jobs)
        ],
        "error": None,
    }
    assert all(is_registered(world.store, job.job_id) for job in world.jobs)
    job, run = world.jobs[1], runs[1, 1]
    assert run.name == f"A001 · {job.job_id[:12]} · attempt 1"
    assert {"A001", "prores_proxy_half", f"job:{job.job_id[:12]}"} <= set(run.tags)
    reference = {"store": world.store.uri, "job_id": job.job_id, "attempt": 1, "store_uuid": known.uuid}
    assert run.parameters["reference"] == reference

    second = world.submit(world.specs)
    assert second.status == 0
    assert [(job["created"], job["run_id"]) for job in second.json["jobs"]] == [
        (False, runs[index, 1].id) for index in range(3)
    ]
    assert world.runs() == runs


def test_the_text_distinguishes_new_runs_from_earlier_ones(world: World) -> None:
    first = call(world.capsys, "submit", world.spec(0), "--store", world.store.uri)
    run = world.run_of(0).id
    name = f"A000: job {world.jobs[0].job_id[:12]}, attempt 1"
    assert first.out.splitlines()[:2] == [f"[1/1] {name}: submitted, run {run}", "1 job: 1 submitted."]
    second = call(world.capsys, "submit", world.spec(0), "--store", world.store.uri)
    assert second.out.splitlines()[:2] == [
        f"[1/1] {name}: was submitted before, run {run} (Scheduled)",
        "1 job: 1 submitted before.",
    ]
    assert (first.err, second.err, first.status, second.status) == ("", "", 0, 0)


@on_each_kind
def test_two_submissions_at_once_create_one_run_for_each_job(world: World) -> None:
    write_specs(world.specs, 10, world.specs.parent / "proxies")
    both = [process(world, world.specs, "--json") for _ in range(2)]
    outputs = [submission.communicate(timeout=DEADLINE) for submission in both]
    assert [submission.returncode for submission in both] == [0, 0], outputs
    first, second = (json.loads(out)["jobs"] for out, _ in outputs)
    assert [job["run_id"] for job in first] == [job["run_id"] for job in second]
    assert [one["created"] + other["created"] for one, other in zip(first, second, strict=True)] == [1] * 10
    assert len({job["run_id"] for job in first}) == 10


def test_a_submission_that_was_killed_can_be_repeated(world: World) -> None:
    write_specs(world.specs, 12, world.specs.parent / "proxies")
    killed = process(world, world.specs, "--wait", stdout=subprocess.PIPE)
    assert killed.stdout is not None
    before = [killed.stdout.readline() for _ in range(3)]
    killed.kill()
    killed.communicate(timeout=DEADLINE)
    assert killed.returncode == -signal.SIGKILL
    again = world.submit(world.specs)
    jobs = again.json["jobs"]
    assert (again.status, len(jobs), len({job["run_id"] for job in jobs})) == (0, 12, 12)
    for line, job in zip(before, jobs, strict=False):
        assert job["run_id"] in line
        assert not job["created"]
    assert all(is_registered(world.store, job["job_id"]) for job in jobs)


@pytest.mark.parametrize("name", ["\x1b[2J\x1b]0;owned\x07", "a\nb\x00c", "‮gpj", "{{ x }} ../../etc", "-x" * 100])
def test_a_hostile_job_name_is_harmless(world: World, name: str) -> None:
    job = spec_like(world.jobs[0], world.specs.parent / "proxies" / "other.mov", name)
    path = world.specs / "hostile\n\x1b[31m.json"
    path.write_bytes(spec_bytes(job))
    text = call(world.capsys, "submit", path, "--store", world.store.uri)
    assert (text.status, text.err) == (0, "")
    assert all(letter.isprintable() or letter == "\n" for letter in text.out)
    again = world.submit(path).json["jobs"][0]
    run = api.get_run(again["run_id"])
    assert run is not None
    assert (again["job_id"], again["created"], run.name.isprintable()) == (job.job_id, False, True)


@on_each_kind
def test_a_job_of_the_store_is_named_by_its_id(world: World) -> None:
    """Without a spec file: by the whole id, by its first digits, and together with spec files."""
    world.submit(world.specs)
    world.end(0, FRAMES)
    first, second = world.jobs[0].job_id, world.jobs[1].job_id
    answer = world.submit(first[:12], "--attempt", 2)
    assert (answer.status, list(world.runs(2))) == (0, [(0, 1)])
    submitted = answer.json["jobs"][0]
    assert (submitted["spec"], submitted["job_id"], submitted["run_id"]) == (
        None,
        first,
        world.run_of(0, attempt=2).id,
    )
    both = world.submit(second, world.spec(2))
    assert [(job["job_id"], job["created"]) for job in both.json["jobs"]] == [
        (second, False),
        (world.jobs[2].job_id, False),
    ]


def test_a_name_that_is_neither_a_file_nor_a_job_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.submit(world.spec(0))
    answer = world.submit(world.spec(1), "0123456789ab", "nowhere.json")
    assert (answer.status, answer.code, sorted(world.runs())) == (3, "SPEC_INVALID", [(0, 1)])
    problems = {problem["path"]: problem["code"] for problem in answer.json["error"]["problems"]}
    assert problems == {"0123456789ab": "JOB_UNKNOWN", "nowhere.json": "SPEC_INVALID"}
    monkeypatch.chdir(world.specs.parent)
    world.specs.rename("cafe")  # a file or folder takes precedence over a job id
    assert len(world.submit("cafe").json["jobs"]) == 3


# --- refused ---------------------------------------------------------------------------------------------


def test_one_bad_spec_stops_the_whole_submission(world: World) -> None:
    (world.specs / "bad.json").write_text("{}")
    edited = json.loads(world.spec(1).read_bytes())
    edited["name"] = "other"
    world.spec(1).write_text(json.dumps(edited))
    answer = world.submit(world.specs, world.specs.parent / "nowhere.json")
    assert (answer.status, answer.code) == (3, "SPEC_INVALID")
    assert answer.json["error"]["message"] == "3 of 5 specs cannot be used, so nothing was submitted."
    paths = [problem["path"].split(": ")[0] for problem in answer.json["error"]["problems"]]
    bad = (world.spec(1), world.specs / "bad.json", world.specs.parent / "nowhere.json")
    assert set(paths) == {str(path) for path in bad}
    assert store_identity(world.store) is None
    (world.specs.parent / "empty").mkdir()
    assert world.submit(world.specs.parent / "empty").code == "SPEC_INVALID"


@pytest.mark.clause("A2")
def test_a_job_with_another_jobs_output_is_refused_and_the_others_are_submitted(world: World) -> None:
    thief = spec_like(world.jobs[0], Path(world.jobs[1].clips[0].outputs[0].uri), "thief")
    (world.specs / "001b.json").write_bytes(spec_bytes(thief))
    answer = world.submit(world.specs)
    assert (answer.status, codes(answer)) == (4, [None, None, "OUTPUT_CLAIMED", None])
    assert answer.json["jobs"][2]["error"]["owner"] == world.jobs[1].job_id
    assert len(world.runs()) == 3
    text = call(world.capsys, "submit", world.specs / "001b.json", "--store", world.store.uri)
    assert (text.status, world.jobs[1].job_id in text.err) == (4, True)
    assert text.out == "1 job: 1 refused.\n"


def test_a_later_attempt_of_a_new_job_is_refused_and_the_job_is_not_registered(world: World) -> None:
    answer = world.submit(world.specs, "--attempt", 2)
    assert (answer.status, codes(answer)) == (4, ["ATTEMPT_OUT_OF_ORDER"] * 3)
    assert not any(is_registered(world.store, job.job_id) for job in world.jobs)
    assert world.runs(2) == {}


def test_a_job_retired_before_its_registration_was_complete_is_refused(world: World) -> None:
    initialize_store(world.store)
    world.store.create(spec_key(world.jobs[0].job_id), world.spec(0).read_bytes())
    retire(world.store, world.jobs[0].job_id, "not wanted", ME)
    answer = world.submit(world.spec(0))
    assert (answer.status, codes(answer), world.runs()) == (4, ["JOB_RETIRED"], {})


@on_each_kind
@pytest.mark.clause("P6", lead=True)
def test_an_attempt_that_another_took_is_refused_before_a_run_is_created(world: World) -> None:
    """An attempt that another run took or ended, or of a retired job, is refused before a flow run is created."""
    other = str(uuid.uuid4())
    world.submit(world.specs)  # registers
    store = world.store
    acquire(store, world.jobs[0].job_id, 1, ME, other)
    world.end(1, FRAMES, run_id=other)
    retire(store, world.jobs[2].job_id, "not wanted", ME)
    answer = world.submit(world.specs)
    assert (answer.status, codes(answer)) == (4, ["LOCKED", "ATTEMPT_CLOSED", "JOB_RETIRED"])
    locked = answer.json["jobs"][0]["error"]
    assert (locked["run_id"], locked["since"] > "2", "cart-2" in locked["detail"]) == (other, True, True)
    third = world.submit(world.specs, "--attempt", 3)
    assert codes(third) == ["ATTEMPT_OUT_OF_ORDER", "ATTEMPT_OUT_OF_ORDER", "JOB_RETIRED"]
    assert world.runs(3) == {}
    second = world.submit(world.specs, "--attempt", 2)
    assert codes(second) == ["ATTEMPT_OUT_OF_ORDER", None, "JOB_RETIRED"]
    assert list(world.runs(2)) == [(1, 1)]


def test_an_attempt_that_a_submitted_run_took_was_submitted_before(world: World) -> None:
    world.submit(world.specs)
    acquire(world.store, world.jobs[0].job_id, 1, ME, world.run_of(0).id)
    set_state(world.run_of(0).id, Running())
    world.end(1, FRAMES)
    world.end(2, None)
    answer = world.submit(world.specs)
    assert (answer.status, codes(answer)) == (0, [None, None, None])
    assert [job["state"] for job in answer.json["jobs"]] == ["Running", "Failed", "Completed"]
    again = world.submit(world.specs, "--again")
    assert (again.status, codes(again)) == (4, ["LOCKED", "ATTEMPT_CLOSED", "ATTEMPT_CLOSED"])
    closed = again.json["jobs"][1]["error"]
    assert (closed["message"], closed["result"]) == ("attempt 1 has ended: FAILED", None)
    assert sorted(world.runs()) == [(0, 1), (1, 1), (2, 1)]


def test_again_is_for_runs_that_ended_without_beginning(world: World) -> None:
    assert codes(world.submit(world.specs, "--again")) == ["AGAIN_REFUSED"] * 3  # never submitted
    assert world.runs() == {}
    world.submit(world.specs)
    set_state(world.run_of(0).id, Cancelled())
    set_state(world.run_of(1).id, Crashed(message="the machine\nwent away"))
    ended = world.submit(world.specs)
    assert (ended.status, codes(ended)) == (4, ["RUN_ENDED", "RUN_ENDED", None])
    message = f"run {world.run_of(1).id} ended Crashed and never began attempt 1: the machine went away"
    assert ended.json["jobs"][1]["error"]["message"] == message

    again = world.submit(world.specs, "--again")
    assert (again.status, codes(again)) == (4, [None, None, "AGAIN_REFUSED"])
    assert [job["dispatch"] for job in again.json["jobs"]] == [2, 2, None]
    assert [job["created"] for job in again.json["jobs"]] == [True, True, False]
    assert codes(world.submit(world.specs, "--again")) == ["AGAIN_REFUSED"] * 3  # their runs are scheduled now
    plain = world.submit(world.specs)
    assert (plain.status, [job["dispatch"] for job in plain.json["jobs"]]) == (0, [2, 2, 1])
    assert sorted(world.runs()) == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]
    world.end(0, None, run_id=world.run_of(0, 2).id)
    done = world.submit(world.spec(0))
    assert (done.status, done.json["jobs"][0]["dispatch"], done.json["jobs"][0]["state"]) == (0, 2, "Completed")


def test_a_store_that_workers_do_not_share_is_refused(world: World) -> None:
    for store in (Path("~/.proxx/store").expanduser(), "memory:"):
        answer = world.submit(world.specs, store=store)
        assert (answer.status, answer.code) == (6, "STORE_NOT_SHARED")
    nowhere = world.submit("--failed-with", FRAMES, "--since", "2020-01-01", "--yes")
    assert (nowhere.status, nowhere.code, store_identity(world.store)) == (6, "STORE_UNAVAILABLE", None)


def test_without_prefect_nothing_is_registered(world: World) -> None:
    secret = "never-to-be-shown"  # noqa: S105  (what must not be in any message)
    env = world.server.env(PYTHONPATH=str(Path(__file__).parents[3]), PROXX_STORE=world.store.uri)
    env |= {
        "PREFECT_API_URL": f"http://user:{secret}@127.0.0.1:{free_port()}/api",
        "PREFECT_API_AUTH_STRING": f"admin:{secret}",
    }
    nobody = process(world, world.specs, env=env)
    out, err = nobody.communicate(timeout=DEADLINE)
    assert (nobody.returncode, out, len(err.splitlines())) == (6, "", 3)
    assert err.startswith("proxx: PREFECT_UNREACHABLE: ")
    assert secret not in err
    assert store_identity(world.store) is None
    broken = process(world, world.specs, env={**env, "PREFECT_API_URL": f"http://user:{secret}@[bad"})
    out, err = broken.communicate(timeout=DEADLINE)
    assert (broken.returncode, out, secret in err, "Traceback" in err) == (6, "", False, False), err


# --- waiting ---------------------------------------------------------------------------------------------


def test_wait_reports_each_end_and_exits_accordingly(world: World) -> None:
    world.submit(world.specs)
    world.end(0, None)
    one = world.submit(world.spec(0), "--wait")
    assert (one.status, one.json["jobs"][0]["outcome"]["status"]) == (0, "COMPLETED")
    world.end(1, FRAMES)
    acquire(world.store, world.jobs[2].job_id, 1, ME, world.run_of(2).id)
    set_state(world.run_of(2).id, Crashed(message="it went away"))
    every = world.submit(world.specs, "--wait")
    assert every.status == 1
    assert [job["outcome"]["status"] for job in every.json["jobs"]] == ["COMPLETED", "FAILED", "LOST"]
    text = call(world.capsys, "submit", world.specs, "--wait", "--store", world.store.uri)
    assert text.status == 1
    assert FRAMES in text.err
    assert text.out.splitlines()[-2:] == [
        "Ended: 1 COMPLETED, 1 FAILED, 1 LOST.",
        "Next: `proxx audit` shows what each job that is not completed needs.",
    ]
    unwatched = call(world.capsys, "submit", world.specs, "--store", world.store.uri)
    assert (unwatched.status, unwatched.err) == (0, "")
    assert unwatched.out.splitlines()[-2:] == [
        "3 jobs: 3 submitted before.",
        "Next: `proxx audit` shows what each job that is not completed needs.",
    ]


def test_wait_exits_with_the_status_of_the_refusal(world: World) -> None:
    world.submit(world.spec(0))
    run = world.run_of(0).id
    why = ToolchainMismatch(message="another encoder is here")
    waiting = process(world, world.spec(0), "--wait")
    assert waiting.stdout is not None
    waiting.stdout.readline()
    record_refusal(world.store, world.jobs[0].job_id, why, stamp(ME, run), 1)
    set_state(run, Failed(message=str(why)))
    out, err = waiting.communicate(timeout=DEADLINE)
    assert (waiting.returncode, "REFUSED" in err, ToolchainMismatch.code in err) == (6, True, True), (out, err)


def test_ctrl_c_stops_the_waiting_only(world: World) -> None:
    watching = process(world, world.specs, "--wait")
    assert watching.stdout is not None
    for _ in world.jobs:
        watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    out, err = watching.communicate(timeout=DEADLINE)
    assert (watching.returncode, out) == (130, "3 jobs: 3 submitted.\n")
    assert err == "proxx: The runs go on unwatched. Repeat the command: no job is submitted twice.\n"
    assert {run.state_type for run in world.runs().values()} == {"SCHEDULED"}


# --- jobs that failed ------------------------------------------------------------------------------------


@on_each_kind
def test_failed_with_lists_jobs_and_with_yes_submits_their_next_attempts(world: World) -> None:
    world.submit(world.specs)
    world.end(0, FRAMES)
    world.end(1, FRAMES)
    world.end(2, None)
    chosen = ("--failed-with", FRAMES, "--since", "2020-01-01")
    listed = world.submit(*chosen)
    failed_jobs = sorted(world.jobs[index].job_id for index in (0, 1))
    assert (listed.status, listed.json["jobs"], world.runs(2)) == (0, [], {})
    assert [(job["job_id"], job["attempt"]) for job in listed.json["failed"]] == [(job, 1) for job in failed_jobs]
    text = call(world.capsys, "submit", *chosen, "--store", world.store.uri)
    assert text.out.splitlines()[-2:] == [
        f"2 jobs failed with {FRAMES} since 2020-01-01.",
        "Nothing was submitted: add --yes to submit these jobs.",
    ]
    for created in (True, False):
        answer = world.submit(*chosen, "--yes")
        assert answer.status == 0
        submitted = [(job["job_id"], job["attempt"], job["created"]) for job in answer.json["jobs"]]
        assert submitted == [(job, 2, created) for job in failed_jobs]
    assert sorted(world.runs(2)) == [(0, 1), (1, 1)]
    assert world.submit(*chosen[:-1], "2999-01-01", "--yes").json["failed"] == []
    assert world.submit("--failed-with", "DECODE_FAILED", "--since", "2020-01-01", "--yes").json["failed"] == []
    world.end(0, None, attempt=2)
    assert [job["job_id"] for job in world.submit(*chosen).json["failed"]] == [world.jobs[1].job_id]


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--failed-with", FRAMES),
        ("--failed-with", "FRAME_MISMATCH", "--since", "2020-01-01"),
        ("--failed-with", FRAMES, "--since", "2020-01-01", "x.json"),
        ("--failed-with", FRAMES, "--since", "2020-01-01", "--again"),
        ("x.json", "--since", "2020-01-01"),
        ("x.json", "--attempt", "0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    args: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "submit", "--store", tmp_path / "store", *args).status == 2


# --- on a terminal ---------------------------------------------------------------------------------------


def test_on_a_terminal_the_bar_and_the_answer_are_apart(world: World) -> None:
    ours, theirs = pty.openpty()
    env = world.server.env(
        PYTHONPATH=str(Path(__file__).parents[3]), PROXX_STORE=world.store.uri, TERM="xterm", COLUMNS="100"
    )
    env.pop("DO_NOT_TRACK")
    shown = process(world, world.specs, env=env, stderr=theirs)
    os.close(theirs)
    drawn = b""
    with suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 65536):
            drawn += piece
    os.close(ours)
    out, _ = shown.communicate(timeout=DEADLINE)
    assert (shown.returncode, out.splitlines()[0]) == (0, "3 jobs: 3 submitted.")
    assert b"submitting" in drawn
    assert b"3/3" in drawn
    assert b"telemetry" not in drawn
