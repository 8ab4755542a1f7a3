"""Every way a run, a worker or a server can end, by real processes and signals.

After each: nothing ran twice, no ffmpeg survives, no output is half there, and Prefect's state agrees with the
ledger or `audit` says how it differs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from proxx_flows.audit.finding import JobVerdict

from proxx.contracts.job import JobSpec
from proxx.store.status import State, job_status
from tests.flows.ground import KINDS
from tests.flows.pool import DEADLINE, Pool, until
from tests.flows.postgres import Postgres
from tests.flows.yard import Yard, a_yard
from tests.support.jobs import make_job


@pytest.fixture(scope="module", params=KINDS)
def place(pool: Pool, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The same ends wherever sources, proxies and job files are."""
    with a_yard(pool, request.param, request, tmp_path_factory.mktemp("yard")) as made:
        yield made


@pytest.fixture(scope="module")
def dead_machine(place: Yard) -> tuple[JobSpec, str]:
    """A job and its run, of a worker and a run that were killed at once: begun first, for Prefect takes 90 s."""
    pool, job = place.pool, place.long_job("machine")
    pool.staff(1)
    run = pool.dispatch(job)
    with place.held(job):
        worker, process = pool.worker_of(run), pool.pid(run)
        worker.end(signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
    assert place.gone(job)
    return job, run


@pytest.fixture
def yard(place: Yard, dead_machine: object) -> Yard:
    return place


@pytest.mark.clause("V2")
@pytest.mark.clause("N2")
@pytest.mark.clause("F4")
def test_a_killed_run_is_crashed_and_held(yard: Yard) -> None:
    pool, job = yard.pool, yard.long_job("killed")
    pool.staff()
    run = pool.dispatch(job)
    with yard.held(job):
        os.kill(pool.pid(run), signal.SIGKILL)
    assert pool.await_end(run).state_type == "CRASHED"
    assert yard.gone(job)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert yard.outputs("killed") == []
    assert job_status(pool.store, job.job_id).state == State.HELD
    audit = yard.finding(job)
    assert (audit.verdict, audit.decide, audit.differs) == (JobVerdict.HELD, True, True)
    assert any("unlock" in step.command for step in audit.steps)


@pytest.mark.clause("V2")
def test_a_cancelled_run_gives_its_attempt_back(yard: Yard) -> None:
    pool, job = yard.pool, yard.long_job("cancelled", clips=12)
    pool.staff()
    run = pool.dispatch(job)
    with yard.held(job):
        pool.cancel(run)
    assert pool.await_end(run).state_type == "CANCELLED"
    assert pool.await_ledger(job, State.FAILED) == State.FAILED
    assert yard.gone(job)
    latest = job_status(pool.store, job.job_id).attempts[-1]
    assert latest.code == "INTERRUPTED"
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    made = {yard.ground.at(f"proxies/cancelled/{name}") for name in yard.outputs("cancelled")}
    assert made == {clip.outputs[0].uri for clip in job.clips[: len(made)]}, "the first ones, each whole"
    audit = yard.finding(job)
    assert (audit.verdict, audit.differs) == (JobVerdict.FAILED, False)


@pytest.mark.clause("T2")
@pytest.mark.clause("P5")
@pytest.mark.clause("P6")
def test_one_job_in_several_hands(yard: Yard, tmp_path: Path) -> None:
    """Two runs of one attempt, which `submit` never makes; and one run started twice, as if two workers had it."""
    pool, job = yard.pool, yard.long_job("hands", clips=2)
    pool.staff()
    run = pool.dispatch(job, key=f"{tmp_path}-1")
    with yard.held(job):  # until the others have been answered
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
    assert pool.await_end(run).state_type == "COMPLETED"
    assert pool.acquired(job) == 1
    assert len(yard.outputs("hands")) == 2
    audit = yard.finding(job)
    assert (audit.verdict, audit.decide) == (JobVerdict.COMPLETED, False)


@pytest.mark.clause("T4")
@pytest.mark.clause("N2")
def test_a_killed_worker_leaves_its_run_alone(yard: Yard) -> None:
    pool, job = yard.pool, yard.long_job("orphan")
    pool.staff()
    run = pool.dispatch(job)
    with yard.held(job):
        assert pool.worker_of(run).end(signal.SIGKILL) == -signal.SIGKILL
    assert pool.await_end(run).state_type == "COMPLETED"
    assert yard.gone(job)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert yard.outputs("orphan") == ["0.mov"]
    audit = yard.finding(job)
    assert (audit.verdict, audit.decide, audit.differs) == (JobVerdict.COMPLETED, False, False)


@pytest.mark.clause("T4")
def test_workers_drain(yard: Yard) -> None:
    """One is sent SIGTERM, the other SIGINT, each twice: both finish what they have and take nothing more."""
    pool, jobs = yard.pool, [yard.long_job(name, clips=2) for name in ("term", "int")]
    told = list(zip(pool.staff(), (signal.SIGTERM, signal.SIGINT), strict=True))
    runs = [pool.dispatch(job) for job in jobs]
    with yard.held(*jobs):
        for worker, number in told:
            worker.send(number)
        for worker, number in told:
            until(lambda w=worker: "no more runs are taken" in w.words, "it was told", pool.said)  # type: ignore[misc]
            worker.send(number)
        waiting = pool.dispatch(make_job(yard.ground.at("proxies/later"), "prores_proxy_half"))
    assert [worker.process.wait(DEADLINE) for worker, _ in told] == [0, 0]
    assert [pool.run(run).state_type for run in runs] == ["COMPLETED", "COMPLETED"]
    assert [pool.states(run).count("RUNNING") for run in runs] == [1, 1]
    assert set(pool.states(waiting)) == {"SCHEDULED"}  # in time it is also called Late
    pool.cancel(waiting)
    for job in jobs:
        assert yard.gone(job)
        assert pool.acquired(job) == 1
        assert job_status(pool.store, job.job_id).state == State.COMPLETED


@pytest.mark.clause("V3")
@pytest.mark.clause("N2")
def test_a_dead_machine_is_called_crashed(yard: Yard, dead_machine: tuple[JobSpec, str]) -> None:
    """By the automation, after 90 s without a sign of life. It names the state and starts nothing."""
    pool, (job, run) = yard.pool, dead_machine
    pool.staff()
    end = pool.await_end(run)
    assert end.state is not None
    assert end.state.type.value == "CRASHED"
    assert "No heartbeat for 90 seconds" in str(end.state.message)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert job_status(pool.store, job.job_id).state == State.HELD
    audit = yard.finding(job)
    assert (audit.verdict, audit.decide) == (JobVerdict.HELD, True)


@pytest.mark.clause("V2")
@pytest.mark.clause("I7")
def test_a_killed_server_does_not_touch_a_run(yard: Yard) -> None:
    pool, job = yard.pool, yard.long_job("server", clips=2)
    pool.staff()
    run = pool.dispatch(job)
    with yard.held(job):
        pool.server.stop(signal.SIGKILL)
    pool.server.start()
    assert pool.await_end(run).state_type == "COMPLETED"
    after = pool.dispatch(make_job(yard.ground.at("proxies/after"), "prores_proxy_half"))
    assert pool.await_end(after).state_type == "COMPLETED"  # the workers go on
    assert pool.states(run).count("RUNNING") == 1
    assert pool.acquired(job) == 1
    assert len(yard.outputs("server")) == 2
    audit = yard.finding(job)
    assert (audit.verdict, audit.decide, audit.differs) == (JobVerdict.COMPLETED, False, False)


@pytest.mark.clause("V2")
def test_a_restarted_database_does_not_touch_a_run(
    on_postgresql: tuple[Postgres, Pool], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    postgres, pool = on_postgresql
    with a_yard(pool, "file", request, tmp_path) as yard:
        job = yard.long_job("database", clips=2)
        pool.staff()
        run = pool.dispatch(job)
        with yard.held(job):
            postgres.stop()
        postgres.start()
        assert pool.await_end(run).state_type == "COMPLETED"
        assert pool.states(run).count("RUNNING") == 1
        assert pool.acquired(job) == 1
        assert len(yard.outputs("database")) == 2
        audit = yard.finding(job)
        assert (audit.verdict, audit.decide, audit.differs) == (JobVerdict.COMPLETED, False, False)
