"""A run's process that is told to end, and one run in two processes: by real engines of Prefect and real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.states import Pending
from proxx_flows.common.reference import JobReference
from proxx_flows.job.final_state import read_result
from proxx_flows.proxy_job import proxy_job

from proxx.contracts.job import JobSpec
from proxx.store.base import Store
from proxx.store.status import State, job_status
from tests.flows.ground import Ground
from tests.flows.runs import data_of, flow_run, ledger, registered, state_types, wait_for
from tests.flows.server import Server
from tests.support.jobs import create, half_second
from tests.support.makemedia import make, picture

ROOT: Final = Path(__file__).parents[2]
DEADLINE: Final = 120

pytestmark = pytest.mark.usefixtures("prefect")


def long_job(ground: Ground) -> JobSpec:
    """A short clip, then one that takes long enough to be caught at it."""
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
    long = make("long.mov", *picture(size="1280x720", seconds="16"), *encoder)
    sources = [ground.put(made, f"card/{made.name}") for made in (half_second("clip0.mov"), long)]
    return create(tuple(sources), ground.at("proxies"), "prores_proxy_half")


def asked_for(reference: JobReference) -> UUID:
    """A flow run that nobody has begun yet."""
    with get_client(sync_client=True) as client:
        parameters = {"reference": reference.model_dump(mode="json")}
        return client.create_flow_run(proxy_job, parameters=parameters, state=Pending()).id


@contextmanager
def engine(server: Server, ground: Ground, run: UUID, results: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that a worker starts for a run; it hears SIGINT whatever the tests were started from."""
    here = {"PREFECT__FLOW_ENTRYPOINT": "proxx_flows.proxy_job.proxy_job", "PREFECT_LOCAL_STORAGE_PATH": str(results)}
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect.engine", str(run)],
        env=server.env(**here, **ground.environment),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit status, and what it printed."""
    said, _ = process.communicate(timeout=DEADLINE)
    return process.returncode, said


def encoder_of(process: subprocess.Popen[str], store: Store, job: JobSpec) -> psutil.Process:
    """The ffmpeg of the second clip, once it is at work."""

    def look() -> psutil.Process | None:
        assert process.poll() is None, process.communicate()[0]
        if len(ledger_types(store, job)) < 5:  # the first clip is published, the second has begun
            return None
        children = psutil.Process(process.pid).children(recursive=True)
        return next(
            (child for child in children if child.name().startswith("ffmpeg") and "-i" in child.cmdline()), None
        )

    return wait_for(look, DEADLINE)


def ledger_types(store: Store, job: JobSpec) -> list[str]:
    from proxx.store.status import job_history

    return [entry.type for entry in job_history(store, job.job_id).entries]


@pytest.mark.clause("V2")
@pytest.mark.clause("F4")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_process_that_is_told_to_end_says_how_far_it_got(
    prefect: Server, ground: Ground, tmp_path: Path, number: signal.Signals
) -> None:
    job, store = long_job(ground), ground.store
    run = asked_for(registered(job, store))
    with engine(prefect, ground, run, tmp_path / "results") as process:
        encoder = encoder_of(process, store, job)
        encoder.suspend()  # so that it cannot be done before the signal is heard
        os.kill(process.pid, number)
        time.sleep(2)
        with suppress(psutil.NoSuchProcess):
            encoder.resume()
        _, said = ended(process)
    assert "Crash detected!" in said
    assert not encoder.is_running()
    known = job_status(store, job.job_id)
    assert (known.state, known.attempts[0].code, known.attempts[0].run_id) == (State.FAILED, "INTERRUPTED", str(run))
    assert ledger_types(store, job)[-2:] == ["clip.failed", "lock.released"]
    assert list(ground.files("proxies")) == ["clip0.mov"]
    assert state_types(run) == ["PENDING", "RUNNING", "CRASHED"]
    # Of its own words, not of Prefect's pages: what Prefect has not sent when a process is ended may be lost (seen).
    assert said.index("clip.failed") < said.index("lock.released")
    assert "INTERRUPTED" in said


@pytest.mark.clause("P3")
@pytest.mark.clause("T2")
def test_one_run_in_two_processes_is_executed_once(prefect: Server, ground: Ground, tmp_path: Path) -> None:
    job, store = long_job(ground), ground.store
    run = asked_for(registered(job, store))
    with engine(prefect, ground, run, tmp_path / "results") as first:
        encoder = encoder_of(first, store, job)
        encoder.suspend()  # so that it cannot be done before the second process has come
        with engine(prefect, ground, run, tmp_path / "results") as second:
            status, said = ended(second)
        assert (status, first.poll()) == (0, None), said
        assert "does nothing" in said
        assert flow_run(run).state_type.value == "RUNNING"  # type: ignore[union-attr]  # the loser proposed no state
        encoder.resume()
        assert ended(first)[0] == 0
    state = flow_run(run).state
    result = read_result(data_of(state))
    assert result is not None
    assert (result.status, result.envelope.worker.pid) == ("COMPLETED", first.pid)
    assert [kind for kind in state_types(run) if kind != "RUNNING"] == ["PENDING", "COMPLETED"]
    assert ledger_types(store, job).count("lock.acquired") == 1
    assert len(ledger(store, job.job_id)) == 8

    with engine(prefect, ground, run, tmp_path / "results") as third:  # handed out once more, when all is over
        status, said = ended(third)
    assert status == 0, said
    assert read_result(data_of(flow_run(run).state)) == result
    assert flow_run(run).state_type.value == "COMPLETED"  # type: ignore[union-attr]
