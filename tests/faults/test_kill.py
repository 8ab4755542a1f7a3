"""kill -9 and SIGSTOP at each step of a job, sent to a real worker process.

After each: every file under a final name is whole and verified, no ffmpeg is left, `status` is right, and after
`unlock` the next attempt completes with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from proxx.contracts.errors import NotLocked
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec
from proxx.store.attempts import Closed, Open, read_attempts
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.lock import unlock
from proxx.store.status import job_status
from tests.objects.ground import Ground
from tests.support.jobs import make_job, write_spec

EVENTS = 8  # lock.acquired, 2 x (started, publishing, completed), lock.released
FAULTS = [f"{when}:{number}" for number in range(1, EVENTS + 1) for when in ("before", "after")]


@dataclass(frozen=True)
class Stage:
    """One job of two clips with a store, a working folder and outputs of its own."""

    root: Path
    spec: Path
    job: JobSpec
    ground: Ground | None = None  # its storage, if its places are not plain paths

    @property
    def store(self) -> Store:
        return self.ground.store() if self.ground else FileStore(self.root / "store")

    def start(self, attempt: int, fault: str) -> subprocess.Popen[bytes]:
        work = self.root / "work"
        work.mkdir(exist_ok=True)
        store = self.ground.target("store") if self.ground else str(self.root / "store")
        argv = [sys.executable, "-m", "tests.faults.worker", str(self.spec), store, str(attempt), str(work), fault]
        environment = {**os.environ, **(self.ground.environment if self.ground else {})}
        return subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment)

    def run(self, attempt: int, fault: str = "none") -> tuple[int, bytes]:
        process = self.start(attempt, fault)
        out, _ = process.communicate(timeout=300)
        return process.returncode, out

    def outputs(self) -> dict[str, str]:
        """sha256 of every file a user would see where the outputs are."""
        if self.ground is not None:
            return {name: digest.removeprefix("sha256:") for name, digest in self.ground.outputs().items()}
        folder = self.root / "proxies"
        files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if not path.name.startswith(".")
        }


def staged(root: Path) -> Stage:
    root.mkdir(exist_ok=True)
    job = make_job(root / "proxies", "prores_proxy_half", clips=2)
    return Stage(root, write_spec(job, root / "job.json"), job)


def staged_on(ground: Ground) -> Stage:
    job = ground.job("prores_proxy_half", clips=2)
    return Stage(ground.root, write_spec(job, ground.root / "job.json"), job, ground)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The bytes of the same clips made without any fault."""
    clean = staged(tmp_path_factory.mktemp("reference"))
    code, _ = clean.run(1)
    assert code == 0
    made = clean.outputs()
    assert len(made) == 2
    return made


def no_ffmpeg_works_in(folder: Path) -> bool:
    """Returns whether every ffmpeg with a file of `folder` on its command line has ended; the kernel kills them."""
    for process in psutil.process_iter(["cmdline"]):
        try:
            matches = any(str(folder) in word for word in process.info["cmdline"] or ())
            if matches and "ffmpeg" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                process.wait(timeout=10)
        except psutil.NoSuchProcess:
            continue
        except psutil.TimeoutExpired:
            return False
    return True


@pytest.mark.clause("I7", lead=True)
@pytest.mark.clause("F4")
@pytest.mark.clause("V2", lead=True)
@pytest.mark.clause("N2")
@pytest.mark.parametrize("fault", [*FAULTS, "progress"])
def test_killed_at_each_step(tmp_path: Path, fault: str, reference: dict[str, str]) -> None:
    """SIGKILL before and after each event and during the encode: the store shows it, the next attempt is right."""
    killed_and_run_again(staged(tmp_path), fault, reference)


@pytest.mark.clause("I7", "F4", "V2", "N2", "T7")
@pytest.mark.parametrize(
    ("ground", "fault"),
    [("moto", "after:3"), *(("rgw", when) for when in ("after:1", "before:3", "before:4", f"after:{EVENTS}"))],
    indirect=["ground"],
)
def test_killed_with_all_in_a_bucket(ground: Ground, fault: str, reference: dict[str, str]) -> None:
    """The steps after which the bucket holds something new, with sources, proxies and store all in a bucket."""
    killed_and_run_again(staged_on(ground), fault, reference)


def killed_and_run_again(stage: Stage, fault: str, reference: dict[str, str]) -> None:
    code, _ = stage.run(1, fault)
    assert code == -signal.SIGKILL
    assert no_ffmpeg_works_in(stage.root)
    seen = stage.outputs()
    assert seen.items() <= reference.items(), "a file under a final name is not the whole, verified proxy"

    attempts = read_attempts(stage.store, stage.job.job_id)
    if fault == "before:1":  # it never held the lock
        assert attempts == ()
        next_attempt = 1
    elif fault == f"after:{EVENTS}":  # the attempt had ended
        assert isinstance(attempts[0].state, Closed)
        with pytest.raises(NotLocked):
            unlock(stage.store, stage.job.job_id, "it died", this_worker())
        next_attempt = 2
    else:
        assert isinstance(attempts[0].state, Open)
        assert job_status(stage.store, stage.job.job_id).state == "HELD"
        code, _ = stage.run(1)
        assert code == 4, "an open attempt cannot be taken again"
        assert unlock(stage.store, stage.job.job_id, "it died", this_worker()) == 1
        next_attempt = 2
    code, out = stage.run(next_attempt)
    assert code == 0, out
    assert stage.outputs() == reference
    assert json.loads(out)["status"] == "COMPLETED"
    assert job_status(stage.store, stage.job.job_id).state == "COMPLETED"


@pytest.mark.clause("P3")
@pytest.mark.clause("T2")
@pytest.mark.parametrize(
    ("ground", "fault"),
    [
        *(("file", f"stop:{when}") for when in ("before:2", "after:2", "before:3", "after:3", "before:4")),
        ("moto", "stop:after:3"),
        *(("rgw", f"stop:{when}") for when in ("before:3", "after:3")),
    ],
    indirect=["ground"],
)
def test_a_stopped_worker_publishes_nothing_after_an_unlock(
    ground: Ground, fault: str, reference: dict[str, str]
) -> None:
    stage = staged_on(ground)
    stopped = stage.start(1, fault)
    try:
        wait_until_stopped(stopped.pid)
        unlock(stage.store, stage.job.job_id, "it does not respond", this_worker())
        code, out = stage.run(2)
        assert code == 0, out
        before = ground.facts()
        os.kill(stopped.pid, signal.SIGCONT)
        out, _ = stopped.communicate(timeout=120)
    finally:
        stopped.kill()
    result = json.loads(out)
    assert stopped.returncode == 1
    assert result["status"] == "FAILED"
    assert result["stopped"]["code"] == "LOCK_LOST"
    assert ground.facts() == before, "the stopped worker changed an output of the next attempt"
    assert stage.outputs() == reference
    assert no_ffmpeg_works_in(ground.root)
    assert job_status(stage.store, stage.job.job_id).state == "COMPLETED"


def wait_until_stopped(pid: int) -> None:
    process = psutil.Process(pid)
    for _ in range(600):
        if process.status() == psutil.STATUS_STOPPED:
            return
        time.sleep(0.1)
    raise AssertionError("the worker did not reach the step at which it stops")
