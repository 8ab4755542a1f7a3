"""A PostgreSQL of the test's own: a cluster in its folder, on a free loopback port, run by nobody special.

PostgreSQL refuses to run as root, so there its user `postgres` runs it, as Debian's package has made it.
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
    """The folder of initdb and pg_ctl, the newest there is. Skips where there is none; in CI that fails."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    if "CI" in os.environ:
        pytest.fail("PostgreSQL is not installed, and CI tests on it: apt-get install postgresql")
    pytest.skip("POSTGRESQL ABSENT: the server was tested on SQLite only. apt-get install postgresql")


class Postgres:
    """One cluster. `stop` and `start` may be called again: the data stay."""

    def __init__(self, folder: Path) -> None:
        self.bin = programs()
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql+asyncpg://{USER}@127.0.0.1:{self.port}/postgres"
        folder.mkdir(parents=True)
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
            for parent in folder.parents:  # pytest's folders are closed to others
                if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._run(
            "initdb", "--pgdata", "data", "--username", USER, "--auth", "trust", "--no-sync", "--encoding", "UTF8"
        )

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def start(self) -> None:
        """Returns when it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "--pgdata", "data", "--log", "postgres.log", "--wait", "-t", "60", "-o", options, "start")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it as in a crash, every connection broken; with SIGINT in order. Returns when it is gone."""
        lock = self.folder / "data" / "postmaster.pid"
        if lock.exists():
            master = psutil.Process(int(lock.read_text().split()[0]))
            master.send_signal(how)
            until(lambda: _gone(master), "PostgreSQL has ended", self.log.read_text)

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
        argv = [*as_user, str(self.bin / program), *arguments]
        said = self.folder.parent / f"{self.folder.name}-{program}.log"
        with said.open("ab") as log:  # a pipe would be held open by the server that pg_ctl starts
            done = subprocess.run(
                argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=120, check=False
            )
        assert done.returncode == 0, f"{argv}\n{said.read_text()[-3000:]}"


def _gone(process: psutil.Process) -> bool:
    """Also where its new parent has not noticed yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def database(folder: Path) -> Iterator[Postgres]:
    """A running cluster while the block runs."""
    cluster = Postgres(folder)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
