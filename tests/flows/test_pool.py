"""Two worker processes run many jobs on a real server: the same bytes, logs and fingerprints as `proxx run`.

PROXX_POOL_JOBS=200 runs more jobs.
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
class Outcome:
    """The outcome of one job, with everything that must not depend on where it ran."""

    state: State
    code: str | None
    log: tuple[dict[str, Json], ...]
    fingerprint: str | None


def make_jobs(folder: Path, count: int) -> list[JobSpec]:
    """Creates jobs of one or two clips, all different. Those in MUST_FAIL are spoiled later."""
    jobs = []
    for number in range(count):
        files = []
        for clip in range(1 + number % 2):
            original = half_second(f"{number:03d}.mov", f"01:{clip:02d}:{number // 25:02d}:{number % 25:02d}")
            files.append(folder / "camera" / f"{number:03d}-{clip}.mov")
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            files[-1].write_bytes(original.read_bytes())
        output = folder / "proxies" / f"{number:03d}"
        jobs.append(create(tuple(files), output, "prores_proxy_half", name=f"J{number:03d}"))
        write_spec(jobs[-1], folder / "specs" / f"{number:03d}.json")
    return jobs


def spoil(folder: Path, jobs: list[JobSpec]) -> None:
    """Makes each job in MUST_FAIL fail for its own reason."""
    first = {number: jobs[number].clips[0] for number in MUST_FAIL}
    changed = Path(first[1].source.files[0].uri)
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    foreign = Path(first[3].outputs[0].uri)
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"another file")
    Path(first[4].source.files[0].uri).unlink()


def outcome_of(store: Store, job: JobSpec) -> Outcome:
    status = job_status(store, job.job_id)
    (attempt,) = read_attempts(store, job.job_id)
    assert isinstance(attempt.state, Closed)
    latest = status.attempts[-1]
    return Outcome(status.state, latest.code, canonical_log(attempt.events), latest.fingerprint)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "specs").mkdir()
    yield tmp_path


def by_command(folder: Path, jobs: list[JobSpec]) -> tuple[list[Outcome], dict[str, str]]:
    """Runs all jobs with `proxx run`, one after another, and moves their outputs away."""
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
    foreign.write_bytes(b"another file")
    return [outcome_of(store, job) for job in jobs], made


def by_the_pool(pool: Pool, folder: Path, jobs: list[JobSpec]) -> tuple[list[Outcome], dict[str, str]]:
    """Runs all jobs with two workers, and checks the states in Prefect."""
    pool.ensure_workers(2)
    runs = [pool.dispatch(job) for job in jobs]
    ended = [pool.wait_for_end(run) for run in runs]
    for number, (run, end) in enumerate(zip(runs, ended, strict=True)):
        assert end.state is not None
        assert pool.states(run).count("RUNNING") == 1
        if number in MUST_FAIL:
            assert end.state.type.value == "FAILED"
            assert MUST_FAIL[number] in str(end.state.message)
        else:
            assert end.state.type.value == "COMPLETED"
        assert pool.lock_count(jobs[number]) == 1
        (name,) = {entry.worker.name for entry in job_history(pool.store, jobs[number].job_id).entries}
        assert name in {worker.name for worker in pool.workers}
    return [outcome_of(pool.store, job) for job in jobs], digests(folder / "proxies")


def compare_both(pool: Pool, folder: Path, count: int) -> None:
    jobs = make_jobs(folder, count)
    spoil(folder, jobs)
    alone = by_command(folder, jobs)
    assert by_the_pool(pool, folder, jobs) == alone
    outcomes, files = alone
    assert {number: outcome.code for number, outcome in enumerate(outcomes) if outcome.code} == MUST_FAIL
    assert len({outcome.fingerprint for outcome in outcomes}) == count
    assert len(files) == sum(len(job.clips) for job in jobs) - 2  # two jobs have no output, one only the other file
    assert not list((folder / "proxies").rglob(".*")), "no unfinished file is left"


@pytest.mark.clause("I5")
@pytest.mark.clause("I1", "I2", "I3", "I4", lead=True)
@pytest.mark.clause("V1", "A4", "A7", "F4", "T1")
def test_on_sqlite(pool: Pool, folder: Path) -> None:
    """Many jobs, some failing, by the workers of a pool: bytes, logs, fingerprints, failures as with `proxx run`."""
    compare_both(pool, folder, JOBS)


@pytest.mark.clause("I1", "V1", "F4")
def test_on_postgresql(on_postgresql: tuple[Postgres, Pool], folder: Path) -> None:
    compare_both(on_postgresql[1], folder, FEWER)
