"""The hosts share nothing, are cut off when they should be, and leave nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.cluster.fleet import require_programs
from tests.cluster.hosts import DISKS, Host, Surroundings
from tests.cluster.net import Network, ip, network, require_hosts
from tests.flows.pool import ROOT, until

WRITE: Final = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('x')"
REACH: Final = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)"
DESCRIBE: Final = """
import os, time
print(time.strftime("%Z"), sorted(os.sched_getaffinity(0)), os.getcwd(), os.environ["LANG"])
os.close(os.open("/tmp/made", os.O_CREAT, 0o666)); print(oct(os.stat("/tmp/made").st_mode & 0o777), int(time.time()))
"""
FORKS: Final = """
import subprocess, sys, threading
sys.setswitchinterval(1e-4)
for _ in range(12):
    threading.Thread(target=lambda: [hash(()) for _ in iter(int, 1)], daemon=True).start()
for _ in range(100):
    subprocess.run(["true"], preexec_fn=int, check=True)
"""
DOOMED: Final = """
import pathlib, sys
from tests.cluster.hosts import Host, Surroundings
from tests.cluster.net import network
with network() as net:
    folder = pathlib.Path(sys.argv[1])
    host = Host(net, 1, "doomed", Surroundings(), folder)
    host.start()
    host.popen(["sleep", "600"], {}, folder / "sleep.log")
    print(net.bridge, host.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def net() -> Iterator[Network]:
    require_hosts()
    require_programs()
    with network() as made:
        yield made


@pytest.fixture
def two(net: Network, tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    odd = {"TZ": "XXX+11:30", "LANG": "tr_TR.UTF-8"}
    one = Host(net, 1, "eins", Surroundings(environment=odd, cpus="0", umask=0o077, cwd="/var/tmp"), tmp_path)
    other = Host(net, 2, "zwei", Surroundings(environment={"LANG": "C"}, clock="+5h"), tmp_path)
    try:
        one.start()
        other.start()
        yield one, other
    finally:
        one.crash()
        other.crash()


@pytest.mark.clause("T7", lead=True)
@pytest.mark.clause("T5")
def test_hosts_share_no_disk(two: tuple[Host, Host]) -> None:
    """A file that one host writes is not seen by another host; all folders that hosts share are read-only."""
    one, other = two
    for folder in DISKS:
        assert one.run([sys.executable, "-c", WRITE, f"{folder}/seen"], {})[0] == 0
        assert one.run(["cat", f"{folder}/seen"], {}) == (0, "x")
        assert other.run(["cat", f"{folder}/seen"], {})[0] == 1
        assert not Path(f"{folder}/seen").exists()
    for place in ("/", "/home", "/opt", "/var/lib", sys.prefix, str(ROOT)):
        status, output = one.run([sys.executable, "-c", WRITE, f"{place}/seen"], {})
        assert status == 1, place
        assert "Read-only file system" in output


def test_a_host_has_its_surroundings(two: tuple[Host, Host]) -> None:
    one, other = two
    assert one.run(["hostname"], {}) == (0, "eins\n")
    assert other.run(["hostname"], {}) == (0, "zwei\n")
    status, output = one.run([sys.executable, "-c", DESCRIBE], {})
    assert status == 0, output
    zone, mode = output.splitlines()
    assert zone == "XXX [0] /var/tmp tr_TR.UTF-8"
    assert mode.split()[0] == "0o600"
    shift = int(other.run([sys.executable, "-c", DESCRIBE], {})[1].split()[-1]) - int(mode.split()[1])
    assert 5 * 3600 <= shift < 5 * 3600 + 120
    other.set_clock("+0")
    now = int(time.time())
    assert (
        now <= int(other.run([sys.executable, "-c", DESCRIBE.replace("made", "more")], {})[1].split()[-1]) < now + 120
    )


def test_a_wrong_clock_does_not_hang_child_processes(two: tuple[Host, Host]) -> None:
    """A process with busy threads starts others while its clock is wrong, as a flow run does."""
    _, other = two
    other.set_clock("-30d")
    assert other.run([sys.executable, "-c", FORKS], {}) == (0, "")


def test_a_cut_connection_is_cut(net: Network, two: tuple[Host, Host]) -> None:
    """A host without its cable reaches no server; a host that lost the way to storage reaches the API."""
    one, other = two
    servers = {address: socket.create_server((address, 0)) for address in (net.storage, net.api)}

    def reaches(host: Host, address: str) -> bool:
        port = servers[address].getsockname()[1]
        return host.run([sys.executable, "-c", REACH, address, str(port)], {})[0] == 0

    try:
        assert reaches(one, net.storage) and reaches(one, net.api)
        one.lose(net.storage)
        assert not reaches(one, net.storage)
        assert reaches(one, net.api) and reaches(other, net.storage)
        one.find(net.storage)
        assert reaches(one, net.storage)
        one.unplug()
        assert not reaches(one, net.api) and not reaches(one, net.storage)
        assert reaches(other, net.api)
        one.plug()
        assert reaches(one, net.api)
    finally:
        for server in servers.values():
            server.close()


def test_a_crash_leaves_no_process_and_no_file(two: tuple[Host, Host], tmp_path: Path) -> None:
    """No process of the host is left, and its disks are empty after the next start."""
    one, other = two
    sleeping = one.popen(["sleep", "600"], {}, tmp_path / "sleep.log")
    until(lambda: one.processes(), "it sleeps")
    (process,) = one.processes()
    one.run([sys.executable, "-c", WRITE, "/tmp/seen"], {})
    one.crash()
    assert not process.is_running()
    assert sleeping.wait(10) != 0
    one.start()
    assert one.run(["cat", "/tmp/seen"], {})[0] == 1
    assert other.running


def test_hosts_end_with_the_test_session(tmp_path: Path) -> None:
    """A session that is killed leaves no process, no network and no bridge."""
    require_hosts()
    doomed = subprocess.Popen(
        [sys.executable, "-c", DOOMED, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert doomed.stdout is not None
    bridge, pid = doomed.stdout.readline().decode().split()
    first = psutil.Process(int(pid))
    assert bridge in ip("link", "show")
    doomed.send_signal(signal.SIGKILL)
    doomed.wait(30)
    until(lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE, "the host has ended")
    until(
        lambda: f"{bridge}:" not in ip("link", "show") and f"{bridge}c" not in ip("link", "show"), "no bridge is left"
    )
