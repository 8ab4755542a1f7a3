"""One attempt of a job is one flow run with one task and one call of the engine, on a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError
from proxx_flows.common.reference import JobReference, run_name, run_tags
from proxx_flows.job.final_state import read_result
from proxx_flows.proxy_job import proxy_job

from proxx.contracts.event import this_worker
from proxx.contracts.job import JobContent, JobSpec, seal, spec_bytes
from proxx.contracts.result import ExecutionResult
from proxx.engine.execute import RunEnvironment, execute
from proxx.store.file import FileStore
from proxx.store.keys import spec_key
from proxx.store.opening import initialize_store
from proxx.store.status import State, job_status
from tests.flows.deploy import deploy
from tests.flows.runs import artifacts, data_of, flow_run, ledger, registered, run_here, run_id, state_types
from tests.flows.server import Server
from tests.flows.storage_area import StorageArea
from tests.support.edits import edited
from tests.support.jobs import create, half_second, make_job

pytestmark = pytest.mark.usefixtures("prefect")


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.mark.clause("V1", lead=True)
@pytest.mark.clause("I2")
@pytest.mark.clause("I3")
def test_a_run_makes_what_the_engine_makes(area: StorageArea, tmp_path: Path) -> None:
    """Sources, proxies and store are on each kind of storage."""
    sources = tuple(area.put(half_second(f"clip{n}.mov", f"01:00:0{n}:00"), f"card/clip{n}.mov") for n in range(2))
    job = create(sources, area.at("proxies"), "prores_proxy", name="A001")
    plain = FileStore(tmp_path / "plain")
    alone = execute(spec_bytes(job), RunEnvironment(store=plain, worker=this_worker(), run_id="alone"))
    expected = area.files("proxies")
    area.clear("proxies")

    reference = registered(job, area.store)
    state = run_here(reference=reference)

    assert (state.type, state.name, state.message) == (StateType.COMPLETED, "Completed", "2 clips, 24 frames")
    assert area.files("proxies") == expected
    assert sorted(expected) == ["clip0.mov", "clip1.mov"]
    assert ledger(area.store, job.job_id) == ledger(plain, job.job_id)
    which = run_id(state)
    assert state_types(which) == ["PENDING", "RUNNING", "COMPLETED"]
    assert flow_run(which).name == run_name("A001", reference)

    result = read_result(data_of(state))
    assert isinstance(result, ExecutionResult)
    assert (result.fingerprint, result.envelope.run_id) == (alone.fingerprint, str(which))
    result_file = tmp_path / "results" / "proxx" / job.job_id / "0001" / f"{which}.json"
    record = json.loads(result_file.read_text())
    assert record["metadata"]["serializer"]["type"] == "json"
    assert read_result(json.loads(record["result"])) == result
    assert read_result(data_of(flow_run(which).state)) == result
    assert [path for path in (tmp_path / "results").rglob("*") if path.is_file()] == [result_file]


READ_RESULT = """
import sys, json
from proxx_flows.job.final_state import read_result
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    state = client.read_flow_run(sys.argv[1]).state
print(read_result(state.result(raise_on_failure=False, _sync=True)).model_dump_json())
"""


@pytest.mark.clause("I4")
@pytest.mark.clause("V2")
def test_a_failed_job_names_the_cause_and_another_process_reads_its_result(
    prefect: Server, area: StorageArea, tmp_path: Path
) -> None:
    job = make_job(area.at("proxies"), "prores_proxy", 2)
    area.replace("proxies/clip1.mov", b"another file")
    state = run_here(reference=registered(job, area.store))
    assert (state.type, state.name) == (StateType.FAILED, "Failed")
    assert state.message == (
        "OUTPUT_EXISTS: clip 2 of 2, clip1.mov: A file that is not this job's has the output's name. Move "
        "that file, which was not touched, out of the way; then run the next attempt.\n1 of 2 clips made."
    )
    result = read_result(data_of(state))
    assert result is not None
    assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED"]

    env = prefect.env(PREFECT_LOCAL_STORAGE_PATH=str(tmp_path / "elsewhere"))
    ended = subprocess.run(
        [sys.executable, "-c", READ_RESULT, str(run_id(state))], env=env, capture_output=True, text=True, check=False
    )
    assert ExecutionResult.model_validate_json(ended.stdout) == result, ended.stderr


@pytest.mark.clause("P3")
@pytest.mark.clause("P5")
def test_an_ended_attempt_is_refused_with_its_result(area: StorageArea) -> None:
    reference = registered(make_job(area.at("proxies"), "prores_proxy"), area.store)
    first = run_here(reference=reference)
    again = run_here(reference=reference)
    assert (again.type, again.name) == (StateType.FAILED, "Failed")
    result = read_result(data_of(first))
    assert result is not None
    fingerprint = result.fingerprint[:12]
    message = f"ATTEMPT_CLOSED: attempt 1 has ended. It was COMPLETED: 1 clip, 12 frames, result {fingerprint}."
    assert (again.message or "").startswith(message)
    assert data_of(again)["error"]["result"] == data_of(first)
    assert read_result(data_of(again)) is None
    assert state_types(run_id(again)) == ["PENDING", "RUNNING", "FAILED"]
    assert len(ledger(area.store, reference.job_id)) == 5


@pytest.mark.clause("P6")
def test_an_open_attempt_is_refused(store: FileStore, tmp_path: Path) -> None:
    from proxx.store.lock import acquire

    reference = registered(make_job(tmp_path / "proxies", "prores_proxy"), store)
    acquire(store, reference.job_id, 1, this_worker(), "another run")
    state = run_here(reference=reference)
    assert (state.type, state.name) == (StateType.FAILED, "Failed")
    assert (state.message or "").startswith("LOCKED: attempt 1 is open.")
    assert (data_of(state)["error"]["code"], data_of(state)["error"]["run_id"]) == ("LOCKED", "another run")
    assert not (tmp_path / "proxies").exists()


# --- the parameters are checked first ---------------------------------------------------------------------


def code_of(state: Any) -> str:  # noqa: ANN401
    """Returns the code of a refused run, which is in its message and in its data."""
    assert state.type is StateType.FAILED
    code = str(data_of(state)["error"]["code"])
    assert state.message.startswith(f"{code}: ")
    return code


def test_a_reference_to_another_store_is_refused(store: FileStore, tmp_path: Path) -> None:
    reference = registered(make_job(tmp_path / "proxies", "prores_proxy"), store)
    other = initialize_store(FileStore(tmp_path / "other")).uuid
    assert code_of(run_here(reference=reference.model_copy(update={"store_uuid": other}))) == "STORE_MISMATCH"
    gone = reference.model_copy(update={"store": (tmp_path / "not-mounted").as_uri()})
    assert code_of(run_here(reference=gone)) == "STORE_MISMATCH"
    assert not (tmp_path / "not-mounted").exists()
    assert job_status(store, reference.job_id).state is State.REGISTERED


def test_a_machine_without_the_jobs_toolchain_refuses_it(store: FileStore, tmp_path: Path) -> None:
    made = make_job(tmp_path / "proxies", "prores_proxy")
    content = {key: value for key, value in made.to_json().items() if key not in ("job_id", "seals")}
    other = edited(content, "toolchain.ffmpeg_sha256", "sha256:" + "0" * 64)
    job = seal(JobContent.model_validate_json(json.dumps(other)))
    assert code_of(run_here(reference=registered(job, store))) == "TOOLCHAIN_MISMATCH"
    status = job_status(store, job.job_id)
    assert (status.state, status.attempts) == (State.REGISTERED, ()), "an attempt was used up"
    assert [refusal.code for refusal in status.refusals] == ["TOOLCHAIN_MISMATCH"]


def test_a_job_that_is_not_registered_is_refused(area: StorageArea) -> None:
    reference = JobReference(store=area.store.uri, job_id="0" * 64, store_uuid=initialize_store(area.store).uuid)
    state = run_here(reference=reference)
    assert code_of(state) == "JOB_UNKNOWN"
    assert flow_run(run_id(state)).name == run_name("job", reference)


@pytest.mark.clause("F1")
@pytest.mark.parametrize("edit", ["a field", "another job"])
def test_a_spec_edited_in_the_store_is_refused(store: FileStore, tmp_path: Path, edit: str) -> None:
    reference = registered(make_job(tmp_path / "proxies", "prores_proxy"), store)
    spec_file = store.root / spec_key(reference.job_id)
    if edit == "a field":
        spec_file.write_bytes(spec_file.read_bytes().replace(b'"name": "test"', b'"name": "best"'))
    else:
        spec_file.write_bytes(spec_bytes(make_job(tmp_path / "elsewhere", "prores_proxy")))
    state = run_here(reference=reference)
    assert code_of(state) == "SPEC_ALTERED"
    assert data_of(state)["error"]["problems"][0]["path"] == {"a field": "name", "another job": "job_id"}[edit]
    assert not (tmp_path / "proxies").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_parameters_that_do_not_name_one_attempt_are_refused(store: FileStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "proxies", "prores_proxy")
    reference = registered(job, store)
    for parameters in (
        {},
        {"reference": reference, "spec": job},
        {"reference": reference, "store": "/elsewhere"},
        {"reference": reference, "attempt": 2},
    ):
        assert code_of(run_here(**parameters)) == "ASKED_WRONGLY"
    assert job_status(store, job.job_id).state is State.REGISTERED


# --- a whole spec, by hand -------------------------------------------------------------------------------


def form(job: JobSpec) -> dict[str, Any]:
    """Returns what the form in Prefect's UI sends."""
    content: dict[str, Any] = json.loads(spec_bytes(job))
    return content


def test_a_spec_started_by_hand_is_registered_and_run(store: FileStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "proxies", "prores_proxy", name="by hand")
    state = run_here(spec=form(job), store=store.uri)
    assert state.type is StateType.COMPLETED
    status = job_status(store, job.job_id)
    assert (status.registered, status.state) == (True, State.COMPLETED)
    reference = JobReference(store=store.uri, job_id=job.job_id)
    run = flow_run(run_id(state))
    assert run.name == run_name("by hand", reference)
    assert set(run.tags) == set(run_tags("by hand", "prores_proxy", job.job_id))
    assert (tmp_path / "results" / "proxx" / job.job_id / "0001" / f"{run_id(state)}.json").is_file()

    again = run_here(spec=job, store=store.uri)
    assert (code_of(again), len(job_status(store, job.job_id).attempts)) == ("ATTEMPT_CLOSED", 1)
    second = run_here(
        spec=dict(reversed(form(job).items())), store=store.uri, attempt=2
    )  # the order of keys does not matter
    assert second.type is StateType.COMPLETED
    assert read_result(data_of(second)).fingerprint == read_result(data_of(state)).fingerprint  # type: ignore[union-attr]


@pytest.mark.clause("A2")
def test_a_spec_by_hand_that_would_write_another_jobs_output_is_refused(store: FileStore, tmp_path: Path) -> None:
    mine, theirs = (make_job(tmp_path / "proxies", "prores_proxy", name=name) for name in ("mine", "theirs"))
    registered(theirs, store)
    state = run_here(spec=form(mine), store=store.uri)
    assert code_of(state) == "OUTPUT_CLAIMED"
    assert data_of(state)["error"]["owner"] == theirs.job_id
    (refusal,) = job_status(store, mine.job_id).refusals  # `proxx history` shows it
    assert (refusal.code, refusal.envelope.run_id, refusal.attempt) == ("OUTPUT_CLAIMED", str(run_id(state)), 1)


@pytest.mark.clause("F1")
@pytest.mark.parametrize(
    ("edit", "code", "path"),
    [
        (lambda spec: spec["clips"][0]["expect"].update(output_frames=13), "SPEC_ALTERED", "clips[0]"),
        (lambda spec: spec.update(name="best"), "SPEC_ALTERED", "name"),
        (lambda spec: spec.update(speed="fast"), "SPEC_INVALID", "speed"),
        (lambda spec: spec["clips"][0]["expect"].update(frames="12"), "SPEC_INVALID", "clips[0].expect.frames"),
        (lambda spec: spec["profile"].update(threads=1.5), "SPEC_INVALID", "profile.threads"),
    ],
    ids=["frames", "name", "extra", "type", "float"],
)
def test_a_spec_that_does_not_match_its_seals_runs_nothing(
    store: FileStore, tmp_path: Path, edit: Callable[[Any], None], code: str, path: str
) -> None:
    given = form(make_job(tmp_path / "proxies", "prores_proxy"))
    edit(given)
    state = run_here(spec=given, store=store.uri)
    assert code_of(state) == code
    assert path in [problem["path"] for problem in data_of(state)["error"]["problems"]]
    assert f"{path}: {code}" in (state.message or "")
    assert not store.root.exists()
    assert not (tmp_path / "proxies").exists()


def test_the_store_in_a_home_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = form(make_job(tmp_path / "proxies", "prores_proxy"))
    monkeypatch.delenv("PROXX_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    home = (tmp_path / ".proxx" / "store").as_uri()
    assert code_of(run_here(spec=given)) == "STORE_NOT_SHARED"
    assert code_of(run_here(spec=given, store=home)) == "STORE_NOT_SHARED"
    assert code_of(run_here(reference=JobReference(store=home, job_id="0" * 64))) == "STORE_NOT_SHARED"
    assert not (tmp_path / ".proxx").exists()


def test_the_form_is_checked_when_the_run_is_created(prefect: Server, store: FileStore, tmp_path: Path) -> None:
    """The check of Prefect's UI and of `prefect deployment run`: a run with wrong parameters is not created."""
    import uuid

    deployment = uuid.UUID(deploy(prefect))
    good = form(make_job(tmp_path / "proxies", "prores_proxy"))
    reference = {"store": store.uri, "job_id": "0" * 64}

    def bad_specs() -> list[dict[str, Any]]:
        wrong_type, digest = json.loads(json.dumps(good)), json.loads(json.dumps(good))
        wrong_type["clips"][0]["expect"]["frames"] = "12"
        digest["clips"][0]["source"]["files"][0]["digest"] = "sha256:0"
        missing = {key: value for key, value in good.items() if key != "seals"}
        return [{**good, "speed": "fast"}, missing, wrong_type, digest]

    bad: list[dict[str, Any]] = [{"spec": spec, "store": store.uri} for spec in bad_specs()]
    bad += [{"reference": {**reference, **edit}} for edit in ({"job_id": "0"}, {"attempt": 0}, {"speed": "fast"})]
    with get_client(sync_client=True) as client:
        for parameters in bad:
            with pytest.raises(PrefectHTTPStatusError) as refused:
                client.create_flow_run_from_deployment(deployment, parameters=parameters)
            assert refused.value.response.status_code in (409, 422), parameters
        for parameters in ({"spec": good, "store": store.uri}, {"reference": reference}):
            made = client.create_flow_run_from_deployment(deployment, parameters=parameters)
            client.delete_flow_run(made.id)
        schema = client.read_deployment(deployment).parameter_openapi_schema or {}
    fields = schema["properties"]
    assert [(name, fields[name]["title"]) for name in fields] == [
        ("reference", "Registered job"),
        ("spec", "Whole spec"),
        ("store", "Store"),
        ("attempt", "Attempt"),
    ]
    assert {"JobSpec", "Clip", "ProfileSpec"} <= set(schema["definitions"])


# --- bugs, and users' own flows --------------------------------------------------------------------------


def test_a_bug_is_recorded_by_the_engine_and_raised_on(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("proxx.engine.execute.make_clip", broken)
    reference = registered(make_job(tmp_path / "proxies", "prores_proxy"), store)
    state = run_here(reference=reference)
    assert (state.type, state.message) == (
        StateType.FAILED,
        "Flow run encountered an exception: ZeroDivisionError: a bug",
    )
    status = job_status(store, reference.job_id)
    assert (status.state, status.attempts[0].code) == (State.FAILED, "ENGINE_FAULT")
    assert status.attempts[0].run_id == str(run_id(state))
    assert "**ENGINE\\_FAULT**" in artifacts(run_id(state), 3)["markdown"]["data"]


def test_a_users_flow_can_run_a_job_as_its_subflow(store: FileStore, tmp_path: Path) -> None:
    reference = registered(make_job(tmp_path / "proxies", "prores_proxy"), store)

    @flow
    def users_flow() -> str | None:
        state: Any = proxy_job(reference=reference, return_state=True)
        return read_result(data_of(state)).status  # type: ignore[union-attr]

    assert users_flow() == "COMPLETED"


def test_the_result_names_the_worker(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__WORKER_NAME", "station-3")
    reference = registered(make_job(tmp_path / "proxies", "prores_proxy"), store)
    result = read_result(data_of(run_here(reference=reference)))
    assert result is not None
    worker = result.envelope.worker
    assert (worker.name, worker.pid) == ("station-3", os.getpid())
