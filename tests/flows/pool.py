"""A pool as an operator sets it up: a server, the work pool from its template, the deployments, worker processes.

Everything is a process of its own, started by the commands in deployments/README.md. Tests end workers, runs, servers
and databases with real signals.
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
from tests.flows.server import Server, running_server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

ROOT: Final = Path(__file__).parents[2]
DEADLINE: Final = 120  # seconds that anything may take on a busy machine
MARK: Final = "PROXX_TEST_POOL"  # in the environment of each process that a pool started, for cleaning up
QUICK: Final = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "3",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
}
POLLS: Final = "scheduled_flow_runs"  # a worker logs this at each poll, at level DEBUG
ENDED: Final = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


def until(
    condition: Callable[[], Any], what: str, details: Callable[[], str] = lambda: "", longest: float = 0.5
) -> Any:  # noqa: ANN401
    """Calls `condition` until it returns something true, and returns that. Fails the test after DEADLINE seconds.

    It checks less and less often, because each check costs CPU time; longest: the most seconds between two checks.
    """
    end, pause = time.monotonic() + DEADLINE, 0.1
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(pause)
        pause = min(pause * 1.2, longest)
    raise AssertionError(f"not within {DEADLINE} s: {what}\n{details()[-4000:]}")


def digests(folder: Path) -> dict[str, str]:
    """Returns the sha256 of every file that a user sees below the folder, by its path from there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def encoders(source: Path | str) -> list[psutil.Process]:
    """Returns the living ffmpeg processes with this text on their command line."""
    processes = []
    for process in psutil.process_iter(["name", "cmdline", "status"]):
        info = process.info
        if (
            info["status"] != psutil.STATUS_ZOMBIE
            and (info["name"] or "").startswith("ffmpeg")
            and any(str(source) in argument for argument in info["cmdline"] or ())
        ):
            processes.append(process)
    return processes


@dataclass
class WorkerProcess:
    """`python -m proxx_flows.worker`, in a session of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_polling(self) -> None:
        until(
            lambda: POLLS in self.log_text or self.process.poll() is not None,
            f"{self.name} polls",
            lambda: self.log_text,
        )
        assert self.process.poll() is None, self.log_text

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self, number: signal.Signals) -> int:
        """Sends the signal, waits until the worker has ended and returns its exit status."""
        self.send(number)
        return self.process.wait(DEADLINE)


class Pool:
    """A server with work pool, deployments and store. Registers and dispatches jobs like `proxx submit`.

    store: of any kind; None for a folder. more: more variables for its workers, for example credentials.
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
        """Returns the environment of an operator's machine: the server and the store are set."""
        own = {"PREFECT_LOCAL_STORAGE_PATH": str(self.folder / "results"), "PROXX_STORE": self.store.uri}
        return self.server.env(**{**QUICK, **own, MARK: self.mark, **self.more, **more})

    def command(self, *argv: str, status: int = 0, cwd: Path = ROOT) -> str:
        """Runs a command line as an operator, with a program of this environment. Returns stdout and stderr."""
        program = Path(sys.executable).parent / argv[0]
        ended = subprocess.run(
            [str(program), *argv[1:]],
            cwd=cwd,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        output = ended.stdout.decode(errors="replace")
        assert ended.returncode == status, f"{argv}: {ended.returncode}\n{output}"
        return output

    def set_up(self) -> None:
        """Runs the set-up of deployments/README.md, from the work pool to the automation."""
        for line in runbook.block("set-up"):
            if line.startswith("prefect ") and "server start" not in line:
                self.command(*shlex.split(line))

    def start(self, name: str, *arguments: str, cwd: Path | None = None, **env: str) -> WorkerProcess:
        """Starts a worker; `wait_until_polling` waits for it. cwd: its current folder, else the pool's."""
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
                cwd=cwd or self.folder,
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

    def ensure_workers(self, count: int = 2, **env: str) -> tuple[WorkerProcess, ...]:
        """Waits until this many workers poll: those that live, and new ones for those that tests have ended."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        while len(self.workers) < count:
            self.start(f"worker-{next(self.numbers)}", cwd=None, **env)
        for worker in self.workers:
            worker.wait_until_polling()
        return tuple(self.workers)

    def processes(self) -> list[psutil.Process]:
        """Returns the living processes of this pool: workers and runs."""
        processes = []
        for process in psutil.process_iter(["status"]):
            with suppress(psutil.Error):
                if process.info["status"] != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark:
                    processes.append(process)
        return processes

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
        """Registers the job, creates a run of the attempt and returns the run's id."""
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
        """Returns the types of all states that the run was in, oldest first."""
        with self.client() as client:
            return [state.type.value for state in client.read_flow_run_states(uuid.UUID(run_id))]

    def wait_for_state(self, run_id: str, *wanted: str) -> FlowRun:
        """Waits until the type of the run's state is one of those wanted, and returns the run."""

        with self.client() as client:  # one client for all checks: creating one costs more than a check

            def reached() -> FlowRun | None:
                run = client.read_flow_run(uuid.UUID(run_id))
                return run if run.state is not None and run.state.type.value in wanted else None

            run: FlowRun = until(
                reached, f"run {run_id} {wanted}", lambda: f"{self.states(run_id)}\n{self.worker_logs()}"
            )
            return run

    def cancel(self, run_id: str) -> None:
        """Cancels the run like the button in Prefect's UI."""
        from prefect.states import Cancelling

        with self.client() as client:
            client.set_flow_run_state(uuid.UUID(run_id), Cancelling())

    def wait_for_end(self, run_id: str) -> FlowRun:
        return self.wait_for_state(run_id, *ENDED)

    def wait_for_job_state(self, job: JobSpec, *wanted: State) -> State:
        until(lambda: job_status(self.store, job.job_id).state in wanted, f"{job.name} {wanted}", self.worker_logs)
        return job_status(self.store, job.job_id).state

    def pid(self, run_id: str) -> int:
        """Returns the process id of the run, as the worker reported it."""
        return int(until(lambda: self.run(run_id).infrastructure_pid, "a pid", self.worker_logs))

    def worker_of(self, run_id: str) -> WorkerProcess:
        """Returns the worker that started the run's process."""
        parent = psutil.Process(self.pid(run_id)).ppid()
        (starter,) = [worker for worker in self.workers if worker.process.pid == parent]
        return starter

    def lock_count(self, job: JobSpec) -> int:
        """Returns how often the job's execution lock was taken."""
        return sum(entry.type == "lock.acquired" for entry in job_history(self.store, job.job_id).entries)

    def worker_logs(self) -> str:
        """Returns the end of each worker's log, to explain a failure."""
        return "\n".join(f"--- {worker.name}\n{worker.log_text[-1500:]}" for worker in self.workers)


@contextmanager
def running_pool(folder: Path, database: str | None = None) -> Iterator[Pool]:
    """Runs a pool with its own server until the block ends. database: as for a Server."""
    with running_server(folder / "prefect", database) as server:
        pool = Pool(server, folder)
        try:
            pool.set_up()
            yield pool
        finally:
            pool.kill_all()
