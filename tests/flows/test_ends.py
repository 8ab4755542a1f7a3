"""Every way in which a run, a worker or a server can end, with real processes and signals.

After each: nothing ran twice, no ffmpeg survives, no output is incomplete, and Prefect's state agrees with the
ledger or `audit` shows how it differs.
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
from tests.flows.pool import DEADLINE, Pool, until
from tests.flows.pool_site import PoolSite, site_on
from tests.flows.postgres import Postgres
from tests.flows.storage_area import KINDS
from tests.support.jobs import make_job


@pytest.fixture(scope="module", params=KINDS)
def place(pool: Pool, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolSite]:
    """The same tests on each kind of storage for sources, proxies and job files."""
    with site_on(pool, request.param, request, tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def dead_machine(place: PoolSite) -> tuple[JobSpec, str]:
    """A job and its run, whose worker and process were killed together. Started first: Prefect notices after 90 s."""
    pool, job = place.pool, place.long_job("machine")
    pool.ensure_workers(1)
    run = pool.dispatch(job)
    with place.paused_encoders(job):
        worker, process = pool.worker_of(run), pool.pid(run)
        worker.end(signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
    assert place.encoders_end(job)
    return job, run


@pytest.fixture
def site(place: PoolSite, dead_machine: object) -> PoolSite:
    return place


@pytest.mark.clause("V2")
@pytest.mark.clause("N2")
@pytest.mark.clause("F4")
def test_a_killed_run_is_crashed_and_held(site: PoolSite) -> None:
    pool, job = site.pool, site.long_job("killed")
    pool.ensure_workers()
    run = pool.dispatch(job)
    with site.paused_encoders(job):
        os.kill(pool.pid(run), signal.SIGKILL)
    assert pool.wait_for_end(run).state_type == "CRASHED"
    assert site.encoders_end(job)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.lock_count(job) == 1
    assert site.outputs("killed") == []
    assert job_status(pool.store, job.job_id).state == State.HELD
    audit = site.audit(job)
    assert (audit.verdict, audit.decide, audit.differs) == (JobVerdict.HELD, True, True)
    assert any("unlock" in step.command for step in audit.steps)


@pytest.mark.clause("V2")
def test_a_cancelled_run_closes_its_attempt(site: PoolSite) -> None:
    pool, job = site.pool, site.long_job("cancelled", clips=12)
    pool.ensure_workers()
    run = pool.dispatch(job)
    with site.paused_encoders(job):
        pool.cancel(run)
    assert pool.wait_for_end(run).state_type == "CANCELLED"
    assert pool.wait_for_job_state(job, State.FAILED) == State.FAILED
    assert site.encoders_end(job)
    latest = job_status(pool.store, job.job_id).attempts[-1]
    assert latest.code == "INTERRUPTED"
    assert pool.states(run).count("RUNNING") == 1
    assert pool.lock_count(job) == 1
    made = {site.area.at(f"proxies/cancelled/{name}") for name in site.outputs("cancelled")}
    assert made == {clip.outputs[0].uri for clip in job.clips[: len(made)]}, "the first ones, each complete"
    audit = site.audit(job)
    assert (audit.verdict, audit.differs) == (JobVerdict.FAILED, False)


@pytest.mark.clause("T2")
@pytest.mark.clause("P5")
@pytest.mark.clause("P6")
def test_one_job_in_several_processes_runs_once(site: PoolSite, tmp_path: Path) -> None:
    """Two runs of one attempt, which `submit` never creates; and one run started twice, as if by two workers."""
    pool, job = site.pool, site.long_job("hands", clips=2)
    pool.ensure_workers()
    run = pool.dispatch(job, key=f"{tmp_path}-1")
    with site.paused_encoders(job):  # until the other processes have ended
        again = subprocess.Popen(
            [sys.executable, "-m", "prefect.engine", run],
            cwd=tmp_path,
            env=pool.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        other = pool.dispatch(job, key=f"{tmp_path}-2")
        refused = pool.wait_for_end(other)
        assert refused.state is not None
        assert refused.state.type == "FAILED"
        assert "LOCKED" in str(refused.state.message)
        output = again.communicate(timeout=DEADLINE)[0].decode()
        assert job_status(pool.store, job.job_id).state == State.HELD, "the job must still be running"
        assert pool.run(run).state_type == "RUNNING", output
    assert pool.wait_for_end(run).state_type == "COMPLETED"
    assert pool.lock_count(job) == 1
    assert len(site.outputs("hands")) == 2
    audit = site.audit(job)
    assert (audit.verdict, audit.decide) == (JobVerdict.COMPLETED, False)


@pytest.mark.clause("T4")
@pytest.mark.clause("N2")
def test_a_killed_worker_does_not_affect_its_run(site: PoolSite) -> None:
    pool, job = site.pool, site.long_job("orphan")
    pool.ensure_workers()
    run = pool.dispatch(job)
    with site.paused_encoders(job):
        assert pool.worker_of(run).end(signal.SIGKILL) == -signal.SIGKILL
    assert pool.wait_for_end(run).state_type == "COMPLETED"
    assert site.encoders_end(job)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.lock_count(job) == 1
    assert site.outputs("orphan") == ["0.mov"]
    audit = site.audit(job)
    assert (audit.verdict, audit.decide, audit.differs) == (JobVerdict.COMPLETED, False, False)


@pytest.mark.clause("T4")
def test_stopped_workers_finish_their_runs(site: PoolSite) -> None:
    """One gets SIGTERM, the other SIGINT, each twice: both finish their runs and take no more."""
    pool, jobs = site.pool, [site.long_job(name, clips=2) for name in ("term", "int")]
    stopped = list(zip(pool.ensure_workers(), (signal.SIGTERM, signal.SIGINT), strict=True))
    runs = [pool.dispatch(job) for job in jobs]
    with site.paused_encoders(*jobs):
        for worker, number in stopped:
            worker.send(number)
        for worker, number in stopped:
            until(lambda w=worker: "taking no more runs" in w.log_text, "the signal is handled", pool.worker_logs)  # type: ignore[misc]
            worker.send(number)
        waiting = pool.dispatch(make_job(site.area.at("proxies/later"), "prores_proxy_half"))
    assert [worker.process.wait(DEADLINE) for worker, _ in stopped] == [0, 0]
    assert [pool.run(run).state_type for run in runs] == ["COMPLETED", "COMPLETED"]
    assert [pool.states(run).count("RUNNING") for run in runs] == [1, 1]
    assert set(pool.states(waiting)) == {"SCHEDULED"}  # Prefect also calls it Late after a while
    pool.cancel(waiting)
    for job in jobs:
        assert site.encoders_end(job)
        assert pool.lock_count(job) == 1
        assert job_status(pool.store, job.job_id).state == State.COMPLETED


@pytest.mark.clause("V3")
@pytest.mark.clause("N2")
def test_the_run_of_a_dead_machine_becomes_crashed(site: PoolSite, dead_machine: tuple[JobSpec, str]) -> None:
    """Set by the automation after 90 s without a heartbeat. It sets the state and starts nothing."""
    pool, (job, run) = site.pool, dead_machine
    pool.ensure_workers()
    end = pool.wait_for_end(run)
    assert end.state is not None
    assert end.state.type.value == "CRASHED"
    assert "No heartbeat for 90 seconds" in str(end.state.message)
    assert pool.states(run).count("RUNNING") == 1
    assert pool.lock_count(job) == 1
    assert job_status(pool.store, job.job_id).state == State.HELD
    audit = site.audit(job)
    assert (audit.verdict, audit.decide) == (JobVerdict.HELD, True)


@pytest.mark.clause("V2")
@pytest.mark.clause("I7")
def test_a_killed_server_does_not_affect_a_run(site: PoolSite) -> None:
    pool, job = site.pool, site.long_job("server", clips=2)
    pool.ensure_workers()
    run = pool.dispatch(job)
    with site.paused_encoders(job):
        pool.server.stop(signal.SIGKILL)
    pool.server.start()
    assert pool.wait_for_end(run).state_type == "COMPLETED"
    after = pool.dispatch(make_job(site.area.at("proxies/after"), "prores_proxy_half"))
    assert pool.wait_for_end(after).state_type == "COMPLETED"  # the workers continue
    assert pool.states(run).count("RUNNING") == 1
    assert pool.lock_count(job) == 1
    assert len(site.outputs("server")) == 2
    audit = site.audit(job)
    assert (audit.verdict, audit.decide, audit.differs) == (JobVerdict.COMPLETED, False, False)


@pytest.mark.clause("V2")
def test_a_restarted_database_does_not_affect_a_run(
    on_postgresql: tuple[Postgres, Pool], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    postgres, pool = on_postgresql
    with site_on(pool, "file", request, tmp_path) as site:
        job = site.long_job("database", clips=2)
        pool.ensure_workers()
        run = pool.dispatch(job)
        with site.paused_encoders(job):
            postgres.stop()
        postgres.start()
        assert pool.wait_for_end(run).state_type == "COMPLETED"
        assert pool.states(run).count("RUNNING") == 1
        assert pool.lock_count(job) == 1
        assert len(site.outputs("database")) == 2
        audit = site.audit(job)
        assert (audit.verdict, audit.decide, audit.differs) == (JobVerdict.COMPLETED, False, False)
