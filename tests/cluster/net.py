"""The network of the tests: a bridge on this machine with two addresses, and a cable from it into each host.

The storage listens on 10.77.N.1 and the Prefect API on 10.77.N.2, so that either can be cut off alone. N is the first
free number, so that two sessions on one machine do not meet. A child process removes the bridge when this process
ends, whatever the signal; a cable disappears with its host.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

PREFIX: Final = "px77-"
NOWHERE: Final = "02:00:00:00:00:77"  # no device has this hardware address: packets to it are lost without an answer
PROGRAMS: Final = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "taskset": "util-linux"}
GUARD: Final = "import subprocess, sys; sys.stdin.read(); subprocess.run(['ip', 'link', 'del', sys.argv[1]])"


def require_hosts() -> None:
    """Skips the test, or fails it in CI, if this machine cannot create hosts."""
    reason = ""
    if sys.platform != "linux" or os.geteuid() != 0:
        reason = "only root on Linux can create namespaces"
    elif missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        reason = f"apt-get install {' '.join(sorted({PROGRAMS[name] for name in missing}))}"
    else:
        tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True)
        if tried.returncode != 0:
            reason = f"namespaces cannot be created here: {tried.stderr.decode(errors='replace').strip()}"
    if reason and "CI" in os.environ:
        pytest.fail(f"CI must test scaling on separate hosts: {reason}")
    if reason:
        pytest.skip(f"SEPARATE HOSTS NOT TESTED: {reason}")


def ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 or not check, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout


class Network:
    """One bridge. `storage` and `api` are the addresses of the servers, `address(n)` is the address of host n."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.bridge = f"{PREFIX}{number}"
        self.storage, self.api = self._at(1), self._at(2)
        self._cables = 0

    def _at(self, last: int) -> str:
        return f"10.77.{self.number}.{last}"

    def address(self, host: int) -> str:
        return self._at(10 + host)

    def plug_in(self, host: int, pid: int) -> str:
        """Connects the network of a process to the bridge. Returns the name of the bridge's end of the cable."""
        self._cables += 1
        cable = f"{self.bridge}c{self._cables}"
        hardware = f"02:00:0a:4d:{self.number:02x}:{host:02x}"  # neighbours remember it over a restart
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "address", hardware, "netns", str(pid))
        ip("link", "set", cable, "master", self.bridge, "up")
        inside(pid, "link", "set", "lo", "up")
        inside(pid, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
        inside(pid, "link", "set", "eth0", "up")
        return cable


def inside(pid: int, *arguments: str) -> None:
    """Runs `ip` in the network of a process."""
    argv = ["nsenter", "--target", str(pid), "--net", "ip", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{argv}: {done.stderr}"


def _clear() -> None:
    """Removes bridges of sessions that have ended, if their guard has not done so."""
    for link in Path("/sys/class/net").glob(f"{PREFIX}*"):
        name = link.name.removeprefix(PREFIX)
        owner = (link / "ifalias").read_text().strip() if (link / "ifalias").exists() else ""
        if name.isdigit() and not Path(f"/proc/{owner or '-'}").exists():
            ip("link", "del", link.name, check=False)


@contextmanager
def network() -> Iterator[Network]:
    """Creates a network for the block. It is removed after the block, or when this process ends."""
    _clear()
    for number in range(256):
        done = subprocess.run(["ip", "link", "add", f"{PREFIX}{number}", "type", "bridge"], capture_output=True)
        if done.returncode == 0:
            break
    else:
        raise AssertionError(f"no bridge can be created: {done.stderr.decode(errors='replace')}")
    created = Network(number)
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD, created.bridge],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ip("link", "set", created.bridge, "alias", str(os.getpid()))
        for address in (created.storage, created.api):
            ip("addr", "add", f"{address}/24", "dev", created.bridge)
        ip("link", "set", created.bridge, "up")
        yield created
    finally:
        guard.communicate()  # closes its standard input, so that it removes the bridge
