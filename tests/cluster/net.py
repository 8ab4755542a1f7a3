"""A network of the test's own: a bridge of this machine with two addresses, and cables from it into hosts.

10.77.N.1 is the storage's address and 10.77.N.2 the Prefect API's, so that one can be cut off without the other. N is
the first that is free: two sessions on one machine do not meet. A child waits for this process's end, by whatever
signal, and takes the bridge away then; cables go with the host they lead into.
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
NOWHERE: Final = "02:00:00:00:00:77"  # nobody's hardware address: what is sent there is lost, without an answer
PROGRAMS: Final = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "taskset": "util-linux"}
GUARD: Final = "import subprocess, sys; sys.stdin.read(); subprocess.run(['ip', 'link', 'del', sys.argv[1]])"


def require_hosts() -> None:
    """Skips loudly where hosts cannot be made; in CI that fails."""
    why = ""
    if sys.platform != "linux" or os.geteuid() != 0:
        why = "namespaces are made by root on Linux"
    elif missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        why = f"apt-get install {' '.join(sorted({PROGRAMS[name] for name in missing}))}"
    else:
        tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True)
        if tried.returncode != 0:
            why = f"namespaces cannot be made here: {tried.stderr.decode(errors='replace').strip()}"
    if why and "CI" in os.environ:
        pytest.fail(f"CI proves scaling on separate hosts: {why}")
    if why:
        pytest.skip(f"SEPARATE HOSTS NOT TESTED: {why}")


def ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 or not check, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout


class Network:
    """One bridge. `storage` and `api` are where servers listen; `address(n)` is host n's."""

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
        """A cable from the bridge into the network of a process; the name of the bridge's end."""
        self._cables += 1
        cable = f"{self.bridge}c{self._cables}"
        hardware = f"02:00:0a:4d:{self.number:02x}:{host:02x}"  # the same after a new start: neighbours know it
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "address", hardware, "netns", str(pid))
        ip("link", "set", cable, "master", self.bridge, "up")
        inside(pid, "link", "set", "lo", "up")
        inside(pid, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
        inside(pid, "link", "set", "eth0", "up")
        return cable


def inside(pid: int, *arguments: str) -> None:
    """`ip` in the network of a process."""
    argv = ["nsenter", "--target", str(pid), "--net", "ip", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{argv}: {done.stderr}"


def _clear() -> None:
    """Take away bridges whose session has ended and whose guard has not got to it."""
    for link in Path("/sys/class/net").glob(f"{PREFIX}*"):
        name = link.name.removeprefix(PREFIX)
        owner = (link / "ifalias").read_text().strip() if (link / "ifalias").exists() else ""
        if name.isdigit() and not Path(f"/proc/{owner or '-'}").exists():
            ip("link", "del", link.name, check=False)


@contextmanager
def network() -> Iterator[Network]:
    """A network while the block runs, and not after this process."""
    _clear()
    for number in range(256):
        done = subprocess.run(["ip", "link", "add", f"{PREFIX}{number}", "type", "bridge"], capture_output=True)
        if done.returncode == 0:
            break
    else:
        raise AssertionError(f"no bridge can be made: {done.stderr.decode(errors='replace')}")
    made = Network(number)
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD, made.bridge],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ip("link", "set", made.bridge, "alias", str(os.getpid()))
        for address in (made.storage, made.api):
            ip("addr", "add", f"{address}/24", "dev", made.bridge)
        ip("link", "set", made.bridge, "up")
        yield made
    finally:
        guard.communicate()  # its standard input ends: it takes the bridge away
