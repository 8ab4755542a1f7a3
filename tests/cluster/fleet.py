"""A fleet: hosts that share only a bucket on Ceph RGW and the Prefect API on PostgreSQL and Redis."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from proxx.files.preflight import TRIAL
from proxx.s3.transport import RESENDS
from proxx.store.base import Store
from proxx.store.opening import initialize_store, open_store
from tests.cluster.card import Card, JobOutcome, read_outcome
from tests.cluster.clock import COMPILER
from tests.cluster.hosts import Host, Surroundings
from tests.cluster.net import Network, network, require_hosts
from tests.cluster.services import Api, serving_fleet
from tests.flows.pool import ENDED, QUICK
from tests.objects.endpoint import Bucket, Endpoint
from tests.objects.rgw import Rgw, running_rgw

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

STORMY: Final = ("ahorn", "birke", "eibe", "linde", "ulme", "weide")
LOCALES: Final = ("tr_TR.UTF-8", "de_DE.UTF-8")
QEMU: Final = "/usr/bin/qemu-x86_64"


def wait_until(
    condition: Callable[[], bool], description: str, logs: Callable[[], str], seconds: float = 600
) -> None:
    """Waits until the condition holds. Fails the test after `seconds`, with the end of the logs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {description}\n{logs()[-6000:]}"
        time.sleep(1)


class Share:
    """A store and a place for proxies in the fleet's bucket, one of several; all share the same media."""

    def __init__(self, fleet: Fleet, name: str, resends: int) -> None:
        self.fleet, self.name = fleet, name
        self.url = f"s3://{fleet.bucket.name}/{name}/store"
        self.proxies = f"{name}/proxies/"
        self.store: Store = open_store(self.url)
        self.uuid = initialize_store(self.store, resends=resends).uuid

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this share's workers."""
        bucket = self.fleet.bucket.name
        roots = f"media=s3://{bucket}/media;proxies=s3://{bucket}/{self.proxies.rstrip('/')}"
        return {**self.fleet.environment, "PROXX_STORE": self.url, "PROXX_ROOTS": roots}

    def operator(self, *argv: str, statuses: tuple[int, ...] = (0,)) -> str:
        """Runs a command as an operator. Returns its standard output."""
        return self.fleet.api.command(*argv, env=self.environment, statuses=statuses)

    def submit(self, specs: Sequence[Path]) -> None:
        self.operator("proxx", "submit", *map(str, specs))

    def audit(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.operator("proxx", "audit", "--all", "--json", statuses=(0, 1)))
        return answer

    def outputs(self, name: str = "") -> dict[str, bytes]:
        """Returns the objects below the proxies, or below those of one job, by their place there."""
        objects = self.fleet.bucket.contents(f"{self.proxies}{name}")
        return {key.removeprefix(self.proxies): data for key, data in objects.items()}

    def outcome(self, card: Card, name: str, attempt: int = 1) -> JobOutcome:
        """Returns the outcome of an attempt. The trial object that a killed run left is not an output."""
        made = {place: data for place, data in self.outputs(f"{name}/").items() if TRIAL not in place}
        return read_outcome(self.store, card.jobs[name], made, attempt)


class Fleet:
    """Network, servers and hosts. hosts: by name. `host` creates a host, `share` a store."""

    def __init__(self, net: Network, rgw: Rgw, api: Api, folder: Path) -> None:
        self.net, self.rgw, self.api, self.folder = net, rgw, api, folder
        user = rgw.as_user(rgw.user("fleet"))
        self.endpoint: Endpoint = user
        self.bucket: Bucket = user.bucket(f"fleet-{secrets.token_hex(4)}").make()
        self.hosts: dict[str, Host] = {}

    @property
    def environment(self) -> dict[str, str]:
        """The addresses of storage and API, for a host or an operator."""
        quick = {**QUICK, "PREFECT_LOCAL_STORAGE_PATH": "/tmp/results"}
        return {**self.api.client_settings(), **self.endpoint.environment, **quick}

    def host(self, name: str, surroundings: Surroundings) -> Host:
        """Creates and starts a host."""
        host = Host(self.net, len(self.hosts) + 1, name, surroundings, self.folder)
        self.hosts[name] = host
        host.start()
        return host

    def share(self, name: str, resends: int = RESENDS) -> Share:
        return Share(self, name, resends)

    def crash_all(self) -> None:
        for host in self.hosts.values():
            host.crash()
        self.hosts.clear()

    # --- runs in Prefect ------------------------------------------------------------------------------------

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.api.url}), get_client(sync_client=True) as client:
            yield client

    def runs(self, share: Share) -> dict[str, str]:
        """Returns the state type of every run for the share's store, by run id."""
        runs: dict[str, FlowRun] = {}
        with self.client() as client:
            while page := client.read_flow_runs(limit=200, offset=len(runs)):
                for run in page:
                    runs[str(run.id)] = run
                if len(page) < 200:
                    break
        return {
            run_id: run.state.type.value if run.state is not None else ""
            for run_id, run in runs.items()
            if (run.parameters.get("reference") or {}).get("store_uuid") == share.uuid
        }

    def await_ends(self, share: Share, count: int) -> None:
        """Waits until the share has this number of runs and all have ended."""

        def ended() -> bool:
            states = self.runs(share)
            return len(states) == count and all(state in ENDED for state in states.values())

        wait_until(ended, f"{count} runs have ended", self.worker_logs)

    def states(self, run_id: str) -> list[str]:
        with self.client() as client:
            return [state.type.value for state in client.read_flow_run_states(uuid.UUID(run_id))]

    def worker_logs(self) -> str:
        """Returns the end of every worker's log."""
        workers = [host.worker for host in self.hosts.values() if host.worker is not None]
        return "\n".join(f"--- {worker.name}\n{worker.words[-1500:]}" for worker in workers)


def six_hosts() -> dict[str, Surroundings]:
    """Six machines that differ as much as possible: two with other CPUs, one with its clock ten minutes ahead."""
    return {
        "ost": Surroundings(
            environment={"TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "LANGUAGE": "tr", "PYTHONHASHSEED": "1"},
            cpus="0",
            umask=0o077,
            cwd="/",
        ),
        "west": Surroundings(
            environment={"TZ": "XXX+11:30", "LC_ALL": "C", "PYTHONHASHSEED": "4294967295"}, cpus="1", cwd="/var/tmp"
        ),
        "eile": Surroundings(environment={"TZ": "Asia/Kathmandu", "LANG": "de_DE.UTF-8"}, clock="+10m"),
        "enge": Surroundings(environment={"TZ": "UTC", "PYTHONHASHSEED": "77"}, cpus="0-1", umask=0o002, cwd="/root"),
        "haswell": Surroundings(environment={"TZ": "America/St_Johns"}, launcher=f"{QEMU} -cpu Haswell"),
        "epyc": Surroundings(environment={"LANG": "C.UTF-8"}, cpus="1", launcher=f"{QEMU} -cpu EPYC"),
    }


def storm_hosts(fleet: Fleet, count: int) -> list[Host]:
    """Creates hosts with different surroundings, whose clocks can be set wrong."""
    surroundings = list(six_hosts().values())[:4]  # without the emulated CPUs, which are slow
    return [
        fleet.host(name, replace(surroundings[number % 4], clock="+0")) for number, name in enumerate(STORMY[:count])
    ]


def require_programs() -> None:
    """Skips the test, or fails it in CI, if a program for emulated CPUs, clocks or locales is missing."""
    for path, package in ((QEMU, "qemu-user"), (COMPILER, "gcc libc6-dev")):
        if not Path(path).exists():
            if "CI" in os.environ:
                pytest.fail(f"{path} is missing, and CI must test scaling with it: apt-get install {package}")
            pytest.skip(f"SEPARATE HOSTS NOT TESTED: {path} is missing. apt-get install {package}")
    known = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout.split()
    if missing := [name for name in LOCALES if name.replace("UTF-8", "utf8") not in known]:
        make = "; ".join(f"localedef -i {name.partition('.')[0]} -f UTF-8 {name}" for name in missing)
        if "CI" in os.environ:
            pytest.fail(f"CI must test scaling in other languages: apt-get install locales; {make}")
        pytest.skip(f"SEPARATE HOSTS NOT TESTED: languages are missing. apt-get install locales; {make}")


@contextmanager
def running_fleet(folder: Path) -> Iterator[Fleet]:
    """Runs a fleet without hosts during the block, with the environment of this process set to reach its bucket."""
    require_hosts()
    require_programs()
    with ExitStack() as stack:
        net = stack.enter_context(network())
        rgw = stack.enter_context(running_rgw(folder / "rgw", net.storage))
        api = stack.enter_context(serving_fleet(folder / "api", net.api))
        api.set_up()
        fleet = Fleet(net, rgw, api, folder)
        stack.callback(fleet.crash_all)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        set_environment(patch, fleet.endpoint.environment)
        yield fleet


def set_environment(patch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        patch.setenv(name, value)
