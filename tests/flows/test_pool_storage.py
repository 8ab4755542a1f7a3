"""A pool whose machines share nothing but a bucket and the Prefect API.

Sources, proxies, job files and results are in the bucket; the workers have its keys in their environment, and nothing
of Prefect ever has them.
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
from tests.flows.ground import Ground
from tests.flows.pool import Pool
from tests.flows.test_pool import Made, became
from tests.flows.yard import Yard, a_yard, long_clip
from tests.support.jobs import create, half_second, write_spec

JOBS: Final = 6
MUST_FAIL: Final = {1: "SOURCE_CHANGED", 3: "OUTPUT_EXISTS", 4: "SOURCE_MISSING"}
BLOCK: Final = "remote-file-system/proxx-bucket"
ROOTS: Final = ("media", "proxies")


only_rgw = pytest.mark.parametrize("yard", ["rgw"], indirect=True)  # moto believes every signature


@pytest.fixture(scope="module", params=["moto", "rgw"])
def yard(pool: Pool, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """On the session's Prefect server, with workers of its own."""
    with a_yard(pool, request.param, request, tmp_path_factory.mktemp("yard"), ROOTS) as made:
        made.pool.more["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"] = BLOCK
        keep_results(made.pool, made.ground)
        yield made


def keep_results(pool: Pool, ground: Ground) -> None:
    """The runbook's command for a block, with the test's place."""
    from tests.flows import runbook

    (line,) = runbook.block("results")
    code = line.split('"')[1].replace("s3://proxx-results/prefect", ground.at("results"))
    assert ground.at("results") in code
    pool.command("python", "-c", code.replace("'proxx'", "'proxx-bucket'"))


def make_jobs(ground: Ground, folder: Path) -> list[JobSpec]:
    """Jobs of one or two clips, all different, by names below roots; three have something wrong since creation."""
    jobs = []
    for number in range(JOBS):
        for clip in range(1 + number % 2):
            made = half_second(f"{number:03d}.mov", f"01:{clip:02d}:00:{number:02d}")
            ground.put(made, f"media/{number:03d}/{clip}.mov")
        jobs.append(bucket_job(f"media:/{number:03d}", f"proxies:/{number:03d}", f"J{number:03d}"))
        write_spec(jobs[-1], folder / f"{number:03d}.json")
    changed = bytearray(ground.files("media")["001/0.mov"])
    changed[-1] ^= 1
    ground.replace("media/001/0.mov", bytes(changed))
    assert ground.bucket is not None
    ground.bucket.delete("media/004/0.mov")
    return jobs


def bucket_job(source: str, output: str, name: str) -> JobSpec:
    from proxx_flows.common.shared_store import places_here

    return create((source,), output, "prores_proxy_half", name=name, places=places_here())


def by_command(ground: Ground, folder: Path, jobs: list[JobSpec]) -> tuple[list[Made], dict[str, str]]:
    """All jobs by `proxx run` with a store on this machine, one after another; their outputs are taken away again."""
    store = FileStore(folder / "alone")
    ground.replace("proxies/003/0.mov", b"somebody else's")
    for number, _ in enumerate(jobs):
        status = run_command_line(proxx, ["run", str(folder / f"{number:03d}.json"), "--store", store.uri])
        assert status == (1 if number in MUST_FAIL else 0)
    made = ground.digests("proxies")
    ground.clear("proxies")
    ground.replace("proxies/003/0.mov", b"somebody else's")
    return [became(store, job) for job in jobs], made


@pytest.mark.clause("I1", "I2", "I3", "I4", "A6", "T7", "V1")
def test_two_workers_and_a_bucket(yard: Yard, tmp_path: Path) -> None:
    """The same bytes, logs and fingerprints as `proxx run` with a folder for a store."""
    ground, pool = yard.ground, yard.pool
    jobs = make_jobs(ground, tmp_path)
    alone = by_command(ground, tmp_path, jobs)
    pool.staff(2)
    said = pool.command("proxx", "submit", str(tmp_path), "--wait", status=1)
    for number, job in enumerate(jobs):
        ended = next(
            line for line in said.splitlines() if f"{job.name}: job" in line and "attempt 1: asked" not in line
        )
        assert ("FAILED" if number in MUST_FAIL else "COMPLETED") in ended, said
        assert pool.acquired(job) == 1
        (name,) = {entry.worker.name for entry in job_history(pool.store, job.job_id).entries}
        assert name in {worker.name for worker in pool.workers}
    assert ([became(pool.store, job) for job in jobs], ground.digests("proxies")) == alone
    made, files = alone
    assert {number: one.code for number, one in enumerate(made) if one.code} == MUST_FAIL
    assert len(files) == sum(1 + number % 2 for number in range(JOBS)) - 2, "two have no output, one has a stranger's"
    assert ground.bucket is not None
    assert ground.bucket.uploads() == []
    told = json.loads(pool.command("proxx", "audit", "--all", "--json", status=1))
    verdicts = {one["job_id"]: one["verdict"] for one in told["jobs"]}
    assert [verdicts[job.job_id] for job in jobs] == [
        "FAILED" if number in MUST_FAIL else "COMPLETED" for number, _ in enumerate(jobs)
    ]

    results = ground.files("results")  # each run's, in the bucket and nowhere else
    assert {key.split("/")[1] for key in results if key.startswith("proxx/")} == {job.job_id for job in jobs}
    assert not (pool.folder / "results").exists()


READ: Final = """
import sys
from proxx_flows.submission.summary import Summary
from proxx_flows.make_proxies import summary_of
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(summary_of(client.read_flow_run(sys.argv[1]).state).model_dump_json(by_alias=True))
"""


def test_make_proxies_hands_out_what_is_in_the_bucket(yard: Yard) -> None:
    """Two workers: the one follows, the other works. Who asked reads the summary from the results."""
    ground, pool = yard.ground, yard.pool
    ground.put(half_second("a.mov", "05:00:00:00"), "media/card/a.mov")
    pool.staff(2)
    parameters = {
        "sources": ["media:/card"],
        "profile": "prores_proxy_half",
        "output": "proxies:/card",
        "deployment": "proxy-job/proxx",
    }
    with pool.client() as client:
        deployment = client.read_deployment_by_name("make-proxies/proxx")
        run = str(client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id)
    assert pool.await_end(run).state_type == "COMPLETED", pool.run(run).state
    made = json.loads(pool.command("python", "-c", READ, run).splitlines()[-1])
    assert [proxy["output"] for job in made["jobs"] for proxy in job["outputs"]] == ["proxies:/card/a.mov"]
    assert list(ground.files("proxies/card")) == ["a.mov"]


@pytest.mark.clause("V2", "N2", "F4")
def test_a_killed_run_is_held_and_the_next_attempt_makes_it(yard: Yard) -> None:
    """Nothing of it is visible, and the audit's own commands bring it to its end."""
    ground, pool = yard.ground, yard.pool
    ground.put(long_clip(), "media/killed/long.mov")
    job = bucket_job("media:/killed", "proxies:/killed", "killed")
    pool.staff(2)
    run = pool.dispatch(job)
    with yard.held(job):
        os.kill(pool.pid(run), signal.SIGKILL)
    assert pool.await_end(run).state_type == "CRASHED"
    assert yard.gone(job)
    assert ground.files("proxies/killed") == {}
    assert ground.bucket is not None
    assert ground.bucket.uploads() == []
    assert job_status(pool.store, job.job_id).state == State.HELD
    held = yard.finding(job)
    assert (held.verdict, held.decide) == (JobVerdict.HELD, True)
    for step in held.steps:
        words = step.command.replace("TEXT", "seen").split()
        pool.command(*words, *(("--wait",) if "submit" in words else ()))
    assert job_status(pool.store, job.job_id).state == State.COMPLETED
    assert list(ground.files("proxies/killed")) == ["long.mov"]
    assert pool.acquired(job) == 2


@only_rgw
def test_no_credential_is_anywhere_in_prefect(yard: Yard) -> None:
    """Last, after runs of all kinds: its database (logs, events, artifacts, parameters), blocks, workers' words."""
    pool, ground = yard.pool, yard.ground
    pool.staff(2)
    for worker in pool.workers:
        environ = psutil.Process(worker.process.pid).environ()
        assert environ["AWS_SECRET_ACCESS_KEY"] == secrets_of(ground)[0], "it is where it belongs"
    pool.kill_all()  # what they had to send is sent, or is not
    files = [path for path in pool.server.home.rglob("prefect.db*") if path.is_file()]
    assert files, "its database"
    logs = [*pool.folder.glob("*.log"), pool.server.log]
    assert sum(path.stat().st_size for path in files) > 100_000
    text = b"".join(path.read_bytes() for path in (*files, *logs))
    assert pool.store.uri.encode() in text, "in parameters and artifacts: the search can find"
    text += block_as_the_api_tells_it(pool)
    assert ground.at("results").encode() in text
    kept = b"".join(ground.bucket.contents("store/").values()) if ground.bucket else b""
    assert b"lock.acquired" in kept
    results = b"".join(ground.files("results").values())
    for secret in secrets_of(ground):
        for where in (text, kept, results):
            assert secret.encode() not in where


def secrets_of(ground: Ground) -> tuple[str, str]:
    known = ground.environment
    return known["AWS_SECRET_ACCESS_KEY"], known["AWS_ACCESS_KEY_ID"]


def block_as_the_api_tells_it(pool: Pool) -> bytes:
    """With its secrets, which the database has encrypted."""
    import httpx

    kind, name = BLOCK.split("/")
    place = f"{pool.server.url}/block_types/slug/{kind}/block_documents/name/{name}"
    return httpx.get(place, params={"include_secrets": True}, timeout=30).content


@only_rgw
def test_a_wrong_secret_keeps_a_worker_out(yard: Yard) -> None:
    worker = yard.pool.start("wrong", AWS_SECRET_ACCESS_KEY="geheim-geheim-geheim")  # noqa: S106
    assert worker.process.wait(120) == 6
    lines = [line for line in worker.words.splitlines() if not line.startswith("ListObjectsV2")]
    assert lines[0] == "proxx worker: this machine takes no jobs."
    assert [line.split(":")[0] for line in lines[1:]] == ["root media", "root proxies", "store"]
    assert all("the credentials are refused" in line for line in lines[1:]), lines
    assert "geheim" not in worker.words
