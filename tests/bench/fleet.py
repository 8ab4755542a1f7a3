"""Measures a fleet's database and audit: `python -m tests.bench.fleet 10000` (100 jobs, 1,000, up to this number).

First 200 jobs of small real clips are run by a pool of two workers, with a Prefect server on PostgreSQL, to measure
what they leave in its database. Then the given number of jobs is registered and gets runs that nobody executes, and
`proxx audit` reads all of them. Prints Markdown tables: seconds, requests and memory, and rows and size of Prefect's
database for each job. The figures are of one machine in one run; 10,000 took 28 minutes on two cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
from proxx_flows.common.reference import JobReference

from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import register_job
from proxx.store.base import Store
from tests.bench.storage import one_clip_jobs
from tests.flows.pool import ENDED, Pool
from tests.flows.postgres import USER, Postgres, running_postgres
from tests.flows.server import Server, running_server
from tests.flows.specs import spec_like
from tests.objects.fault import proxying
from tests.support.jobs import make_job

AT_ONCE: Final = 8
EXECUTED: Final = 200
PATIENCE: Final = 3600  # seconds for all of them
POLLING: Final = 8  # seconds
HEAD: Final = ("jobs", "registered, s", "ms a job", "runs created, s", "a second", "audit, s", "its requests",
               "peak MB", "polls a second", "rows a job not run", "kB a job not run")  # fmt: skip
COUNT_ROWS: Final = (
    "SELECT coalesce(sum((xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I.%I', schemaname, "
    "tablename), false, true, '')))[1]::text::int), 0) FROM pg_tables WHERE schemaname = 'public'"
)


def rows(cluster: Postgres) -> int:
    """Returns the number of rows in all of Prefect's tables."""
    argv = [str(cluster.bin / "psql"), "-h", "127.0.0.1", "-p", str(cluster.port), "-U", USER, "-Atc", COUNT_ROWS]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def size(cluster: Postgres) -> int:
    """Returns the size of the database in bytes."""
    query = "SELECT pg_database_size('postgres')"
    argv = [str(cluster.bin / "psql"), "-h", "127.0.0.1", "-p", str(cluster.port), "-U", USER, "-Atc", query]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def create_runs(server: Server, deployment: str, references: list[JobReference]) -> float:
    """Creates a run for each reference, several at once. Returns the seconds it took."""
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from proxx_flows.common import api

    def create(reference: JobReference) -> None:
        with temporary_settings({PREFECT_API_URL: server.url}):
            api.create_run(deployment, reference, dispatch=1, name=reference.job_id[:12])

    since = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(create, references))
    return time.perf_counter() - since


def audit(server: Server, store: Store) -> tuple[float, int, float, int]:
    """Runs `proxx audit`. Returns seconds, requests to the API, peak MB, and the number of jobs it names."""
    argv = [sys.executable, "-m", "proxx", "audit", "--json", "--store", store.uri]
    with proxying(server.ui) as counting, tempfile.TemporaryFile() as output:
        env = server.env(PREFECT_API_URL=f"{counting.url}/api")
        since = time.perf_counter()
        process = subprocess.Popen(argv, env=env, stdout=output)
        _, _, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - since
        output.seek(0)
        return took, len(counting.requests()), used.ru_maxrss / 1024, json.load(output)["counts"]["jobs"]


def polls(server: Server) -> float:
    """Returns how many polls a second the server answers. Each asks for due runs, and every run is due."""
    body = {"scheduled_before": datetime.now(UTC).isoformat()}
    until = time.perf_counter() + POLLING

    def poll(_: int) -> int:
        count = 0
        with httpx.Client(timeout=120) as client:
            while time.perf_counter() < until:
                answer = client.post(f"{server.url}/work_pools/proxx/get_scheduled_flow_runs", json=body)
                answer.raise_for_status()
                count += 1
        return count

    since = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answered = sum(pool.map(poll, range(AT_ONCE)))
    return answered / (time.perf_counter() - since)


def execute_real(pool: Pool, cluster: Postgres, folder: Path, count: int) -> Iterator[str]:
    """Runs real jobs with two workers until they end. Yields the lines of a table."""
    roots = f"media={folder}/media;proxies={folder}/proxies"
    (folder / "proxies").mkdir()
    jobs = one_clip_jobs(count, roots, folder)
    pool.more["PROXX_ROOTS"] = roots
    pool.ensure_workers()
    rows_before, bytes_before, since = rows(cluster), size(cluster), time.perf_counter()
    runs = [pool.dispatch(job) for job in jobs]
    for run_id in runs:
        while (state := pool.run(run_id).state) is None or state.type.value not in ENDED:
            assert time.perf_counter() - since < PATIENCE, pool.worker_logs()
            time.sleep(1)
        assert state.type.value == "COMPLETED", pool.worker_logs()
    took = time.perf_counter() - since
    pool.kill_all()
    time.sleep(10)  # the server writes events and logs some seconds later
    a_job = (rows(cluster) - rows_before) / count
    kilobytes = (size(cluster) - bytes_before) / count / 1000
    yield "| real jobs by two workers | s | s a job | rows a job | kB a job |"
    yield "|---|---|---|---|---|"
    yield f"| {count:,} | {took:.0f} | {took / count:.2f} | {a_job:.1f} | {kilobytes:.1f} |"
    yield ""


def tables(sizes: tuple[int, ...], executed: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as own, running_postgres(Path(own) / "pg") as cluster:
        folder = Path(own)
        folder.chmod(0o755)
        with running_server(folder / "prefect", cluster.url) as server:
            pool = Pool(server, folder)
            pool.set_up()
            try:
                yield from execute_real(pool, cluster, folder, executed)
                yield from growth(pool, cluster, sizes, executed)
            finally:
                pool.kill_all()


def growth(pool: Pool, cluster: Postgres, sizes: tuple[int, ...], executed: int) -> Iterator[str]:
    """Registers jobs, creates their runs, and audits all jobs. Yields the lines of a table."""
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{'---|' * len(HEAD)}"
    server, store = pool.server, pool.store
    with pool.client() as client:
        deployment = str(client.read_deployment_by_name("proxy-job/proxx").id)
    base = make_job(Path("/proxies"), "prores_proxy_half")
    made, rows_before, bytes_before = 0, rows(cluster), size(cluster)
    for count in sizes:
        jobs = [spec_like(base, Path(f"/proxies/{number}.mov"), f"A{number}") for number in range(made, count)]
        since = time.perf_counter()
        for job in jobs:
            register(job, store)
        registered = time.perf_counter() - since
        references = [
            JobReference(store=store.uri, job_id=job.job_id, attempt=1, store_uuid=pool.uuid) for job in jobs
        ]
        created = create_runs(server, deployment, references)
        took, requests, peak, named = audit(server, store)
        assert named == count + executed, (named, count, executed)
        polled = polls(server)
        new, made = len(jobs), count
        a_job = (rows(cluster) - rows_before) / count
        kilobytes = (size(cluster) - bytes_before) / count / 1000
        seconds = (
            registered,
            registered / new * 1000,
            created,
            new / created,
            took,
            requests,
            peak,
            polled,
            a_job,
            kilobytes,
        )
        yield f"| {count:,} | {' | '.join(f'{figure:,.1f}' for figure in seconds)} |"


def register(job: JobSpec, store: Store) -> None:
    register_job(job, spec_bytes(job), store, this_worker(), "bench")


if __name__ == "__main__":
    os.environ.setdefault("CI", "true")  # a missing PostgreSQL is an error here
    most = int(sys.argv[1])
    executed = int(sys.argv[2]) if len(sys.argv) > 2 else EXECUTED
    for line in tables(tuple(number for number in (100, 1000, 10_000) if number <= most), executed):
        print(line, flush=True)
