"""Many jobs on a real server by two worker processes: the same bytes, logs and fingerprints as `proxx run`.

PROXX_POOL_JOBS=200 makes it longer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from proxx.cli.main import proxx
from proxx.console.running import run_command_line
from proxx.contracts.canonical import Json
from proxx.contracts.job import JobSpec
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.status import State, job_history, job_status
from tests.flows.pool import Pool, digests
from tests.flows.postgres import Postgres
from tests.support.jobs import create, half_second, write_spec
from tests.support.results import canonical_log

JOBS: Final = int(os.environ.get("PROXX_POOL_JOBS", "8"))
FEWER: Final = int(os.environ.get("PROXX_POOL_JOBS", "6"))  # on the second database
MUST_FAIL: Final = {1: "SOURCE_CHANGED", 3: "OUTPUT_EXISTS", 4: "SOURCE_MISSING"}


@dataclass(frozen=True)
class Made:
    """What became of one job, with all that may not differ by where it ran."""

    state: State
    code: str | None
    log: tuple[dict[str, Json], ...]
    fingerprint: str | None


def make_jobs(folder: Path, count: int) -> list[JobSpec]:
    """Jobs of one or two clips, all different; those of MUST_FAIL have something wrong with them since creation."""
    jobs = []
    for number in range(count):
        files = []
        for clip in range(1 + number % 2):
            made = half_second(f"{number:03d}.mov", f"01:{clip:02d}:{number // 25:02d}:{number % 25:02d}")
            files.append(folder / "camera" / f"{number:03d}-{clip}.mov")
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            files[-1].write_bytes(made.read_bytes())
        output = folder / "proxies" / f"{number:03d}"
        jobs.append(create(tuple(files), output, "prores_proxy_half", name=f"J{number:03d}"))
        write_spec(jobs[-1], folder / "specs" / f"{number:03d}.json")
    return jobs


def spoil(folder: Path, jobs: list[JobSpec]) -> None:
    """Each of MUST_FAIL by its own reason."""
    first = {number: jobs[number].clips[0] for number in MUST_FAIL}
    changed = Path(first[1].source.files[0].uri)
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    foreign = Path(first[3].outputs[0].uri)
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"somebody else's")
    Path(first[4].source.files[0].uri).unlink()


def became(store: Store, job: JobSpec) -> Made:
    status = job_status(store, job.job_id)
    (attempt,) = read_attempts(store, job.job_id)
    assert isinstance(attempt.state, Closed)
    latest = status.attempts[-1]
    return Made(status.state, latest.code, canonical_log(attempt.events), latest.fingerprint)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "specs").mkdir()
    yield tmp_path


def by_command(folder: Path, jobs: list[JobSpec]) -> tuple[list[Made], dict[str, str]]:
    """All jobs by `proxx run`, one after another; their outputs are taken away again."""
    place = folder / "alone"
    place.mkdir()
    store = FileStore(place / "store")
    for number, _ in enumerate(jobs):
        spec = folder / "specs" / f"{number:03d}.json"
        assert run_command_line(proxx, ["run", str(spec), "--store", store.uri]) == (1 if number in MUST_FAIL else 0)
    made = digests(folder / "proxies")
    (folder / "proxies").rename(place / "proxies")
    foreign = Path(jobs[3].clips[0].outputs[0].uri)
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"somebody else's")
    return [became(store, job) for job in jobs], made


def by_the_pool(pool: Pool, folder: Path, jobs: list[JobSpec]) -> tuple[list[Made], dict[str, str]]:
    """All jobs by two workers; what Prefect says of each is compared here."""
    pool.staff(2)
    runs = [pool.dispatch(job) for job in jobs]
    ended = [pool.await_end(run) for run in runs]
    for number, (run, end) in enumerate(zip(runs, ended, strict=True)):
        assert end.state is not None
        assert pool.states(run).count("RUNNING") == 1
        if number in MUST_FAIL:
            assert end.state.type.value == "FAILED"
            assert MUST_FAIL[number] in str(end.state.message)
        else:
            assert end.state.type.value == "COMPLETED"
        assert pool.acquired(jobs[number]) == 1
        (name,) = {entry.worker.name for entry in job_history(pool.store, jobs[number].job_id).entries}
        assert name in {worker.name for worker in pool.workers}
    return [became(pool.store, job) for job in jobs], digests(folder / "proxies")


def same_by_both(pool: Pool, folder: Path, count: int) -> None:
    jobs = make_jobs(folder, count)
    spoil(folder, jobs)
    alone = by_command(folder, jobs)
    assert by_the_pool(pool, folder, jobs) == alone
    made, files = alone
    assert {number: one.code for number, one in enumerate(made) if one.code} == MUST_FAIL
    assert len({one.fingerprint for one in made}) == count
    assert len(files) == sum(len(job.clips) for job in jobs) - 2  # two have no output, one has a stranger's
    assert not list((folder / "proxies").rglob(".*")), "nothing unfinished is left"


@pytest.mark.clause("I5")
@pytest.mark.clause("I1", "I2", "I3", "I4", lead=True)
@pytest.mark.clause("V1", "A4", "A7", "F4", "T1")
def test_on_sqlite(pool: Pool, folder: Path) -> None:
    """Many jobs, some that fail, by a pool's workers: bytes, logs, fingerprints and failures as by `proxx run`."""
    same_by_both(pool, folder, JOBS)


@pytest.mark.clause("I1", "V1", "F4")
def test_on_postgresql(on_postgresql: tuple[Postgres, Pool], folder: Path) -> None:
    same_by_both(on_postgresql[1], folder, FEWER)
