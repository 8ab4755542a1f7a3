"""A pool whose machines share only a bucket and the Prefect API.

Sources, proxies, job files and results are in the bucket. The workers have its keys in their environment; Prefect
never has them.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest
from proxx_flows.audit.finding import JobVerdict

from proxx.cli.main import proxx
from proxx.console.running import run_command_line
from proxx.contracts.job import JobSpec
from proxx.store.file import FileStore
from proxx.store.status import State, job_history, job_status
from tests.flows.pool import Pool
from tests.flows.pool_site import PoolSite, long_clip, site_on
from tests.flows.storage_area import StorageArea
from tests.flows.test_pool import Outcome, outcome_of
from tests.support.jobs import create, half_second, write_spec

JOBS: Final = 6
MUST_FAIL: Final = {1: "SOURCE_CHANGED", 3: "OUTPUT_EXISTS", 4: "SOURCE_MISSING"}
BLOCK: Final = "remote-file-system/proxx-bucket"
ROOTS: Final = ("media", "proxies")


only_rgw = pytest.mark.parametrize("site", ["rgw"], indirect=True)  # moto accepts every signature


@pytest.fixture(scope="module", params=["moto", "rgw"])
def site(pool: Pool, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolSite]:
    """A site on the session's Prefect server, with its own workers."""
    with site_on(pool, request.param, request, tmp_path_factory.mktemp("site"), ROOTS) as made:
        made.pool.more["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"] = BLOCK
        store_results_in(made.pool, made.area)
        yield made


def store_results_in(pool: Pool, area: StorageArea) -> None:
    """Creates the result block with the command of deployments/README.md, with the test's bucket."""
    from tests.flows import runbook

    (line,) = runbook.block("results")
    code = line.split('"')[1].replace("s3://proxx-results/prefect", area.at("results"))
    assert area.at("results") in code
    pool.command("python", "-c", code.replace("'proxx'", "'proxx-bucket'"))


def make_jobs(area: StorageArea, folder: Path) -> list[JobSpec]:
    """Creates jobs of one or two clips with paths below roots; three of them cannot succeed."""
    jobs = []
    for number in range(JOBS):
        for clip in range(1 + number % 2):
            original = half_second(f"{number:03d}.mov", f"01:{clip:02d}:00:{number:02d}")
            area.put(original, f"media/{number:03d}/{clip}.mov")
        jobs.append(bucket_job(f"media:/{number:03d}", f"proxies:/{number:03d}", f"J{number:03d}"))
        write_spec(jobs[-1], folder / f"{number:03d}.json")
    changed = bytearray(area.files("media")["001/0.mov"])
    changed[-1] ^= 1
    area.replace("media/001/0.mov", bytes(changed))
    assert area.bucket is not None
    area.bucket.delete("media/004/0.mov")
    return jobs


def bucket_job(source: str, output: str, name: str) -> JobSpec:
    from proxx_flows.common.shared_store import places_from_environment

    return create((source,), output, "prores_proxy_half", name=name, places=places_from_environment())


def by_command(area: StorageArea, folder: Path, jobs: list[JobSpec]) -> tuple[list[Outcome], dict[str, str]]:
    """Runs all jobs with `proxx run` and a local store, one after another, and removes their outputs."""
    store = FileStore(folder / "alone")
    area.replace("proxies/003/0.mov", b"another file")
    for number, _ in enumerate(jobs):
        status = run_command_line(proxx, ["run", str(folder / f"{number:03d}.json"), "--store", store.uri])
        assert status == (1 if number in MUST_FAIL else 0)
    made = area.digests("proxies")
    area.clear("proxies")
    area.replace("proxies/003/0.mov", b"another file")
    return [outcome_of(store, job) for job in jobs], made


@pytest.mark.clause("I1", "I2", "I3", "I4", "A6", "T7", "V1")
def test_two_workers_and_a_bucket(site: PoolSite, tmp_path: Path) -> None:
    """The same bytes, logs and fingerprints as `proxx run` with a folder for a store."""
    area, pool = site.area, site.pool
    jobs = make_jobs(area, tmp_path)
    alone = by_command(area, tmp_path, jobs)
    pool.ensure_workers(2)
    output = pool.command("proxx", "submit", str(tmp_path), "--wait", status=1)
    for number, job in enumerate(jobs):
        ended = next(
            line for line in output.splitlines() if f"{job.name}: job" in line and "attempt 1: submitted" not in line
        )
        assert ("FAILED" if number in MUST_FAIL else "COMPLETED") in ended, output
        assert pool.lock_count(job) == 1
        (name,) = {entry.worker.name for entry in job_history(pool.store, job.job_id).entries}
        assert name in {worker.name for worker in pool.workers}
    assert ([outcome_of(pool.store, job) for job in jobs], area.digests("proxies")) == alone
    outcomes, files = alone
    assert {number: outcome.code for number, outcome in enumerate(outcomes) if outcome.code} == MUST_FAIL
    assert len(files) == sum(1 + number % 2 for number in range(JOBS)) - 2, "two jobs made nothing"
    assert area.bucket is not None
    assert area.bucket.uploads() == []
    audit = json.loads(pool.command("proxx", "audit", "--all", "--json", status=1))
    verdicts = {entry["job_id"]: entry["verdict"] for entry in audit["jobs"]}
    assert [verdicts[job.job_id] for job in jobs] == [
        "FAILED" if number in MUST_FAIL else "COMPLETED" for number, _ in enumerate(jobs)
    ]

    results = area.files("results")  # of each run, in the bucket and nowhere else
    assert {key.split("/")[1] for key in results if key.startswith("proxx/")} == {job.job_id for job in jobs}
    assert not (pool.folder / "results").exists()


READ_SUMMARY: Final = """
import sys
from proxx_flows.submission.summary import Summary
from proxx_flows.make_proxies import summary_of
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(summary_of(client.read_flow_run(sys.argv[1]).state).model_dump_json(by_alias=True))
"""


def test_make_proxies_dispatches_jobs_from_a_bucket(site: PoolSite) -> None:
    """One worker runs make-proxies, the other the job. The caller reads the summary from the result storage."""
    area, pool = site.area, site.pool
    area.put(half_second("a.mov", "05:00:00:00"), "media/card/a.mov")
    pool.ensure_workers(2)
    parameters = {
        "sources": ["media:/card"],
        "profile": "prores_proxy_half",
        "output": "proxies:/card",
        "deployment": "proxy-job/proxx",
    }
    with pool.client() as client:
        deployment = client.read_deployment_by_name("make-proxies/proxx")
        run = str(client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id)
    assert pool.wait_for_end(run).state_type == "COMPLETED", pool.run(run).state
    summary = json.loads(pool.command("python", "-c", READ_SUMMARY, run).splitlines()[-1])
    assert [proxy["output"] for job in summary["jobs"] for proxy in job["outputs"]] == ["proxies:/card/a.mov"]
    assert list(area.files("proxies/card")) == ["a.mov"]


@pytest.mark.clause("V2", "N2", "F4")
def test_a_killed_run_stays_held_and_the_next_attempt_completes_the_job(site: PoolSite) -> None:
    """It leaves nothing visible, and the commands that the audit names complete the job."""
    area, pool = site.area, site.pool
    area.put(long_clip(), "media/killed/long.mov")
    job = bucket_job("media:/killed", "proxies:/killed", "killed")
    pool.ensure_workers(2)
    run = pool.dispatch(job)
    with site.paused_encoders(job):
        os.kill(pool.pid(run), signal.SIGKILL)
    assert pool.wait_for_end(run).state_type == "CRASHED"
    assert site.encoders_end(job)
    assert area.files("proxies/killed") == {}
    assert area.bucket is not None
    assert area.bucket.uploads() == []
    assert job_status(pool.store, job.job_id).state == State.HELD
    finding = site.audit(job)
    assert (finding.verdict, finding.decide) == (JobVerdict.HELD, True)
    for step in finding.steps:
        words = step.command.replace("TEXT", "seen").split()
        pool.command(*words, *(("--wait",) if "submit" in words else ()))
    assert job_status(pool.store, job.job_id).state == State.COMPLETED
    assert list(area.files("proxies/killed")) == ["long.mov"]
    assert pool.lock_count(job) == 2


@only_rgw
def test_prefect_never_stores_a_credential(site: PoolSite) -> None:
    """Runs last, after runs of all kinds: searches database, blocks, results, and logs of server and workers."""
    pool, area = site.pool, site.area
    pool.ensure_workers(2)
    for worker in pool.workers:
        environ = psutil.Process(worker.process.pid).environ()
        assert environ["AWS_SECRET_ACCESS_KEY"] == secrets_of(area)[0], "the workers have it"
    pool.kill_all()  # nothing more is sent after this
    files = [path for path in pool.server.home.rglob("prefect.db*") if path.is_file()]
    assert files, "the database"
    logs = [*pool.folder.glob("*.log"), pool.server.log]
    assert sum(path.stat().st_size for path in files) > 100_000
    text = b"".join(path.read_bytes() for path in (*files, *logs))
    assert pool.store.uri.encode() in text, "the store's URL, in parameters and artifacts: the search works"
    text += block_from_the_api(pool)
    assert area.at("results").encode() in text
    job_files = b"".join(area.bucket.contents("store/").values()) if area.bucket else b""
    assert b"lock.acquired" in job_files
    results = b"".join(area.files("results").values())
    for secret in secrets_of(area):
        for where in (text, job_files, results):
            assert secret.encode() not in where


def secrets_of(area: StorageArea) -> tuple[str, str]:
    known = area.environment
    return known["AWS_SECRET_ACCESS_KEY"], known["AWS_ACCESS_KEY_ID"]


def block_from_the_api(pool: Pool) -> bytes:
    """Returns the block with its secrets, which are encrypted in the database."""
    import httpx

    kind, name = BLOCK.split("/")
    place = f"{pool.server.url}/block_types/slug/{kind}/block_documents/name/{name}"
    return httpx.get(place, params={"include_secrets": True}, timeout=30).content


@only_rgw
def test_a_worker_with_a_wrong_secret_does_not_start(site: PoolSite) -> None:
    worker = site.pool.start("wrong", AWS_SECRET_ACCESS_KEY="not-the-secret")  # noqa: S106
    assert worker.process.wait(120) == 6
    lines = [line for line in worker.log_text.splitlines() if not line.startswith("ListObjectsV2")]
    assert lines[0] == "proxx worker: this machine takes no jobs."
    assert [line.split(":")[0] for line in lines[1:]] == ["root media", "root proxies", "store"]
    assert all("the credentials are refused" in line for line in lines[1:]), lines
    assert "not-the-secret" not in worker.log_text
