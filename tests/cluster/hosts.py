"""A host: a machine as far as a worker can see, with a network, name, disks, processes and surroundings of its own.

It consists of unnamed namespaces, which disappear with the last process of the host; that process ends with the test.
A host can read the checkout and the interpreter and can write on its own disks only. Everything that other hosts see
of it goes through its cable.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.cluster import clock
from tests.cluster.net import NOWHERE, Network, inside, ip
from tests.flows.pool import DEADLINE, POLLS, ROOT, until

ONHOST: Final = Path(__file__).parent / "onhost"
NAMESPACES: Final = ("--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc")
LAUNCHED: Final = "/run/launched"  # on the host: a line for each encoder that a launcher started
NOTED: Final = ("/bin/sh", "-c", f'echo >> {LAUNCHED}; exec "$@"', "sh")
DISKS: Final = ("/tmp", "/root", "/var/tmp", "/dev/shm", "/run")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Properties of a host that must not change any result. cpus: for `taskset`. launcher: of an emulated CPU."""

    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: str | None = None
    umask: int = 0o022
    cwd: str = "/tmp"
    launcher: str | None = None
    clock: str | None = None

    def env(self) -> dict[str, str]:
        more = dict(self.environment)
        if self.launcher is not None:
            more["PROXX_TEST_LAUNCHER"] = shlex.join([*NOTED, *self.launcher.split()])
        if self.clock is not None:
            more |= clock.ENVIRONMENT
        return more


class Host:
    """One machine. `start` boots it, `crash` cuts its power; both can be called repeatedly."""

    def __init__(self, network: Network, number: int, name: str, surroundings: Surroundings, folder: Path) -> None:
        self.network, self.number, self.name, self.surroundings, self.folder = (
            network,
            number,
            name,
            surroundings,
            folder,
        )
        self.address = network.address(number)
        self._outer: subprocess.Popen[bytes] | None = None
        self._init: psutil.Process | None = None
        self._cable = ""
        self.worker: WorkerOnHost | None = None

    @property
    def pid(self) -> int:
        """The process id of its first process, as this machine counts."""
        assert self._init is not None, f"{self.name} is not running"
        return self._init.pid

    @property
    def _root(self) -> Path:
        return Path(f"/proc/{self.pid}/root")

    @property
    def running(self) -> bool:
        return self._init is not None

    def start(self) -> None:
        kept = [str(place) for place in programs() if any(place.is_relative_to(disk) for disk in self._hidden)]
        request = {"name": self.name, "hidden": self._hidden, "kept": kept}
        with (self.folder / f"{self.name}.init").open("ab") as log:
            self._outer = subprocess.Popen(
                ["unshare", *NAMESPACES, sys.executable, "-I", str(ONHOST / "init.py"), json.dumps(request)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
                start_new_session=True,
            )
        assert self._outer.stdout is not None
        answer = self._outer.stdout.readline()
        assert answer == b"up\n", (self.folder / f"{self.name}.init").read_text(errors="replace")
        (self._init,) = psutil.Process(self._outer.pid).children()
        self._cable = self.network.plug_in(self.number, self.pid)
        if self.surroundings.clock is not None:
            clock.plug_in(self._root)
            clock.put(self._root, self.surroundings.clock)

    @property
    def _hidden(self) -> list[str]:
        """Folders that are disks of the host's own. The test's folder is one, so that no host sees it."""
        return [*DISKS, *(() if any(self.folder.is_relative_to(d) for d in DISKS) else (str(self.folder),))]

    def crash(self) -> None:
        """Kills all its processes, as a power cut does. Returns when none is left."""
        if self._init is not None and self._outer is not None:
            with suppress(psutil.NoSuchProcess):
                self._init.kill()
            self._outer.wait(DEADLINE)
            for pipe in (self._outer.stdin, self._outer.stdout):
                if pipe is not None:
                    pipe.close()
            if self.worker is not None:
                self.worker.process.wait(DEADLINE)
            ip("link", "del", self._cable, check=False)  # it disappears by itself, but later
        self._init = self._outer = self.worker = None

    # --- faults -------------------------------------------------------------------------------------------------

    def unplug(self) -> None:
        """Unplugs the cable: no packet comes or goes, and no connection is closed."""
        ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        ip("link", "set", self._cable, "up")

    def lose(self, address: str) -> None:
        """Loses all packets to this address, without an answer."""
        inside(self.pid, "neigh", "replace", address, "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent")

    def find(self, address: str) -> None:
        inside(self.pid, "neigh", "del", address, "dev", "eth0")

    def set_clock(self, shift: str) -> None:
        """Sets the wall clock wrong (`+5h`, `-3d`, `+0`), for processes that were started with the library."""
        clock.put(self._root, shift)

    # --- processes ----------------------------------------------------------------------------------------------

    def popen(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Starts a program on the host. Returns the process that entered the host: the program is its only child."""
        own = self.surroundings
        entered = ["nsenter", "--target", str(self.pid), "--all", "env", f"--chdir={own.cwd}", "-i"]
        env = {**base_environment(), **environment, **own.env()}
        pinned = ["taskset", "--cpu-list", own.cpus] if own.cpus is not None else []
        settings = [f"{name}={value}" for name, value in env.items() if name != "LD_PRELOAD"]
        preload = [f"LD_PRELOAD={env['LD_PRELOAD']}"] if "LD_PRELOAD" in env else []
        with log.open("ab") as out:
            return subprocess.Popen(
                [*entered, *settings, *preload, *pinned, *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                umask=own.umask,
                start_new_session=True,
            )

    def run(self, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Runs a program. Returns its exit status and output."""
        log = self.folder / f"{self.name}-{uuid.uuid4().hex[:8]}.log"
        status = self.popen(argv, environment, log).wait(DEADLINE)
        return status, log.read_text(errors="replace")

    def launched(self) -> int:
        """Returns how many programs its launcher has started."""
        noted = self._root / LAUNCHED.lstrip("/")
        return len(noted.read_bytes()) if noted.exists() else 0

    def processes(self) -> list[psutil.Process]:
        """Returns all its live processes, except the first one."""
        if self._init is None:
            return []
        mine, found = Path(f"/proc/{self.pid}/ns/pid").readlink(), []
        for process in psutil.process_iter(["status"]):
            with suppress(OSError, psutil.Error):
                alive = process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != self.pid
                if alive and Path(f"/proc/{process.pid}/ns/pid").readlink() == mine:
                    found.append(process)
        return found

    def engines(self) -> list[psutil.Process]:
        """Returns the processes of flow runs."""
        return [process for process in self.processes() if "prefect.engine" in _argv(process)]

    def encoders(self) -> list[psutil.Process]:
        return [process for process in self.processes() if any("ffmpeg-linux" in w for w in _argv(process))]

    def start_worker(self, environment: Mapping[str, str], *arguments: str) -> WorkerOnHost:
        """Starts a worker. Call `polls` of the result to wait until it polls."""
        log = self.folder / f"{self.name}-worker-{uuid.uuid4().hex[:6]}.log"
        argv = [sys.executable, "-m", "proxx_flows.worker", "--pool", "proxx", "--name", self.name, *arguments]
        env = {**environment, "PREFECT_LOGGING_LEVEL": "DEBUG"}
        self.worker = WorkerOnHost(self.name, self.popen([*argv, "--toolchain", "static"], env, log), log)
        return self.worker


@dataclass
class WorkerOnHost:
    """A worker on a host. process: the process that entered the host, which ends when the worker does."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def words(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def polls(self) -> None:
        until(lambda: POLLS in self.words or not self.alive, f"{self.name} polls", lambda: self.words)
        assert self.alive, self.words

    def send(self, number: signal.Signals) -> None:
        for child in psutil.Process(self.process.pid).children():
            child.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        self.send(number)
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """Kills the worker alone: its runs go on."""
        with suppress(psutil.NoSuchProcess):
            self.end(signal.SIGKILL)


def programs() -> list[Path]:
    """Returns the folders of the interpreter, its packages and the checkout; none is below another."""
    packages = [place for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]
    places = (sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), *packages, str(ROOT))
    resolved = sorted({Path(place).resolve() for place in places if Path(place).is_dir()})
    return [
        place for place in resolved if not any(place != other and place.is_relative_to(other) for other in resolved)
    ]


def base_environment() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/root",
        "PYTHONPATH": f"{ONHOST}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _argv(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []
