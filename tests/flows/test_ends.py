"""Every way a run, a worker or a server can end, by real processes and signals.

After each: nothing ran twice, no ffmpeg survives, no output is half there, and Prefect's state agrees with the
ledger or `audit` says how it differs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows.audit import Audit, Tally
from flows.verdict import Finding, Verdict
from proxx.job import JobSpec
from proxx.status import State, job_status
from tests.flows.pool import Pool, digests, encoders, until
from tests.flows.postgres import database
from tests.flows.server import serving
from tests.jobs import create, make_job
from tests.makemedia import make, picture

SECONDS = 40  # of picture: some seconds of encoding on an idle machine


def sources(folder: Path, clips: int = 1) -> tuple[Path, ...]:
    """Long clips, by names that no other test's encoders have."""
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
    made = make("long.mov", *picture(size="1280x720", seconds=str(SECONDS)), *encoder)
    folder.mkdir()
    return tuple([Path(shutil.copy(made, folder / f"{folder.parent.name}-{index}.mov")) for index in range(clips)])


def long_job(folder: Path, clips: int = 1) -> tuple[JobSpec, Path]:
    """A job that takes long, and its first source."""
    files = sources(folder / "camera", clips)
    return create(files, folder / "proxies", "prores_proxy_half", name=folder.name), files[0]


def found(pool: Pool, job: JobSpec) -> Finding:
    """What audit says of the job."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: pool.server.url}):
        findings = Audit(store=pool.store, store_id=pool.identity).findings(Tally())
        return next(finding for finding in findings if finding.job_id == job.job_id)


def outputs(folder: Path) -> list[str]:
    return sorted(digests(folder / "proxies")) if (folder / "proxies").exists() else []


def gone(source: Path) -> bool:
    until(lambda: not encoders(source.parent), "ffmpeg is gone")
    return True


@pytest.mark.clause("V2")
@pytest.mark.clause("N2")
@pytest.mark.clause("F4")
def test_a_killed_run_is_crashed_and_held(pool: Pool, tmp_path: Path) -> None:
    job, source = long_job(tmp_path)
    with pool.working("kill-1", "kill-2"):
        run = pool.dispatch(job)
        pool.await_encoder(source)
        os.kill(pool.pid(run), signal.SIGKILL)
        assert pool.await_end(run).state_type == "CRASHED"
        assert gone(source)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert outputs(tmp_path) == []
    assert job_status(pool.store, job.job_id).state == State.HELD
    audit = found(pool, job)
    assert (audit.verdict, audit.decide, audit.differs) == (Verdict.HELD, True, True)
    assert any("unlock" in step.command for step in audit.steps)


@pytest.mark.clause("T4")
@pytest.mark.clause("N2")
def test_a_killed_worker_leaves_its_run_alone(pool: Pool, tmp_path: Path) -> None:
    job, source = long_job(tmp_path)
    with pool.working("dies") as (dies,):
        run = pool.dispatch(job)
        pool.await_encoder(source)
        with pool.joined("lives"):
            assert dies.end(signal.SIGKILL) == -signal.SIGKILL
            assert pool.await_end(run).state_type == "COMPLETED"
    assert gone(source)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert outputs(tmp_path) == [f"{source.stem}.mov"]
    audit = found(pool, job)
    assert (audit.verdict, audit.decide, audit.differs) == (Verdict.COMPLETED, False, False)


@pytest.mark.clause("T4")
def test_workers_drain(pool: Pool, tmp_path: Path) -> None:
    """One is sent SIGTERM, the other SIGINT, each twice: both finish what they have and take nothing more."""
    jobs = [long_job(_made(tmp_path / name)) for name in ("term", "int")]
    with pool.working("drains-1", "drains-2") as workers:
        runs = [pool.dispatch(job) for job, _ in jobs]
        for _, source in jobs:
            pool.await_encoder(source)
        for worker, number in zip(workers, (signal.SIGTERM, signal.SIGINT), strict=True):
            worker.send(number)
        for worker, number in zip(workers, (signal.SIGTERM, signal.SIGINT), strict=True):
            until(lambda w=worker: "no more runs are taken" in w.words, "it was told", pool.said)  # type: ignore[misc]
            worker.send(number)
        waiting = pool.dispatch(make_job(tmp_path / "later", "prores_proxy_half"))
        assert [worker.process.wait(120) for worker in workers] == [0, 0]
    assert [pool.run(run).state_type for run in runs] == ["COMPLETED", "COMPLETED"]
    assert [pool.states(run).count("RUNNING") for run in runs] == [1, 1]
    assert pool.states(waiting) == ["SCHEDULED"]
    pool.cancel(waiting)
    for job, source in jobs:
        assert gone(source)
        assert pool.acquired(job) == 1
        assert job_status(pool.store, job.job_id).state == State.COMPLETED


@pytest.mark.clause("V2")
def test_a_cancelled_run_gives_its_attempt_back(pool: Pool, tmp_path: Path) -> None:
    job, source = long_job(tmp_path, clips=8)
    with pool.working("cancel-1", "cancel-2"):
        run = pool.dispatch(job)
        pool.await_encoder(source)
        pool.cancel(run)
        assert pool.await_end(run).state_type == "CANCELLED"
        assert pool.await_ledger(job, State.FAILED) == State.FAILED
        assert gone(source)
    latest = job_status(pool.store, job.job_id).attempts[-1]
    assert latest.code == "INTERRUPTED"
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    whole = [clip.outputs[0].uri for clip in job.clips][: len(outputs(tmp_path))]
    assert [str(tmp_path / "proxies" / name) for name in outputs(tmp_path)] == whole
    audit = found(pool, job)
    assert (audit.verdict, audit.differs) == (Verdict.FAILED, False)


@pytest.mark.clause("T2")
@pytest.mark.clause("P5")
@pytest.mark.clause("P6")
def test_two_runs_of_one_attempt(pool: Pool, tmp_path: Path) -> None:
    """By different keys, which `submit` never makes: two workers have the same job in hand."""
    job, source = long_job(tmp_path, clips=3)
    with pool.working("twice-1", "twice-2"):
        first = pool.dispatch(job, key=f"{tmp_path}-1")
        pool.await_encoder(source)
        second = pool.dispatch(job, key=f"{tmp_path}-2")
        refused = pool.await_end(second)
        assert refused.state is not None
        assert refused.state.type == "FAILED"
        assert "LOCKED" in str(refused.state.message)
        assert pool.await_end(first).state_type == "COMPLETED"
    assert pool.acquired(job) == 1
    assert [pool.states(run).count("RUNNING") for run in (first, second)] == [1, 1]
    assert len(outputs(tmp_path)) == 3
    audit = found(pool, job)
    assert (audit.verdict, audit.decide) == (Verdict.COMPLETED, False)


@pytest.mark.clause("T2")
def test_one_run_started_twice(pool: Pool, tmp_path: Path) -> None:
    """As two workers would that were handed the same run: the second process says nothing about it."""
    job, source = long_job(tmp_path, clips=3)
    with pool.working("handed"):
        run = pool.dispatch(job)
        pool.await_encoder(source)
        until(lambda: pool.acquired(job), "the lock is taken")
        again = subprocess.run(
            [sys.executable, "-m", "prefect.engine", run],
            cwd=tmp_path,
            env=pool.env(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        words = again.stdout.decode() + again.stderr.decode()
        assert job_status(pool.store, job.job_id).state == State.HELD, "it was meant to be in work still"
        assert pool.run(run).state_type == "RUNNING", words
        assert pool.await_end(run).state_type == "COMPLETED"
    assert pool.acquired(job) == 1
    assert len(outputs(tmp_path)) == 3
    audit = found(pool, job)
    assert (audit.verdict, audit.decide, audit.differs) == (Verdict.COMPLETED, False, False)


@pytest.mark.clause("V2")
@pytest.mark.clause("I7")
def test_a_killed_server_does_not_touch_a_run(pool: Pool, tmp_path: Path) -> None:
    job, source = long_job(tmp_path, clips=2)
    with pool.working("waits"):
        run = pool.dispatch(job)
        pool.await_encoder(source)
        pool.server.stop(signal.SIGKILL)
        pool.server.start()
        assert pool.await_end(run).state_type == "COMPLETED"
        after = pool.dispatch(make_job(tmp_path / "after", "prores_proxy_half"))
        assert pool.await_end(after).state_type == "COMPLETED"  # the worker goes on
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert len(outputs(tmp_path)) == 2
    audit = found(pool, job)
    assert (audit.verdict, audit.decide, audit.differs) == (Verdict.COMPLETED, False, False)


@pytest.mark.clause("V2")
def test_a_restarted_database_does_not_touch_a_run(tmp_path: Path) -> None:
    job, source = long_job(tmp_path)
    with database(tmp_path / "postgres") as postgres, serving(tmp_path / "prefect", postgres.url) as server:
        pool = Pool(server, tmp_path)
        pool.set_up()
        with pool.working("waits"):
            run = pool.dispatch(job)
            pool.await_encoder(source)
            postgres.stop("immediate")
            postgres.start()
            assert pool.await_end(run).state_type == "COMPLETED"
        assert pool.states(run).count("RUNNING") == 1
        assert pool.acquired(job) == 1
        assert len(outputs(tmp_path)) == 1
        audit = found(pool, job)
        assert (audit.verdict, audit.decide, audit.differs) == (Verdict.COMPLETED, False, False)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
