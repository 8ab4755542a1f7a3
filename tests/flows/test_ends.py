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

from flows import api
from flows.audit import Tally, look
from flows.finding import Finding, Verdict
from proxx.job import JobSpec
from proxx.status import State, job_status
from tests.flows.pool import DEADLINE, Pool, digests, encoders, until
from tests.flows.postgres import Postgres
from tests.jobs import create, make_job
from tests.makemedia import make, picture

SECONDS = 20  # of picture: two or three seconds of encoding on an idle machine


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

    with temporary_settings({PREFECT_API_URL: pool.server.url}), api.connected():
        findings = look(pool.store).findings(Tally())
        return next(finding for finding in findings if finding.job_id == job.job_id)


def outputs(folder: Path) -> list[str]:
    return sorted(digests(folder / "proxies")) if (folder / "proxies").exists() else []


def gone(source: Path) -> bool:
    until(lambda: not encoders(source.parent), "ffmpeg is gone")
    return True


@pytest.fixture(scope="module", autouse=True)
def dead_machine(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> tuple[JobSpec, str]:
    """A job and its run, of a worker and a run that were killed at once: begun first, for Prefect takes 90 s."""
    job, source = long_job(tmp_path_factory.mktemp("machine"))
    pool.staff(1)
    run = pool.dispatch(job)
    pool.await_encoder(source)
    worker, process = pool.worker_of(run), pool.pid(run)
    worker.end(signal.SIGKILL)
    os.kill(process, signal.SIGKILL)
    assert gone(source)
    return job, run


@pytest.mark.clause("V2")
@pytest.mark.clause("N2")
@pytest.mark.clause("F4")
def test_a_killed_run_is_crashed_and_held(pool: Pool, tmp_path: Path) -> None:
    job, source = long_job(tmp_path)
    pool.staff()
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


@pytest.mark.clause("V2")
def test_a_cancelled_run_gives_its_attempt_back(pool: Pool, tmp_path: Path) -> None:
    job, source = long_job(tmp_path, clips=12)
    pool.staff()
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
def test_one_job_in_several_hands(pool: Pool, tmp_path: Path) -> None:
    """Two runs of one attempt, which `submit` never makes; and one run started twice, as if two workers had it."""
    job, source = long_job(tmp_path, clips=2)
    pool.staff()
    run = pool.dispatch(job, key=f"{tmp_path}-1")
    encoder = pool.await_encoder(source)
    encoder.suspend()  # it is in work until the others have been answered
    again = subprocess.Popen(
        [sys.executable, "-m", "prefect.engine", run],
        cwd=tmp_path,
        env=pool.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    other = pool.dispatch(job, key=f"{tmp_path}-2")
    refused = pool.await_end(other)
    assert refused.state is not None
    assert refused.state.type == "FAILED"
    assert "LOCKED" in str(refused.state.message)
    words = again.communicate(timeout=DEADLINE)[0].decode()
    assert job_status(pool.store, job.job_id).state == State.HELD, "it was meant to be in work still"
    assert pool.run(run).state_type == "RUNNING", words
    encoder.resume()
    assert pool.await_end(run).state_type == "COMPLETED"
    assert pool.acquired(job) == 1
    assert len(outputs(tmp_path)) == 2
    audit = found(pool, job)
    assert (audit.verdict, audit.decide) == (Verdict.COMPLETED, False)


@pytest.mark.clause("T4")
@pytest.mark.clause("N2")
def test_a_killed_worker_leaves_its_run_alone(pool: Pool, tmp_path: Path) -> None:
    job, source = long_job(tmp_path)
    pool.staff()
    run = pool.dispatch(job)
    pool.await_encoder(source)
    assert pool.worker_of(run).end(signal.SIGKILL) == -signal.SIGKILL
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
    jobs = [long_job(_made(tmp_path / name), clips=2) for name in ("term", "int")]
    told = list(zip(pool.staff(), (signal.SIGTERM, signal.SIGINT), strict=True))
    runs = [pool.dispatch(job) for job, _ in jobs]
    for _, source in jobs:
        pool.await_encoder(source)
    for worker, number in told:
        worker.send(number)
    for worker, number in told:
        until(lambda w=worker: "no more runs are taken" in w.words, "it was told", pool.said)  # type: ignore[misc]
        worker.send(number)
    waiting = pool.dispatch(make_job(tmp_path / "later", "prores_proxy_half"))
    assert [worker.process.wait(DEADLINE) for worker, _ in told] == [0, 0]
    assert [pool.run(run).state_type for run in runs] == ["COMPLETED", "COMPLETED"]
    assert [pool.states(run).count("RUNNING") for run in runs] == [1, 1]
    assert set(pool.states(waiting)) == {"SCHEDULED"}  # in time it is also called Late
    pool.cancel(waiting)
    for job, source in jobs:
        assert gone(source)
        assert pool.acquired(job) == 1
        assert job_status(pool.store, job.job_id).state == State.COMPLETED


@pytest.mark.clause("V3")
@pytest.mark.clause("N2")
def test_a_dead_machine_is_called_crashed(pool: Pool, dead_machine: tuple[JobSpec, str]) -> None:
    """By the automation, after 90 s without a sign of life. It names the state and starts nothing."""
    job, run = dead_machine
    pool.staff()
    end = pool.await_end(run)
    assert end.state is not None
    assert end.state.type.value == "CRASHED"
    assert "No heartbeat for 90 seconds" in str(end.state.message)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert job_status(pool.store, job.job_id).state == State.HELD
    audit = found(pool, job)
    assert (audit.verdict, audit.decide) == (Verdict.HELD, True)


@pytest.mark.clause("V2")
@pytest.mark.clause("I7")
def test_a_killed_server_does_not_touch_a_run(pool: Pool, tmp_path: Path) -> None:
    job, source = long_job(tmp_path, clips=2)
    pool.staff()
    run = pool.dispatch(job)
    pool.await_encoder(source)
    pool.server.stop(signal.SIGKILL)
    pool.server.start()
    assert pool.await_end(run).state_type == "COMPLETED"
    after = pool.dispatch(make_job(tmp_path / "after", "prores_proxy_half"))
    assert pool.await_end(after).state_type == "COMPLETED"  # the workers go on
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert len(outputs(tmp_path)) == 2
    audit = found(pool, job)
    assert (audit.verdict, audit.decide, audit.differs) == (Verdict.COMPLETED, False, False)


@pytest.mark.clause("V2")
def test_a_restarted_database_does_not_touch_a_run(on_postgresql: tuple[Postgres, Pool], tmp_path: Path) -> None:
    postgres, pool = on_postgresql
    job, source = long_job(tmp_path, clips=2)
    pool.staff()
    run = pool.dispatch(job)
    pool.await_encoder(source)
    postgres.stop()
    postgres.start()
    assert pool.await_end(run).state_type == "COMPLETED"
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert len(outputs(tmp_path)) == 2
    audit = found(pool, job)
    assert (audit.verdict, audit.decide, audit.differs) == (Verdict.COMPLETED, False, False)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
