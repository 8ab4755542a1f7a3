"""The first process of a host: gives it a name and disks of its own, then waits until the host is to end.

Run by path, with one JSON argument: {name, hidden, kept}. hidden: folders that become empty disks of this host.
kept: programs below them, which stay as they are. Nothing else of the machine's disks can be written after that.
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
    said = json.loads(sys.argv[1])
    socket.sethostname(said["name"])
    mount("-t", "tmpfs", "-o", "mode=755", "host", str(STAGE))
    staged = []
    for number, place in enumerate(said["kept"]):
        stage = STAGE / str(number)
        stage.mkdir()
        mount("--rbind", place, str(stage))
        staged.append((stage, place))
    mount("-o", "remount,bind,ro", "/")
    for folder in said["hidden"]:
        mount("-t", "tmpfs", "-o", "mode=1777", "host", folder)
    for stage, place in staged:
        Path(place).mkdir(parents=True, exist_ok=True)
        mount("--move", str(stage), place)
        mount("-o", "remount,bind,ro", place)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever lost its parent is this one's child
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("up", flush=True)
    sys.stdin.read()  # ends with the test, however that ends; all of the host ends with this process


main()
