"""Results of runs in object storage: under a known key, readable by another process, never used as a cache."""

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
from proxx_flows.worker.result_check import result_storage_problem
from s3fs import S3FileSystem

from proxx.contracts.result import ExecutionResult
from proxx.store.status import State, job_status
from tests.flows.runs import data_of, flow_run, log_of, registered, run_here, run_id, state_types
from tests.flows.server import Server
from tests.flows.storage_area import StorageArea, new_area, use_credentials
from tests.flows.test_proxy_job import READ_RESULT
from tests.support.jobs import make_job

SETTING: Final = "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"

pytestmark = pytest.mark.usefixtures("prefect")


@contextmanager
def results_in(place: str, **settings: Any) -> Iterator[str]:  # noqa: ANN401
    """Stores results there, with a block of the server. Gives the block's name with its kind."""
    S3FileSystem.clear_instance_cache()  # of fsspec, which would reuse the server of the test before
    block: Any = RemoteFileSystem(basepath=place, settings=settings)
    name = f"remote-file-system/{place.removeprefix('s3://').replace('/', '-')}"
    block.save(name.split("/")[1], overwrite=True)
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: name}):
        yield name


@pytest.fixture(params=["moto", "rgw"])
def bucket_area(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageArea:
    return use_credentials(new_area(request.param, request, tmp_path), monkeypatch)


@pytest.mark.clause("V2")
def test_a_result_in_a_bucket(prefect: Server, bucket_area: StorageArea) -> None:
    area = bucket_area
    reference = registered(make_job(area.at("proxies"), "prores_proxy"), area.store)
    with results_in(area.at("results")) as name:
        assert result_storage_problem() is None
        assert area.files("results") == {}, "the trial object was removed"
        state = run_here(reference=reference)
        result = read_result(data_of(state))
        again = run_here(reference=reference)
        repeated = data_of(again)
    assert isinstance(result, ExecutionResult)
    assert result.status == "COMPLETED"
    keys = [f"proxx/{reference.job_id}/0001/{run_id(each)}.json" for each in (state, again)]
    stored = area.files("results")
    assert sorted(stored) == sorted(keys)
    record = json.loads(stored[keys[0]])
    assert record["metadata"]["serializer"]["type"] == "json"
    assert read_result(json.loads(record["result"])) == result

    assert (again.name, repeated["error"]["code"]) == (
        "Failed",
        "ATTEMPT_CLOSED",
    )  # not Cached
    assert state_types(run_id(again)) == ["PENDING", "RUNNING", "FAILED"]

    env = {**prefect.env(), **area.environment}  # no setting: the state itself names its storage
    assert name not in env.values()
    argv = [sys.executable, "-c", READ_RESULT, str(run_id(state))]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert ExecutionResult.model_validate_json(ended.stdout) == result, ended.stderr


def test_a_result_that_cannot_be_stored(rgw_area: StorageArea) -> None:
    """Prefect only logs it, so a worker checks first. The job's store has the result, and no message shows a key."""
    reference = registered(make_job(rgw_area.at("proxies"), "prores_proxy"), rgw_area.store)
    assert rgw_area.bucket is not None
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{rgw_area.bucket.name}/results/*",
    }
    rgw_area.bucket.set_policy([deny])
    with results_in(rgw_area.at("results")):
        problem = result_storage_problem() or ""
        state = run_here(reference=reference)
    assert problem.startswith(f"results: {rgw_area.at('results')}: DENIED: These credentials may not do that"), (
        problem
    )
    assert rgw_area.files("results") == {}
    assert state.name == "Completed"
    recorded = flow_run(run_id(state)).state
    assert recorded is not None
    lines = [text for _, text in log_of(run_id(state), "lock.released")]
    for secret in (rgw_area.environment["AWS_ACCESS_KEY_ID"], rgw_area.environment["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in f"{recorded.message} {lines}"
    assert job_status(rgw_area.store, reference.job_id).state is State.COMPLETED


def test_a_missing_block_and_a_block_with_keys_are_refused(rgw_area: StorageArea) -> None:
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "remote-file-system/nobody"}):
        problem = result_storage_problem()
    assert problem == f"results: the server has no block remote-file-system/nobody. Create it, or unset {SETTING}."
    with results_in("s3://bucket/results", key="K", secret="do-not-show"):  # noqa: S106  (must not be in any message)
        problem = result_storage_problem() or ""
    assert ("has key, secret in its settings" in problem, "do-not-show" in problem) == (True, False), problem
    assert result_storage_problem() is None  # a folder, by PREFECT_LOCAL_STORAGE_PATH
