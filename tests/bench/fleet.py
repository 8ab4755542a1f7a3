"""Measures a fleet's books: `python -m tests.bench.fleet 1000` (100 jobs, 1,000, up to the number given).

Jobs are registered in a store, each gets its run on a Prefect server on PostgreSQL, `proxx audit` looks at all. None
is executed. Prints a Markdown table: seconds to register and to ask for runs, seconds and memory of an audit, rows
and size of Prefect's database a job. Figures of one machine in one run; 10,000 take most of an hour.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from flows.reference import JobReference
from proxx.event import this_worker
from proxx.execute import register_job
from proxx.job import JobSpec, spec_bytes
from proxx.store import FileStore, init
from tests.flows.deploy import deploy
from tests.flows.postgres import USER, Postgres, database
from tests.flows.server import Server, serving
from tests.flows.specs import spec_like
from tests.jobs import make_job

AT_ONCE: Final = 8
HEAD: Final = ("jobs", "registered, s", "ms a job", "runs asked for, s", "a second", "audit, s", "peak MB",
               "rows a job", "kB a job")  # fmt: skip
COUNT_ROWS: Final = (
    "SELECT coalesce(sum((xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I.%I', schemaname, "
    "tablename), false, true, '')))[1]::text::int), 0) FROM pg_tables WHERE schemaname = 'public'"
)


def rows(cluster: Postgres) -> int:
    """Rows of all of Prefect's tables."""
    argv = [str(cluster.bin / "psql"), "-h", "127.0.0.1", "-p", str(cluster.port), "-U", USER, "-Atc", COUNT_ROWS]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def size(cluster: Postgres) -> int:
    """Bytes of the database."""
    asked = "SELECT pg_database_size('postgres')"
    argv = [str(cluster.bin / "psql"), "-h", "127.0.0.1", "-p", str(cluster.port), "-U", USER, "-Atc", asked]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def ask(server: Server, deployment: str, references: list[JobReference]) -> float:
    """Seconds to ask for a run of each, several at once."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows import api

    def one(reference: JobReference) -> None:
        with temporary_settings({PREFECT_API_URL: server.url}):
            api.create_run(deployment, reference, dispatch=1, name=reference.job_id[:12])

    since = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, references))
    return time.perf_counter() - since


def audit(server: Server, store: FileStore) -> tuple[float, float, int]:
    """(seconds, peak MB, jobs named) of the real command."""
    argv = ["/usr/bin/time", "-f", "peak %M", sys.executable, "-m", "proxx", "audit", "--json", "--store", store.uri]
    since = time.perf_counter()
    done = subprocess.run(argv, env=server.env(), capture_output=True, text=True, check=False)
    took = time.perf_counter() - since
    peak = re.search(r"peak (\d+)", done.stderr)
    assert peak, done.stderr
    return took, int(peak[1]) / 1024, json.loads(done.stdout)["counts"]["jobs"]


def table(sizes: tuple[int, ...]) -> Iterator[str]:
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{'---|' * len(HEAD)}"
    with tempfile.TemporaryDirectory() as own, database(Path(own) / "pg") as cluster:
        folder = Path(own)
        folder.chmod(0o755)
        store = FileStore(folder / "store")
        known = init(store)
        base = make_job(Path("/proxies"), "prores_proxy_half")
        with serving(folder / "prefect", cluster.url) as server:
            deployment = deploy(server)
            made, before, bytes_before = 0, rows(cluster), size(cluster)
            for count in sizes:
                jobs = [
                    spec_like(base, Path(f"/proxies/{number}.mov"), f"A{number}") for number in range(made, count)
                ]
                since = time.perf_counter()
                for job in jobs:
                    register(job, store)
                registered = time.perf_counter() - since
                asked = ask(
                    server,
                    deployment,
                    [
                        JobReference(store=store.uri, job_id=job.job_id, attempt=1, store_uuid=known.uuid)
                        for job in jobs
                    ],
                )
                took, peak, named = audit(server, store)
                assert named == count, (named, count)
                new = len(jobs)
                made = count
                a_job = (rows(cluster) - before) / count
                kilobytes = (size(cluster) - bytes_before) / count / 1000
                seconds = (registered, registered / new * 1000, asked, new / asked, took, peak, a_job, kilobytes)
                yield f"| {count:,} | {' | '.join(f'{figure:.1f}' for figure in seconds)} |"


def register(job: JobSpec, store: FileStore) -> None:
    register_job(job, spec_bytes(job), store, this_worker(), "bench")


if __name__ == "__main__":
    os.environ.setdefault("CI", "true")  # a missing PostgreSQL is an error here
    most = int(sys.argv[1])
    for line in table(tuple(number for number in (100, 1000, 10_000) if number <= most)):
        print(line, flush=True)
