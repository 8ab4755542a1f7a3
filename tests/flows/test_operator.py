"""An operator who only follows `proxx audit`: each failure is real, and pasting the audit's commands resolves it.

Each test ends a real process in a real way, runs the audit, and does what the audit advises.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from proxx.contracts.errors import OutputExists
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import register_job
from proxx.store.base import Store
from proxx.store.opening import initialize_store
from proxx.store.status import job_status
from tests.cli.command import Answer, call
from tests.flows.deploy import deploy
from tests.flows.server import Server
from tests.flows.storage_area import StorageArea, new_area, use_credentials
from tests.support.jobs import create, make_job, write_spec
from tests.support.makemedia import make, picture

ROOT: Final = Path(__file__).parents[2]
DEADLINE: Final = 120  # seconds for any step, on a machine with three other test runs
BIN: Final = Path(sys.executable).parent
EXECUTE: Final = "prefect flow-run execute"  # as a worker runs it, marking a crashed run
ENGINE: Final = f"{sys.executable} -m prefect.engine"  # what a worker starts, without the worker: takes half the time


def long_job(output: Path | str) -> JobSpec:
    """A job that encodes long enough to stop its encoder midway."""
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-pix_fmt", "yuv420p")
    return create((make("long.mov", *picture("1280x720", seconds="4"), *encoded),), output, "prores_proxy")


@dataclass(frozen=True)
class Desk:
    """The operator's terminal: a server, a store, a folder, and command lines."""

    server: Server
    folder: Path
    ground: StorageArea
    capsys: pytest.CaptureFixture[str]

    @property
    def store(self) -> Store:
        return self.ground.store

    @property
    def root(self) -> Path:
        """The folder of the store, if it is a folder."""
        return Path(self.ground.at("store"))

    def start(self, line: str, **more: str) -> subprocess.Popen[str]:
        """Starts a command line in a session of its own."""
        first, *words = shlex.split(line)
        own = {"PROXX_STORE": self.store.uri, "PREFECT_LOCAL_STORAGE_PATH": str(self.folder / "results")}
        return subprocess.Popen(
            [str(BIN / first), *words],
            cwd=ROOT,
            env=self.server.env(**own, **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @contextmanager
    def running(self, line: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        """The same during the block; its session is killed after it."""
        process = self.start(line, **more)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=DEADLINE)

    def paste(self, line: str) -> str:
        """Runs a line, which must succeed. `proxx` runs in this process, because a new process starts slowly."""
        first, *words = shlex.split(line)
        if first == "proxx":
            answer = call(self.capsys, *words)
            status, output = answer.status, answer.out + answer.err
        else:
            process = self.start(line)
            output, _ = process.communicate(timeout=DEADLINE)
            status = process.returncode
        assert status == 0, f"{line}: {status}\n{output}"
        return output

    def audit(self) -> Answer:
        """Runs the audit. Its counts must add up every time."""
        answer = call(self.capsys, "audit", "--all", "--json")
        if answer.status in (0, 1):
            counts = answer.json["counts"]
            assert counts["jobs"] == len(answer.json["jobs"]) == sum(counts["verdicts"].values())
            assert answer.status == (counts["need_decision"] > 0)
        return answer

    def finding(self, job: JobSpec, verdict: str, *, decide: bool) -> dict[str, Any]:
        """Returns the audit's finding about the only job, which must have this verdict."""
        answer = self.audit()
        (finding,) = answer.json["jobs"]
        assert (finding["job_id"], finding["verdict"], answer.status) == (job.job_id, verdict, int(decide)), finding
        return dict(finding)

    def follow(self, finding: dict[str, Any], *verbs: str) -> None:
        """Pastes the commands with these verbs, with a reason in place of TEXT."""
        for verb in verbs:
            (line,) = [step["command"] for step in finding["steps"] if verb in step["command"].split()]
            self.paste(line.replace("TEXT", "'seen it myself'"))

    def submit(self, job: JobSpec) -> str:
        """Submits the job and returns the id of its run, which waits."""
        self.paste(f"proxx submit {write_spec(job, self.folder / 'job.json')}")
        return self.waiting(job)

    def waiting(self, job: JobSpec) -> str:
        return str(self.finding(job, "WAITING", decide=False)["runs"][-1])

    def run(self, run_id: str) -> None:
        """Executes the run until it ends, with any outcome."""
        self.start(ENGINE, PREFECT__FLOW_RUN_ID=run_id).communicate(timeout=DEADLINE)

    def encoder_below(self, process: subprocess.Popen[str]) -> psutil.Process:
        """Returns the encoder below the process, suspended while it encodes."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            assert process.poll() is None, process.communicate()[0]
            with suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    if "ffmpeg" in child.name() and any("long.mov" in word for word in child.cmdline()):
                        child.suspend()
                        return child
            time.sleep(0.02)
        raise AssertionError("no encoder started")


also_in_a_bucket = pytest.mark.parametrize("desk", ["file", "rgw"], indirect=True)


@pytest.fixture
def desk(
    prefect: Server,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    """A desk with a store in a folder; with `also_in_a_bucket`, also in a bucket of RGW."""
    deploy(prefect)
    ground = use_credentials(new_area(getattr(request, "param", "file"), request, tmp_path), monkeypatch)
    desk = Desk(prefect, tmp_path, ground, capsys)
    initialize_store(desk.store)
    monkeypatch.setenv("PROXX_STORE", desk.store.uri)
    return desk


@also_in_a_bucket
@pytest.mark.clause("V2", "V3")
def test_a_run_that_is_killed_while_it_encodes(desk: Desk) -> None:
    job = long_job(desk.ground.at("out"))
    run = desk.submit(job)
    with desk.running(f"{EXECUTE} {run}") as process:
        encoder = desk.encoder_below(process)
        desk.finding(job, "RUNNING", decide=False)
        engine = job_status(desk.store, job.job_id).attempts[0].worker
        assert engine is not None
        os.kill(engine.pid, signal.SIGKILL)
        encoder.wait(DEADLINE)
        process.communicate(timeout=DEADLINE)
    held = desk.finding(job, "HELD", decide=True)
    assert held["runs"] == [run]
    assert f"process {engine.pid} at " in held["said"]
    assert f"run {run} ended Crashed" in held["said"]

    desk.follow(held, "unlock", "submit")
    desk.run(desk.waiting(job))
    assert desk.finding(job, "COMPLETED", decide=False)["said"] == "Attempt 2 completed."
    assert list(desk.ground.files("out")) == ["long.mov"]


@pytest.mark.clause("V3")
def test_a_run_refused_before_the_lock_and_then_one_that_failed(desk: Desk) -> None:
    """First the worker's machine has not mounted the store, then a file is in the place of the output."""
    job = make_job(desk.folder / "out", "prores_proxy_half")
    run = desk.submit(job)
    away = desk.root.rename(desk.folder / "unmounted")
    desk.run(run)
    assert desk.audit().code == "STORE_UNAVAILABLE"
    assert not desk.root.exists()
    away.rename(desk.root)

    lost = desk.finding(job, "LOST", decide=True)
    assert lost["said"].startswith(f"Run {run} for attempt 1 ended ")
    assert "(STORE_MISMATCH: " in lost["said"]
    desk.follow(lost, "submit")
    obstacle = Path(job.clips[0].outputs[0].uri.removeprefix("file://"))
    obstacle.parent.mkdir()
    obstacle.write_bytes(b"not a proxy")
    desk.run(desk.waiting(job))

    failed = desk.finding(job, "FAILED", decide=True)
    assert (failed["attempt"], failed["said"]) == (1, f"Attempt 1 failed: OUTPUT_EXISTS. {OutputExists.remedy}")
    obstacle.unlink()
    desk.follow(failed, "submit")
    desk.run(desk.waiting(job))
    assert desk.finding(job, "COMPLETED", decide=False)["attempt"] == 2


@pytest.mark.clause("V3")
def test_a_run_cancelled_before_it_began(desk: Desk) -> None:
    """Submitted again, it waits; cancelled again and retired, nothing is left to decide."""
    job = make_job(desk.folder / "out", "prores_proxy_half")
    run = desk.submit(job)
    desk.paste(f"prefect flow-run cancel {run}")
    desk.follow(desk.finding(job, "LOST", decide=True), "submit")
    second = desk.waiting(job)
    assert second != run
    desk.paste(f"prefect flow-run cancel {second}")
    desk.follow(desk.finding(job, "LOST", decide=True), "retire")
    assert desk.finding(job, "FAILED", decide=False)["said"].endswith(": seen it myself.")


@pytest.mark.clause("V3")
def test_a_proxx_run_outside_prefect(desk: Desk) -> None:
    """It is killed while it encodes, and only the ledger has a record of it."""
    job = long_job(desk.folder / "out")
    with desk.running(f"proxx run {write_spec(job, desk.folder / 'job.json')}") as process:
        encoder = desk.encoder_below(process)
        held = desk.finding(job, "HELD", decide=True)
        assert held["runs"] == []
        assert "which Prefect does not have" in held["said"]
        assert "While that process lives there is nothing to do." in held["said"]
        process.kill()
        encoder.wait(DEADLINE)
    desk.follow(held, "unlock")
    desk.follow(desk.finding(job, "LOST", decide=True), "submit")
    desk.waiting(job)


@also_in_a_bucket
@pytest.mark.clause("V3")
def test_a_job_that_is_registered_and_has_no_run(desk: Desk) -> None:
    """The submission died between registration and the creation of the run."""
    job = make_job(desk.ground.at("out"), "prores_proxy_half")
    register_job(job, spec_bytes(job), desk.store, this_worker(), "submit")
    desk.follow(desk.finding(job, "UNKNOWN_TO_PREFECT", decide=True), "submit")
    desk.waiting(job)


@pytest.mark.clause("V3")
def test_a_store_that_is_restored_from_an_older_copy(desk: Desk) -> None:
    """Only Prefect has a record of the job: submitting it again returns its run; or run and job are given up."""
    job = make_job(desk.folder / "out", "prores_proxy_half")
    run = desk.submit(job)
    (desk.root / "jobs").rename(desk.folder / "jobs-lost")
    assert "submit its spec again" in desk.finding(job, "UNKNOWN_TO_STORE", decide=True)["said"]
    assert desk.submit(job) == run

    (desk.root / "jobs").rename(desk.folder / "jobs-lost-again")
    desk.follow(desk.finding(job, "UNKNOWN_TO_STORE", decide=True), "cancel", "delete")
    answer = desk.audit()
    assert (answer.status, answer.json["jobs"]) == (0, [])
