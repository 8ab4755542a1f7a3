"""`proxx audit` with a real store and a real server: each job is named once, counts add up, nothing is changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from proxx_flows.audit.audit import AuditTally, audit_store
from proxx_flows.audit.finding import JobVerdict
from proxx_flows.audit.prefect_run import SeenRun
from proxx_flows.audit.run_index import RunIndex
from proxx_flows.common.reference import JobReference, idempotency_key, run_tags

from proxx.contracts.canonical import Json
from proxx.contracts.event import Worker, stamp
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.keys import event_key, spec_key
from proxx.store.lock import acquire, release, retire, unlock
from proxx.store.opening import initialize_store
from proxx.store.registration import register
from tests.cli.command import Answer, call
from tests.flows.server import Server, free_port
from tests.flows.storage_area import KINDS, StorageArea, new_area, use_credentials

DIT: Final = Worker(host="cart-2", pid=7, user="dit")
OPERATOR: Final = Worker(host="desk", pid=1, user="op")
COMPLETED: Final[dict[str, Json]] = {"status": "COMPLETED", "clips": [{"failure": None}], "stopped": None}
FAILED: Final[dict[str, Json]] = {
    "status": "FAILED",
    "clips": [{"failure": {"code": "DECODE_FAILED"}}],
    "stopped": None,
}


def job(number: int) -> str:
    """Returns a job id. The ids differ from their first digit on, so their tags differ as well."""
    return f"{number:02x}" * 32


@dataclass(frozen=True)
class World:
    """A store and its runs on the session's server. The API creates the runs, so that they can have any state."""

    server: Server
    ground: StorageArea
    store: Store
    uuid: str
    flow: str

    def registered(self, number: int) -> str:
        register(self.store, b"{}", job(number), [f"/p/{number}.mov"], stamp(DIT, "reg"))
        return job(number)

    def taken(self, number: int, run: str, attempt: int = 1) -> str:
        acquire(self.store, self.registered(number), attempt, DIT, run)
        return job(number)

    def ended(self, number: int, run: str, result: dict[str, Json], attempt: int = 1) -> str:
        release(acquire(self.store, self.registered(number), attempt, DIT, run), result)
        return job(number)

    def run(
        self,
        job_id: str,
        state: str,
        attempt: int = 1,
        *,
        dispatch: int = 1,
        uuid: str | None = None,
        store: str | None = None,
    ) -> str:
        """Creates a run in `state` and returns its id."""
        reference = JobReference(
            store=store or self.store.uri, job_id=job_id, attempt=attempt, store_uuid=uuid or self.uuid
        )
        return self.post(
            {"reference": reference.model_dump()},
            state,
            idempotency_key=idempotency_key(reference, dispatch),
            tags=list(run_tags("day1", "prores_proxy", job_id)),
        )

    def post(self, parameters: dict[str, Any], state: str, **more: object) -> str:
        wanted = {"type": state, "name": state.capitalize()}
        body = {"flow_id": self.flow, "parameters": parameters, **more}
        run_id = str(self.send("flow_runs/", body)["id"])
        assert self.send(f"flow_runs/{run_id}/set_state", {"state": wanted, "force": True})["status"] == "ACCEPT"
        return run_id

    def send(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Posts, again after a 503: the server answers with that while SQLite is locked."""
        end = time.monotonic() + 60
        while True:
            answer = httpx.post(f"{self.server.url}/{path}", json=body, timeout=60)
            if answer.status_code != 503 or time.monotonic() > end:
                break
            time.sleep(0.2)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def snapshot(self) -> dict[str, bytes]:
        return self.ground.files("store")


on_each_kind = pytest.mark.parametrize("world", KINDS, indirect=True)


@pytest.fixture
def world(prefect: Server, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """On a folder; with `on_each_kind` on each kind of storage."""
    ground = use_credentials(new_area(getattr(request, "param", "file"), request, tmp_path), monkeypatch)
    world = World(prefect, ground, ground.store, initialize_store(ground.store).uuid, "")
    return replace(world, flow=str(world.send("flows/", {"name": "proxy-job"})["id"]))


def findings_of(answer: Answer) -> dict[str, dict[str, Any]]:
    return {finding["job_id"]: finding for finding in answer.json["jobs"]}


@on_each_kind
@pytest.mark.clause("V3", lead=True)
def test_every_job_is_named_once_and_the_counts_add_up(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs in every state of store and Prefect: `proxx audit` names each once and the counts add up."""
    expected: dict[str, tuple[str, bool]] = {}
    expected[world.registered(1)] = ("UNKNOWN_TO_PREFECT", True)
    expected[world.registered(2)] = ("WAITING", False)
    world.run(job(2), "SCHEDULED")
    world.registered(3)
    run = world.run(job(3), "RUNNING")
    expected[world.taken(3, run)] = ("RUNNING", False)
    world.registered(4)
    expected[world.ended(4, world.run(job(4), "COMPLETED"), COMPLETED)] = ("COMPLETED", False)
    expected[world.ended(5, world.run(job(5), "FAILED"), FAILED)] = ("FAILED", True)
    expected[world.taken(6, world.run(job(6), "CRASHED"))] = ("HELD", True)
    expected[world.registered(7)] = ("LOST", True)
    world.run(job(7), "CANCELLED")
    expected[job(8)] = ("UNKNOWN_TO_STORE", True)
    world.run(job(8), "SCHEDULED")
    expected[world.ended(9, "beside-prefect", COMPLETED)] = ("COMPLETED", False)
    expected[world.registered(10)] = ("FAILED", False)
    retire(world.store, job(10), "other grade", OPERATOR)
    expected[world.taken(11, world.run(job(11), "CRASHED"))] = ("LOST", True)
    unlock(world.store, job(11), "power cut", OPERATOR)
    expected[world.registered(12)] = ("LOST", True)
    world.store.create(event_key(job(12), 1, 1), b"{")
    world.store.create(spec_key(job(13)), b"{}")
    expected[job(13)] = ("UNKNOWN_TO_STORE", True)
    before = world.snapshot()

    answer = call(capsys, "audit", "--all", "--json", "--store", world.store.uri)

    assert {
        job_id: (finding["verdict"], finding["needs_decision"]) for job_id, finding in findings_of(answer).items()
    } == expected
    counts = answer.json["counts"]
    verdicts = [verdict for verdict, _ in expected.values()]
    assert counts["verdicts"] == {verdict.value: verdicts.count(verdict) for verdict in JobVerdict}
    assert counts["jobs"] == sum(counts["verdicts"].values()) == len(expected) == len(answer.json["jobs"])
    assert counts["need_decision"] == sum(needs for _, needs in expected.values())
    assert (answer.status, answer.json["store_uuid"]) == (1, world.uuid)
    assert world.snapshot() == before

    text = call(capsys, "audit", "--store", world.store.uri)
    assert text.status == 1
    lines = text.out.splitlines()
    assert [line for line in lines if line.startswith("13 jobs")] == [
        f"13 jobs in {world.store.uri} = 2 COMPLETED + 2 FAILED (1 retired) + 1 HELD + 3 LOST "
        "(1 damaged, 1 unlocked) + 1 RUNNING + 1 UNKNOWN_TO_PREFECT + 2 UNKNOWN_TO_STORE + 1 WAITING"
    ]
    assert lines[-1] == "8 jobs need a decision."
    shown = [line[:12] for line in lines if line[12:14] == "  " and line[:1] != " "]
    assert shown == [job_id[:12] for job_id, (_, needs) in sorted(expected.items()) if needs and job_id != job(8)] + [
        job(8)[:12]
    ]


def test_without_a_decision_the_exit_status_is_0(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ended(1, world.run(job(1), "COMPLETED"), COMPLETED)
    answer = call(capsys, "audit", "--store", world.store.uri)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith(f"1 job in {world.store.uri} = 1 COMPLETED\n")
    assert answer.out.endswith("No job needs a decision.\n")


def test_a_contradiction_is_shown_even_if_nothing_has_to_be_decided(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run = world.run(job(1), "CRASHED")
    world.ended(1, run, COMPLETED)
    answer = call(capsys, "audit", "--store", world.store.uri)
    assert answer.status == 0
    assert answer.out.startswith(
        f"{job(1)[:12]}  COMPLETED  attempt 1  (nothing to decide)\n"
        f"    Attempt 1 completed. Prefect contradicts the ledger: run {run} ended Crashed. "
        "The ledger decides what was made.\n"
    )


@on_each_kind
def test_runs_of_a_replaced_store_are_reported_and_runs_of_other_stores_are_counted(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A run for another uuid at this place is reported; a run for another place is only counted."""
    before = str(uuid4())  # part of an idempotency key: each kind of storage needs runs of its own
    world.run(job(1), "SCHEDULED", uuid=before)
    world.run(job(2), "COMPLETED", uuid=before, store=(tmp_path / "other").as_uri())
    answer = call(capsys, "audit", "--json", "--store", world.store.uri)
    assert [(finding["job_id"], finding["verdict"]) for finding in answer.json["jobs"]] == [
        (job(1), "UNKNOWN_TO_STORE")
    ]
    assert f"are for store {before} at this place" in answer.json["jobs"][0]["said"]
    assert answer.json["counts"]["runs_of_other_stores"][(tmp_path / "other").as_uri()] == 1
    assert answer.status == 1


def test_a_store_under_another_path_is_the_same_store(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    world.registered(1)
    world.run(job(1), "SCHEDULED", store="file:///mnt/elsewhere/store")
    answer = call(capsys, "audit", "--all", "--json", "--store", world.store.uri)
    assert findings_of(answer)[job(1)]["verdict"] == "WAITING"


@on_each_kind
def test_runs_started_by_hand_are_found_by_their_parameters(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs without key and tags: with a reference, and with a whole spec as text or as an object."""
    for number in (1, 2, 3):
        world.registered(number)
    world.post({"reference": {"store": world.store.uri, "job_id": job(1)}}, "SCHEDULED")
    world.post({"spec": {"job_id": job(2)}, "store": world.store.uri}, "PENDING")
    world.post({"spec": json.dumps({"job_id": job(3)})}, "CANCELLED")
    world.post(
        {"spec": {"job_id": job(4)}, "store": world.store.uri}, "SCHEDULED"
    )  # registers the job when it begins
    answer = call(capsys, "audit", "--all", "--json", "--store", world.store.uri)
    assert {job_id: finding["verdict"] for job_id, finding in findings_of(answer).items()} == {
        job(1): "WAITING",
        job(2): "WAITING",
        job(3): "LOST",
        job(4): "WAITING",
    }
    again = findings_of(answer)[job(3)]["steps"][0]["command"]
    assert again == f"proxx submit {job(3)[:12]} --store {world.store.uri}"


def test_malformed_parameters_are_harmless(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    odd: list[dict[str, Any]] = [{}, {"reference": 7}, {"reference": {"job_id": "../x"}}, {"spec": "no json"}]
    for parameters in odd:
        world.post(parameters, "FAILED")
    world.post({"reference": {"store": world.store.uri, "job_id": job(1), "attempt": "two"}}, "FAILED")
    typed = {"store": "s3://key:geheim@bucket/store", "job_id": job(2)}
    world.post({"reference": typed}, "FAILED")
    answer = call(capsys, "audit", "--json", "--store", world.store.uri)
    assert [finding["job_id"] for finding in answer.json["jobs"]] == [job(1)]
    assert answer.json["counts"]["runs_without_a_job"] >= len(odd)
    assert answer.json["counts"]["runs_of_other_stores"]["s3://bucket/store"] == 1
    assert "geheim" not in answer.out


def test_a_job_that_changes_during_the_audit_is_read_again(world: World) -> None:
    """A job submitted after the runs were listed is not UNKNOWN_TO_PREFECT."""
    world.registered(1)
    tally = AuditTally()
    findings = audit_store(world.store).findings(tally)
    late = job(2)
    world.registered(2)
    first = next(findings)
    world.run(late, "SCHEDULED")
    assert (first.job_id, first.verdict) == (job(1), JobVerdict.UNKNOWN_TO_PREFECT)
    assert [(finding.job_id, finding.verdict) for finding in findings] == [(late, JobVerdict.WAITING)]
    assert tally.jobs == 2


def test_since_leaves_out_older_jobs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ended(1, "beside-prefect", FAILED)
    answer = call(capsys, "audit", "--json", "--since", "2999-01-01", "--store", world.store.uri)
    assert (answer.json["counts"]["jobs"], answer.status) == (0, 0)
    today = call(capsys, "audit", "--json", "--since", "2020-01-01", "--store", world.store.uri)
    assert (today.json["counts"]["jobs"], today.status) == (1, 1)


def test_a_place_without_a_store_is_refused(world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answer = call(capsys, "audit", "--json", "--store", tmp_path / "not-mounted")
    assert (answer.code, answer.status) == ("STORE_UNAVAILABLE", 6)
    assert not (tmp_path / "not-mounted").exists()


def test_without_prefect_the_audit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    initialize_store(FileStore(tmp_path / "store"))
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        answer = call(capsys, "audit", "--json", "--store", tmp_path / "store")
        text = call(capsys, "audit", "--store", tmp_path / "store")
    assert (answer.code, answer.status) == ("PREFECT_UNREACHABLE", 6)
    assert (text.status, text.out, "Traceback" in text.err) == (6, "", False)


def test_a_broken_setting_shows_no_password(tmp_path: Path) -> None:
    initialize_store(FileStore(tmp_path / "store"))
    argv = [sys.executable, "-m", "proxx", "audit", "--store", str(tmp_path / "store")]
    env = {**os.environ, "PREFECT_API_URL": "http://user:geheim@[bad", "PREFECT_HOME": str(tmp_path / "home")}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.split()[1]) == (6, "", "PREFECT_UNREACHABLE:")
    assert "geheim" not in done.stderr


def test_the_default_store_in_the_home_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROXX_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    answer = call(capsys, "audit")
    assert (answer.status, answer.err.split()[1]) == (6, "STORE_NOT_SHARED:")
    assert "`proxx status`" in answer.err


def test_the_index_returns_the_runs_of_a_job_and_the_jobs_that_only_runs_name() -> None:
    def run(name: str) -> SeenRun:
        return SeenRun(id=name, attempt=2, state_type="FAILED", state_name="Failed", message="m", submitted=False)

    with RunIndex() as index:
        index.add("a", run("1"))
        index.add("b", run("2"))
        index.add("a", run("3"))
        index.add("a", run("4"), foreign_to="other")
        index.add("b", run("2"))
        assert index.of("a") == (run("1"), run("3"))
        assert list(index.unseen()) == [("a", "other", (run("4"),)), ("b", "", (run("2"),))]
