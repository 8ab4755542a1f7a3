"""A pool as an operator sets it up: a server, the pool from its template, the deployments, worker processes.

Everything is a process of its own and is started by the commands of the runbook. Tests end workers, runs, servers
and databases by real signals.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
from proxx_flows.common.reference import JobReference

from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import register_job
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from proxx.store.status import State, job_history, job_status
from tests.flows import runbook
from tests.flows.server import Server, serving

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

ROOT: Final = Path(__file__).parents[2]
DEADLINE: Final = 120  # seconds that anything may take on a machine that does three other things
MARK: Final = "PROXX_TEST_POOL"  # in the environment of all that a pool started, for cleaning up
QUICK: Final = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "3",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
}
POLLS: Final = "scheduled_flow_runs"  # what a worker says at that, with debugging on
ENDED: Final = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


def until(true: Callable[[], Any], what: str, words: Callable[[], str] = lambda: "", longest: float = 0.5) -> Any:  # noqa: ANN401
    """What `true` gives as soon as that is something; fails the test at the deadline.

    What takes long is looked at less often, because looking costs the machine that has to do it. longest: seconds
    between two looks.
    """
    end, pause = time.monotonic() + DEADLINE, 0.1
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(pause)
        pause = min(pause * 1.2, longest)
    raise AssertionError(f"not within {DEADLINE} s: {what}\n{words()[-4000:]}")


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file a user would see below the folder, by its place in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def encoders(source: Path | str) -> list[psutil.Process]:
    """The ffmpeg processes that live and have this file on their command line."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "status"]):
        said = process.info
        alive = said["status"] != psutil.STATUS_ZOMBIE
        if (
            alive
            and (said["name"] or "").startswith("ffmpeg")
            and any(str(source) in w for w in said["cmdline"] or ())
        ):
            found.append(process)
    return found


@dataclass
class WorkerProcess:
    """`python -m flows.worker`, in a session of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def words(self) -> str:
        return self.log.read_text(errors="replace")

    def polls(self) -> None:
        """Wait until it asks for runs."""
        until(
            lambda: POLLS in self.words or self.process.poll() is not None, f"{self.name} polls", lambda: self.words
        )
        assert self.process.poll() is None, self.words

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self, number: signal.Signals) -> int:
        """Send the signal and wait for its end: its exit status."""
        self.send(number)
        return self.process.wait(DEADLINE)


class Pool:
    """A server with pool, deployments and store. Jobs are registered and dispatched as `proxx submit` does it.

    store: any kind; None for a folder. more: what else is set where its workers run, credentials among it.
    """

    def __init__(
        self, server: Server, folder: Path, store: Store | None = None, more: Mapping[str, str] | None = None
    ) -> None:
        self.server = server
        self.folder = folder
        self.more = dict(more or {})
        self.mark = uuid.uuid4().hex
        self.workers: list[WorkerProcess] = []
        self.numbers = count(1)
        self.store = store or FileStore(folder / "store")
        self.identity = initialize_store(self.store)
        self.uuid = self.identity.uuid

    def env(self, **more: str) -> dict[str, str]:
        """As on an operator's machine: the server and the store are named."""
        own = {"PREFECT_LOCAL_STORAGE_PATH": str(self.folder / "results"), "PROXX_STORE": self.store.uri}
        return self.server.env(**{**QUICK, **own, MARK: self.mark, **self.more, **more})

    def command(self, *argv: str, status: int = 0, cwd: Path = ROOT) -> str:
        """Run a command line of this interpreter's folder as an operator; both its outputs."""
        program = Path(sys.executable).parent / argv[0]
        done = subprocess.run(
            [str(program), *argv[1:]],
            cwd=cwd,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        assert done.returncode == status, f"{argv}: {done.returncode}\n{said}"
        return said

    def set_up(self) -> None:
        """The runbook's first set-up, from the work pool to the automation."""
        for line in runbook.block("set-up"):
            if line.startswith("prefect ") and "server start" not in line:
                self.command(*shlex.split(line))

    def start(self, name: str, *arguments: str, **env: str) -> WorkerProcess:
        """Start a worker; `polls` waits for it."""
        log = self.folder / f"{name}-{uuid.uuid4().hex[:6]}.log"
        argv = [
            sys.executable,
            "-m",
            "proxx_flows.worker",
            "--pool",
            "proxx",
            "--name",
            name,
            "--toolchain",
            "static",
        ]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*argv, *arguments],
                cwd=self.folder,
                env={**self.env(PREFECT_LOGGING_LEVEL="DEBUG"), **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        worker = WorkerProcess(name, process, log)
        self.workers.append(worker)
        return worker

    def staff(self, wanted: int = 2, **env: str) -> tuple[WorkerProcess, ...]:
        """This many workers that poll: those that live, and new ones for those that tests have ended."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        while len(self.workers) < wanted:
            self.start(f"worker-{next(self.numbers)}", **env)
        for worker in self.workers:
            worker.polls()
        return tuple(self.workers)

    def processes(self) -> list[psutil.Process]:
        """Workers and runs of this pool that live."""
        found = []
        for process in psutil.process_iter(["status"]):
            with suppress(psutil.Error):
                if process.info["status"] != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def kill_all(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()
        self.workers.clear()
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    # --- jobs and runs ------------------------------------------------------------------------------------

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.server.url}), get_client(sync_client=True) as client:
            yield client

    def dispatch(self, job: JobSpec, attempt: int = 1, key: str | None = None) -> str:
        """Register the job and ask for the attempt; the run's id."""
        register_job(job, spec_bytes(job), self.store, this_worker("test"), "submit")
        reference = JobReference(store=self.store.uri, job_id=job.job_id, attempt=attempt, store_uuid=self.uuid)
        with self.client() as client:
            deployment = client.read_deployment_by_name("proxy-job/proxx")
            run = client.create_flow_run_from_deployment(
                deployment.id,
                parameters={"reference": reference.model_dump(mode="json")},
                idempotency_key=key or f"{self.uuid}:{job.job_id}:{attempt}:1",
                name=job.name,
            )
        return str(run.id)

    def run(self, run_id: str) -> FlowRun:
        with self.client() as client:
            return client.read_flow_run(uuid.UUID(run_id))

    def states(self, run_id: str) -> list[str]:
        """The types of all states the run was in, oldest first."""
        with self.client() as client:
            return [state.type.value for state in client.read_flow_run_states(uuid.UUID(run_id))]

    def await_state(self, run_id: str, *wanted: str) -> FlowRun:
        """The run once its state's type is one of those wanted."""

        with self.client() as client:  # one for all looks: making one costs more than a look

            def reached() -> FlowRun | None:
                run = client.read_flow_run(uuid.UUID(run_id))
                return run if run.state is not None and run.state.type.value in wanted else None

            found: FlowRun = until(reached, f"run {run_id} {wanted}", lambda: f"{self.states(run_id)}\n{self.said()}")
            return found

    def cancel(self, run_id: str) -> None:
        """As the button in Prefect's pages does it."""
        from prefect.states import Cancelling

        with self.client() as client:
            client.set_flow_run_state(uuid.UUID(run_id), Cancelling())

    def await_end(self, run_id: str) -> FlowRun:
        return self.await_state(run_id, *ENDED)

    def await_ledger(self, job: JobSpec, *wanted: State) -> State:
        until(lambda: job_status(self.store, job.job_id).state in wanted, f"{job.name} {wanted}", self.said)
        return job_status(self.store, job.job_id).state

    def pid(self, run_id: str) -> int:
        """The process of the run, as the worker reported it."""
        return int(until(lambda: self.run(run_id).infrastructure_pid, "a pid", self.said))

    def worker_of(self, run_id: str) -> WorkerProcess:
        """Which of the workers started the run's process."""
        parent = psutil.Process(self.pid(run_id)).ppid()
        (found,) = [worker for worker in self.workers if worker.process.pid == parent]
        return found

    def acquired(self, job: JobSpec) -> int:
        """How often the job's execution lock was taken."""
        return sum(entry.type == "lock.acquired" for entry in job_history(self.store, job.job_id).entries)

    def said(self) -> str:
        return "\n".join(f"--- {worker.name}\n{worker.words[-1500:]}" for worker in self.workers)


@contextmanager
def pooling(folder: Path, database: str | None = None) -> Iterator[Pool]:
    """A pool with a server of its own while the block runs. database: as for a Server."""
    with serving(folder / "prefect", database) as server:
        pool = Pool(server, folder)
        try:
            pool.set_up()
            yield pool
        finally:
            pool.kill_all()
