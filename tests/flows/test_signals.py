"""A run's process that gets a signal, and one run in two processes: with Prefect's real engine and real signals."""

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
from tests.flows.runs import data_of, flow_run, ledger, registered, state_types, wait_for
from tests.flows.server import Server
from tests.flows.storage_area import StorageArea
from tests.support.jobs import create, half_second
from tests.support.makemedia import make, picture

ROOT: Final = Path(__file__).parents[2]
DEADLINE: Final = 120

pytestmark = pytest.mark.usefixtures("prefect")


def long_job(area: StorageArea) -> JobSpec:
    """Returns a job of a short clip and one that takes long enough to be caught."""
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
    long = make("long.mov", *picture(size="1280x720", seconds="16"), *encoder)
    sources = [area.put(clip, f"card/{clip.name}") for clip in (half_second("clip0.mov"), long)]
    return create(tuple(sources), area.at("proxies"), "prores_proxy_half")


def new_run(reference: JobReference) -> UUID:
    """Creates a flow run that no process has begun yet."""
    with get_client(sync_client=True) as client:
        parameters = {"reference": reference.model_dump(mode="json")}
        return client.create_flow_run(proxy_job, parameters=parameters, state=Pending()).id


@contextmanager
def engine(server: Server, area: StorageArea, run: UUID, results: Path) -> Iterator[subprocess.Popen[str]]:
    """Starts the process that a worker starts for a run. It handles SIGINT even if the tests run with it ignored."""
    settings = {
        "PREFECT__FLOW_ENTRYPOINT": "proxx_flows.proxy_job.proxy_job",
        "PREFECT_LOCAL_STORAGE_PATH": str(results),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect.engine", str(run)],
        env=server.env(**settings, **area.environment),
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


def wait_for_exit(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for the process; returns its exit status and its output."""
    output, _ = process.communicate(timeout=DEADLINE)
    return process.returncode, output


def encoder_of(process: subprocess.Popen[str], store: Store, job: JobSpec) -> psutil.Process:
    """Waits for the ffmpeg of the second clip and returns it."""

    def find() -> psutil.Process | None:
        assert process.poll() is None, process.communicate()[0]
        if len(ledger_types(store, job)) < 5:  # the first clip is published, the second has begun
            return None
        children = psutil.Process(process.pid).children(recursive=True)
        return next(
            (child for child in children if child.name().startswith("ffmpeg") and "-i" in child.cmdline()), None
        )

    return wait_for(find, DEADLINE)


def ledger_types(store: Store, job: JobSpec) -> list[str]:
    from proxx.store.status import job_history

    return [entry.type for entry in job_history(store, job.job_id).entries]


@pytest.mark.clause("V2")
@pytest.mark.clause("F4")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_process_that_gets_a_signal_records_how_far_it_got(
    prefect: Server, area: StorageArea, tmp_path: Path, number: signal.Signals
) -> None:
    job, store = long_job(area), area.store
    run = new_run(registered(job, store))
    with engine(prefect, area, run, tmp_path / "results") as process:
        encoder = encoder_of(process, store, job)
        encoder.suspend()  # so that it cannot finish before the signal arrives
        os.kill(process.pid, number)
        time.sleep(2)
        with suppress(psutil.NoSuchProcess):
            encoder.resume()
        _, output = wait_for_exit(process)
    assert "Crash detected!" in output
    assert not encoder.is_running()
    status = job_status(store, job.job_id)
    attempt = status.attempts[0]
    assert (status.state, attempt.code, attempt.run_id) == (
        State.FAILED,
        "INTERRUPTED",
        str(run),
    )
    assert ledger_types(store, job)[-2:] == ["clip.failed", "lock.released"]
    assert list(area.files("proxies")) == ["clip0.mov"]
    assert state_types(run) == ["PENDING", "RUNNING", "CRASHED"]
    # From its own output, not from Prefect: log lines not yet sent when a process ends may be lost (measured).
    assert output.index("clip.failed") < output.index("lock.released")
    assert "INTERRUPTED" in output


@pytest.mark.clause("P3")
@pytest.mark.clause("T2")
def test_one_run_in_two_processes_is_executed_once(prefect: Server, area: StorageArea, tmp_path: Path) -> None:
    job, store = long_job(area), area.store
    run = new_run(registered(job, store))
    with engine(prefect, area, run, tmp_path / "results") as first:
        encoder = encoder_of(first, store, job)
        encoder.suspend()  # so that it cannot finish before the second process starts
        with engine(prefect, area, run, tmp_path / "results") as second:
            status, output = wait_for_exit(second)
        assert (status, first.poll()) == (0, None), output
        assert "does nothing" in output
        assert flow_run(run).state_type.value == "RUNNING"  # type: ignore[union-attr]  # the second process proposed no state
        encoder.resume()
        assert wait_for_exit(first)[0] == 0
    state = flow_run(run).state
    result = read_result(data_of(state))
    assert result is not None
    assert (result.status, result.envelope.worker.pid) == ("COMPLETED", first.pid)
    assert [kind for kind in state_types(run) if kind != "RUNNING"] == ["PENDING", "COMPLETED"]
    assert ledger_types(store, job).count("lock.acquired") == 1
    assert len(ledger(store, job.job_id)) == 8

    with engine(prefect, area, run, tmp_path / "results") as third:  # handed out once more, after the end
        status, output = wait_for_exit(third)
    assert status == 0, output
    assert read_result(data_of(flow_run(run).state)) == result
    assert flow_run(run).state_type.value == "COMPLETED"  # type: ignore[union-attr]
