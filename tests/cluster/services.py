"""The Prefect API on PostgreSQL and Redis, set up as in the runbook: what all hosts share besides storage."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx

from tests.flows import runbook
from tests.flows.pool import DEADLINE, ROOT, until
from tests.flows.postgres import Postgres, running_postgres
from tests.objects.process import Daemon, free_port, listens, program

BOOT: Final = 300  # seconds, on a machine with other load
BIN: Final = Path(sys.executable).parent


def settings_of_runbook() -> dict[str, str]:
    """Returns the settings of the runbook for several API processes, with its addresses."""
    after = runbook.TEXT.split("**Several API processes**")[1]
    found = re.search(r"```ini\n(.*?)```", after, re.DOTALL)
    assert found is not None
    return dict(line.split("=", 1) for line in found[1].splitlines())


class Redis:
    """A Redis server that writes nothing to disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir()
        argv = [program("redis-server", "redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"]
        self._daemon = Daemon([*argv, "--save", "", "--appendonly", "no", "--dir", str(folder)], folder / "redis.log")
        self._daemon.until(lambda: listens("127.0.0.1", self.port), "Redis listens")

    def end(self) -> None:
        self._daemon.end()


class Api:
    """Two API processes, and the services in another process. `stop` and `start` can be called repeatedly."""

    def __init__(self, folder: Path, address: str, postgres: Postgres, redis: Redis) -> None:
        folder.mkdir()
        self.folder, self.address = folder, address
        self.port = free_port(address)
        self.url = f"http://{address}:{self.port}/api"
        self._daemons: list[Daemon] = []
        own = {
            name: value.replace("127.0.0.1:6379", f"127.0.0.1:{redis.port}")
            for name, value in settings_of_runbook().items()
        }
        self._server = {
            **own,
            "PREFECT_API_DATABASE_CONNECTION_URL": postgres.url,
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    def env(self) -> dict[str, str]:
        """Returns the environment for a client on this machine."""
        plain = {n: v for n, v in os.environ.items() if not n.startswith(("PREFECT_", "PROXX_", "AWS_"))}
        return {**plain, **self.client_settings(), "PREFECT_HOME": str(self.folder / "client")}

    def client_settings(self) -> dict[str, str]:
        return {
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_CLI_PROMPT": "false",
        }

    def make_database(self) -> None:
        """Creates the database with one process alone: two that start on a new database disturb each other."""
        self._prefect("server", "database", "upgrade", "-y")
        self._run("first", *self._serve())
        self._await()
        self.stop()

    def start(self) -> None:
        """Returns when the API answers."""
        self._run("api", *self._serve(), "--workers", "2")
        self._run("services", "server", "services", "start")
        self._await()

    def _serve(self) -> tuple[str, ...]:
        return ("server", "start", "--no-services", "--host", self.address, "--port", str(self.port))

    def _run(self, name: str, *arguments: str) -> None:
        argv = [sys.executable, "-m", "prefect", *arguments]
        self._daemons.append(Daemon(argv, self.folder / f"{name}.log", self._env()))

    def _await(self) -> None:
        end = time.monotonic() + BOOT
        while not self.answers():
            logs = "\n".join(file.read_text(errors="replace")[-3000:] for file in self.folder.glob("*.log"))
            assert time.monotonic() < end, logs
            time.sleep(0.3)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends all its processes at once."""
        for daemon in self._daemons:
            children = _family(daemon.pid)
            daemon.end(how)
            for child in children:
                _end(child)
        self._daemons.clear()

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def command(self, *argv: str, env: Mapping[str, str] | None = None, statuses: tuple[int, ...] = (0,)) -> str:
        """Runs a command of this interpreter's folder as an operator. Returns its standard output."""
        done = subprocess.run(
            [str(BIN / argv[0]), *argv[1:]],
            cwd=ROOT,
            env={**self.env(), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE * 2,
            check=False,
        )
        assert done.returncode in statuses, f"{argv}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def set_up(self) -> None:
        """Creates pool, deployments and automation with the commands of the runbook."""
        for line in runbook.block("set-up"):
            if line.startswith("prefect ") and "server start" not in line:
                self.command(*line.split())

    def _prefect(self, *arguments: str) -> None:
        log_file = self.folder / "set-up.log"
        with log_file.open("ab") as log:
            argv = [sys.executable, "-m", "prefect", *arguments]
            done = subprocess.run(
                argv, env=self._env(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        assert done.returncode == 0, log_file.read_text(errors="replace")[-3000:]

    def _env(self) -> dict[str, str]:
        return {**self.env(), **self._server}


def _family(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _end(pid: int) -> None:
    import psutil

    try:
        process = psutil.Process(pid)
        process.kill()
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, f"{pid} has ended")
    except psutil.NoSuchProcess:
        pass


@contextmanager
def serving_fleet(folder: Path, address: str) -> Iterator[Api]:
    """Runs the API at the address during the block, without pool and deployments."""
    folder.mkdir()
    # Not below pytest's folder: every session that starts on the machine closes that to PostgreSQL's user.
    with TemporaryDirectory(prefix="proxx-postgres-") as apart, running_postgres(Path(apart) / "cluster") as postgres:
        redis = Redis(folder / "redis")
        api = Api(folder / "api", address, postgres, redis)
        try:
            api.make_database()
            api.start()
            yield api
        finally:
            api.stop()
            redis.end()
