"""The first process of a host: gives the host a name and disks of its own, then waits for the end of the host.

Run by path, with one JSON argument: {name, hidden, kept}. hidden: folders that become empty disks of this host.
kept: folders below them that stay as they are. All other folders of the machine become read-only.
"""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

STAGE = Path("/mnt")


def mount(*arguments: str) -> None:
    subprocess.run(["/usr/bin/mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def main() -> None:
    request = json.loads(sys.argv[1])
    socket.sethostname(request["name"])
    mount("-t", "tmpfs", "-o", "mode=755", "host", str(STAGE))
    staged = []
    for number, place in enumerate(request["kept"]):
        stage = STAGE / str(number)
        stage.mkdir()
        mount("--rbind", place, str(stage))
        staged.append((stage, place))
    mount("-o", "remount,bind,ro", "/")
    for folder in request["hidden"]:
        mount("-t", "tmpfs", "-o", "mode=1777", "host", folder)
    for stage, place in staged:
        Path(place).mkdir(parents=True, exist_ok=True)
        mount("--move", str(stage), place)
        mount("-o", "remount,bind,ro", place)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphaned processes become children of this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("up", flush=True)
    sys.stdin.read()  # returns when the test ends in any way; the whole host ends with this process


main()
