"""Results of runs in object storage: under the key that is known, for a fresh process, and never for an execution."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from prefect.filesystems import RemoteFileSystem
from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, temporary_settings
from proxx_flows.job.final_state import read_result
from proxx_flows.worker.result_check import refusal_of_results
from s3fs import S3FileSystem

from proxx.contracts.result import ExecutionResult
from proxx.store.status import State, job_status
from tests.flows.ground import Ground, ground_of, speak
from tests.flows.runs import data_of, flow_run, log_of, registered, run_here, run_id, state_types
from tests.flows.server import Server
from tests.flows.test_proxy_job import READ
from tests.support.jobs import make_job

SETTING: Final = "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"

pytestmark = pytest.mark.usefixtures("prefect")


@contextmanager
def kept_by(place: str, **settings: Any) -> Iterator[str]:  # noqa: ANN401
    """Results go there, by a block of the server: its name with its kind."""
    S3FileSystem.clear_instance_cache()  # fsspec's: another server's, of the test before
    block: Any = RemoteFileSystem(basepath=place, settings=settings)
    name = f"remote-file-system/{place.removeprefix('s3://').replace('/', '-')}"
    block.save(name.split("/")[1], overwrite=True)
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: name}):
        yield name


@pytest.fixture(params=["moto", "rgw"])
def bucket_ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    return speak(ground_of(request.param, request, tmp_path), monkeypatch)


@pytest.mark.clause("V2")
def test_a_result_in_a_bucket(prefect: Server, bucket_ground: Ground) -> None:
    ground = bucket_ground
    reference = registered(make_job(ground.at("proxies"), "prores_proxy"), ground.store)
    with kept_by(ground.at("results")) as name:
        assert refusal_of_results() is None
        assert ground.files("results") == {}, "the trial was taken back"
        state = run_here(reference=reference)
        result = read_result(data_of(state))
        again = run_here(reference=reference)
        told = data_of(again)
    assert isinstance(result, ExecutionResult)
    assert result.status == "COMPLETED"
    keys = [f"proxx/{reference.job_id}/0001/{run_id(one)}.json" for one in (state, again)]
    kept = ground.files("results")
    assert sorted(kept) == sorted(keys)
    record = json.loads(kept[keys[0]])
    assert record["metadata"]["serializer"]["type"] == "json"
    assert read_result(json.loads(record["result"])) == result

    assert (again.name, told["error"]["code"]) == ("Failed", "ATTEMPT_CLOSED")  # not Cached, not the first one's
    assert state_types(run_id(again)) == ["PENDING", "RUNNING", "FAILED"]

    env = {**prefect.env(), **ground.environment}  # where it is, is in the state: no setting says it
    assert name not in env.values()
    argv = [sys.executable, "-c", READ, str(run_id(state))]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert ExecutionResult.model_validate_json(done.stdout) == result, done.stderr


def test_a_result_that_cannot_be_kept(rgw_ground: Ground) -> None:
    """Prefect only logs it, so a worker looks before. What was made is in the store, and no key is told."""
    reference = registered(make_job(rgw_ground.at("proxies"), "prores_proxy"), rgw_ground.store)
    assert rgw_ground.bucket is not None
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{rgw_ground.bucket.name}/results/*",
    }
    rgw_ground.bucket.set_policy([deny])
    with kept_by(rgw_ground.at("results")):
        said = refusal_of_results() or ""
        state = run_here(reference=reference)
    assert said.startswith(f"results: {rgw_ground.at('results')}: DENIED: These credentials may not do that"), said
    assert rgw_ground.files("results") == {}
    assert state.name == "Completed"
    found = flow_run(run_id(state)).state
    assert found is not None
    lines = [text for _, text in log_of(run_id(state), "lock.released")]
    for secret in (rgw_ground.environment["AWS_ACCESS_KEY_ID"], rgw_ground.environment["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in f"{found.message} {lines}"
    assert job_status(rgw_ground.store, reference.job_id).state is State.COMPLETED


def test_a_block_that_is_not_there_or_holds_keys(rgw_ground: Ground) -> None:
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "remote-file-system/nobody"}):
        said = refusal_of_results()
    assert said == f"results: the server has no block remote-file-system/nobody. Make it, or take {SETTING} away."
    with kept_by("s3://bucket/results", key="K", secret="geheim"):  # noqa: S106  (what must not be in any message)
        said = refusal_of_results() or ""
    assert ("has key, secret in its settings" in said, "geheim" in said) == (True, False), said
    assert refusal_of_results() is None  # a folder, by PREFECT_LOCAL_STORAGE_PATH
