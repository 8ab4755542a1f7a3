"""Runs a PostgreSQL server for tests: a cluster in its own folder, on a free loopback port.

PostgreSQL refuses to run as root. If the tests run as root, the user `postgres`, which Debian's package creates, runs
it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.flows.pool import until
from tests.flows.server import free_port

USER: Final = "postgres"


def programs() -> Path:
    """Returns the folder of the newest initdb and pg_ctl. Without any the test is skipped; in CI it fails."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    if "CI" in os.environ:
        pytest.fail("PostgreSQL is not installed, and CI must test with it: apt-get install postgresql")
    pytest.skip("POSTGRESQL ABSENT: the server was tested on SQLite only. apt-get install postgresql")


class Postgres:
    """One cluster. `stop` and `start` can be called again: the data stay."""

    def __init__(self, folder: Path) -> None:
        self.bin = programs()
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql+asyncpg://{USER}@127.0.0.1:{self.port}/postgres"
        folder.mkdir(parents=True)
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
            for parent in folder.parents:  # other users cannot enter pytest's folders
                if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._run(
            "initdb", "--pgdata", "data", "--username", USER, "--auth", "trust", "--no-sync", "--encoding", "UTF8"
        )

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def start(self) -> None:
        """Starts the cluster and returns when it accepts connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "--pgdata", "data", "--log", "postgres.log", "--wait", "-t", "60", "-o", options, "start")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Ends the cluster as in a crash, with SIGINT in order, and returns when it is gone."""
        lock = self.folder / "data" / "postmaster.pid"
        if lock.exists():
            master = psutil.Process(int(lock.read_text().split()[0]))
            master.send_signal(how)
            until(lambda: _gone(master), "PostgreSQL has ended", self.log.read_text)

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
        argv = [*as_user, str(self.bin / program), *arguments]
        output = self.folder.parent / f"{self.folder.name}-{program}.log"
        with output.open("ab") as log:  # not a pipe: the server that pg_ctl starts would keep it open
            ended = subprocess.run(
                argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=120, check=False
            )
        assert ended.returncode == 0, f"{argv}\n{output.read_text()[-3000:]}"


def _gone(process: psutil.Process) -> bool:
    """Returns True also for a zombie that its parent has not collected yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """Runs a cluster until the block ends."""
    cluster = Postgres(folder)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
