"""A host: a machine as far as a worker can see. Its own network, name, disks and processes, its own surroundings.

Made of namespaces without names: with the last process of a host everything of it is gone, and that one ends with the
test. A host reads the checkout and the interpreter, and can write on its own disks only; what it wants others to know
has to go through its cable.
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
LAUNCHED: Final = "/run/launched"  # on the host: a line for each encoder that was begun by a launcher
NOTED: Final = ("/bin/sh", "-c", f'echo >> {LAUNCHED}; exec "$@"', "sh")
DISKS: Final = ("/tmp", "/root", "/var/tmp", "/dev/shm", "/run")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is particular to a host and must change nothing. cpus: of `taskset`. launcher: an emulated CPU."""

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
    """One machine. `start` boots it, `crash` takes its power away; both may be called again."""

    def __init__(self, network: Network, number: int, name: str, here: Surroundings, folder: Path) -> None:
        self.network, self.number, self.name, self.here, self.folder = network, number, name, here, folder
        self.address = network.address(number)
        self._outer: subprocess.Popen[bytes] | None = None
        self._init: psutil.Process | None = None
        self._cable = ""
        self.worker: WorkerOnHost | None = None

    @property
    def pid(self) -> int:
        """The first process's, as this machine counts."""
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
        said = {"name": self.name, "hidden": self._hidden, "kept": kept}
        words = (self.folder / f"{self.name}.init").open("ab")
        with words:
            self._outer = subprocess.Popen(
                ["unshare", *NAMESPACES, sys.executable, "-I", str(ONHOST / "init.py"), json.dumps(said)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env={"PATH": os.environ["PATH"]},
                start_new_session=True,
            )
        assert self._outer.stdout is not None
        up = self._outer.stdout.readline()
        assert up == b"up\n", (self.folder / f"{self.name}.init").read_text(errors="replace")
        (self._init,) = psutil.Process(self._outer.pid).children()
        self._cable = self.network.plug_in(self.number, self.pid)
        if self.here.clock is not None:
            clock.plug_in(self._root)
            clock.put(self._root, self.here.clock)

    @property
    def _hidden(self) -> list[str]:
        """Disks of the host's own; the test's folder is not to be seen wherever it is."""
        return [*DISKS, *(() if any(self.folder.is_relative_to(d) for d in DISKS) else (str(self.folder),))]

    def crash(self) -> None:
        """As a power cut. Returns when no process of it is left."""
        if self._init is not None and self._outer is not None:
            with suppress(psutil.NoSuchProcess):
                self._init.kill()
            self._outer.wait(DEADLINE)
            for pipe in (self._outer.stdin, self._outer.stdout):
                if pipe is not None:
                    pipe.close()
            if self.worker is not None:
                self.worker.process.wait(DEADLINE)
            ip("link", "del", self._cable, check=False)  # it goes by itself, but later
        self._init = self._outer = self.worker = None

    # --- what can be done to it ---------------------------------------------------------------------------------

    def unplug(self) -> None:
        """The cable is out: nothing comes or goes, and nobody is told."""
        ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        ip("link", "set", self._cable, "up")

    def lose(self, address: str) -> None:
        """What is sent to this address is lost on the way, without an answer."""
        inside(self.pid, "neigh", "replace", address, "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent")

    def find(self, address: str) -> None:
        inside(self.pid, "neigh", "del", address, "dev", "eth0")

    def set_clock(self, shift: str) -> None:
        """Wall clocks only, as of now: `+5h`, `-3d`, `+0`. Of processes that were begun with a clock."""
        clock.put(self._root, shift)

    # --- what runs on it ----------------------------------------------------------------------------------------

    def popen(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program on the host. What is returned is its way in: the program itself is its only child."""
        here = self.here
        entered = ["nsenter", "--target", str(self.pid), "--all", "env", f"--chdir={here.cwd}", "-i"]
        env = {**base_environment(), **environment, **here.env()}
        pinned = ["taskset", "--cpu-list", here.cpus] if here.cpus is not None else []
        settings = [f"{name}={value}" for name, value in env.items() if name != "LD_PRELOAD"]
        preload = [f"LD_PRELOAD={env['LD_PRELOAD']}"] if "LD_PRELOAD" in env else []
        with log.open("ab") as out:
            return subprocess.Popen(
                [*entered, *settings, *preload, *pinned, *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                umask=here.umask,
                start_new_session=True,
            )

    def run(self, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Exit status and all it said."""
        log = self.folder / f"{self.name}-{uuid.uuid4().hex[:8]}.log"
        status = self.popen(argv, environment, log).wait(DEADLINE)
        return status, log.read_text(errors="replace")

    def launched(self) -> int:
        """How many programs its launcher has begun."""
        noted = self._root / LAUNCHED.lstrip("/")
        return len(noted.read_bytes()) if noted.exists() else 0

    def processes(self) -> list[psutil.Process]:
        """All that live on it, the first one left out."""
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
        """The processes of runs."""
        return [process for process in self.processes() if "prefect.engine" in _words(process)]

    def encoders(self) -> list[psutil.Process]:
        return [process for process in self.processes() if any("ffmpeg-linux" in w for w in _words(process))]

    def start_worker(self, environment: Mapping[str, str], *arguments: str) -> WorkerOnHost:
        """`polls` of what is returned waits for it."""
        log = self.folder / f"{self.name}-worker-{uuid.uuid4().hex[:6]}.log"
        argv = [sys.executable, "-m", "proxx_flows.worker", "--pool", "proxx", "--name", self.name, *arguments]
        env = {**environment, "PREFECT_LOGGING_LEVEL": "DEBUG"}
        self.worker = WorkerOnHost(self.name, self.popen([*argv, "--toolchain", "static"], env, log), log)
        return self.worker


@dataclass
class WorkerOnHost:
    """A worker on a host. process: the way in, which ends when the worker does."""

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
        """The worker alone: runs in its hands go on."""
        with suppress(psutil.NoSuchProcess):
            self.end(signal.SIGKILL)


def programs() -> list[Path]:
    """Where the interpreter, its packages and the checkout are; none is below another."""
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


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []
