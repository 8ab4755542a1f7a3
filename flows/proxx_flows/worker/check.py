"""Checks that this machine can run jobs of a pool, before a worker polls; also a command of its own.

A machine that fails every job is always free for the next one, so it would fail a whole queue in seconds. The check
ignores how fast or how busy a machine is: it can do what every other worker can, or the worker does not start.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import click

from proxx.console.exit_status import ENVIRONMENT
from proxx.console.output import err, out
from proxx.console.settings import MAX_RESENDS
from proxx.console.wording import safe
from proxx.contracts.error_bases import ProxxError
from proxx.doctor import machine, storage
from proxx.doctor.finding import Finding, failed_finding
from proxx.ffmpeg.cpu import AVX2, require_cpu
from proxx.ffmpeg.installed import TOOLCHAIN_NAMES, ToolchainName
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.s3.transport import RESENDS as RESENDS_OF_A_NEW_STORE
from proxx.s3.transport import Transport
from proxx.store.opening import initialize_store, store_identity
from proxx_flows.common.shared_store import open_shared_store
from proxx_flows.worker.storage_check import RESENDS, check_storage

C = TypeVar("C", bound=Callable[..., object])
PROGRAMS: Final = ("setsid", "python")  # the pool's job template starts runs with these


@dataclass(frozen=True, kw_only=True)
class WorkerNeeds:
    """What the machine must have. store: a URL, or None for PROXX_STORE. reads, writes: the pool's media folders.

    Each is a folder *inside* a share, not its mount point, which exists and is empty if the share is not mounted; or
    `s3://bucket/prefix`, or a path below a root of this machine.
    """

    store: str | None = None
    toolchains: tuple[ToolchainName, ...] = TOOLCHAIN_NAMES
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def examine_worker(needs: WorkerNeeds) -> tuple[Finding, ...]:
    """Returns the findings of all checks, in a fixed order.

    Writes a trial object into the store only if everything else is in order.
    """
    wire = Transport(resends=RESENDS)
    findings = [*check_runs()]
    for name in needs.toolchains:
        findings.append(check_encoder(name))
    findings += (finding for finding in machine.check_work_folder() if finding.area != "leftovers")
    findings += check_storage(needs.reads, needs.writes, wire)
    findings += check_job_store(needs.store, wire, trial=machine.healthy(tuple(findings)))
    return tuple(findings)


def check_runs() -> Iterator[Finding]:
    """Checks that the programs that start runs exist, and that a Prefect server is named."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=path_of_runs()) is None]
    if missing:
        remedy = "Install util-linux for setsid. python must be in the same folder as the worker's interpreter."
        yield Finding("runs", False, f"{' and '.join(missing)} cannot be found, so no run would start.", remedy)
    url = os.environ.get("PREFECT_API_URL")
    if url is None:
        from prefect.settings import PREFECT_API_URL  # it may be in a profile; slow to import, so only if needed

        url = PREFECT_API_URL.value()
    if not url:
        yield Finding("runs", False, "No Prefect server is named.", "Set PREFECT_API_URL=http://HOST:4200/api.")
    elif not missing:
        yield Finding("runs", True, f"Runs start with {sys.executable}; the Prefect server is {_without_login(url)}.")


def path_of_runs() -> str:
    """Returns PATH with this interpreter's folder first, so that `python` in the job template is this interpreter."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def check_encoder(name: ToolchainName) -> Finding:
    """Checks that the encoder build is installed and runs on this CPU."""
    area = f"toolchain {name}"
    try:
        installed = find_toolchain(name)
        require_cpu(installed, AVX2)
    except ProxxError as error:
        return failed_finding(area, error)
    return Finding(area, True, f"ffmpeg {installed.identity.ffmpeg_version}, {installed.identity.ffmpeg_sha256}.")


def check_job_store(url: str | None, wire: Transport, *, trial: bool) -> Iterator[Finding]:
    """Checks that the store is shared, exists, and with trial=True that it creates objects exclusively."""
    try:
        chosen = open_shared_store(url, wire)
        identity = store_identity(chosen)
    except ProxxError as error:
        yield failed_finding("store", error)
        return
    if identity is None:
        advice = "Check bucket and prefix" if chosen.uri.startswith("s3://") else "Mount the share it is on"
        yield Finding(
            "store",
            False,
            f"There is no store at {chosen.uri}.",
            f"{advice}. If this is to be a new store: `python -m proxx_flows.worker.check --make-store`.",
        )
    elif trial:
        yield from storage.check_store(lambda: chosen)
    else:
        yield Finding("store", True, f"{chosen.uri}: store {identity.uuid}.")


def make_store(url: str | None, resends: int | None = None) -> str:
    """Creates the store unless it exists, and returns a line with its uuid. Its parent folder or bucket must exist.

    resends: how often a request to object storage may be sent again, recorded in a new store.
    """
    chosen = open_shared_store(url)
    made = initialize_store(chosen, resends=RESENDS_OF_A_NEW_STORE if resends is None else resends)
    note = (
        f" It existed already: its limit stays at {made.resends} resends."
        if resends not in (None, made.resends)
        else ""
    )
    return f"{chosen.uri}: store {made.uuid}.{note}"


def problem_lines(findings: tuple[Finding, ...]) -> str:
    """Returns one line for each problem, with its remedy."""
    return "\n".join(f"{f.area}: {f.sentence} {f.remedy}" for f in findings if not f.ok)


def needs_options(command: C) -> C:
    """Adds the options for a WorkerNeeds: `store`, `toolchains`, `reads` and `writes`."""
    for option in (
        click.option(
            "--must-write",
            "writes",
            multiple=True,
            metavar="PLACE",
            help="A folder for proxies that must be writable: inside its share, s3://bucket/prefix, or a path below "
            "a root. A trial file is published there and removed.",
        ),
        click.option(
            "--must-exist",
            "reads",
            multiple=True,
            metavar="PLACE",
            help="A folder of sources that must be readable: inside its share, s3://bucket/prefix, or a path below a "
            "root.",
        ),
        click.option(
            "--toolchain",
            "toolchains",
            multiple=True,
            type=click.Choice(TOOLCHAIN_NAMES),
            default=TOOLCHAIN_NAMES,
            show_default=True,
            help="An encoder build that must be installed.",
        ),
        click.option(
            "--store",
            metavar="URL",
            help="The store with the job files. Without it $PROXX_STORE is used; there is no default.",
        ),
    ):
        command = option(command)
    return command


def _without_login(url: str) -> str:
    """Returns the URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@click.command()
@click.option("--make-store", "make", is_flag=True, help="Create the store if it does not exist yet.")
@click.option(
    "--resends",
    type=click.IntRange(min=0, max=MAX_RESENDS),
    metavar="N",
    help="With --make-store: how often one request to object storage may be sent again. A store's limit never "
    f"changes. Default: {RESENDS_OF_A_NEW_STORE}.",
)
@needs_options
def main(
    store: str | None,
    toolchains: tuple[ToolchainName, ...],
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    make: bool,
    resends: int | None,
) -> None:
    """Check whether a worker can start on this machine. Exits with 0 if it can, otherwise with 6."""
    if resends is not None and not make:
        raise click.UsageError("--resends needs --make-store: the limit of an existing store never changes.")
    if make:
        try:
            out(make_store(store, resends))
        except ProxxError as error:
            err(f"proxx worker: {safe(error)}")
            sys.exit(error.status)
    findings = examine_worker(WorkerNeeds(store=store, toolchains=toolchains, reads=reads, writes=writes))
    for finding in findings:
        line = f"{finding.area}: {finding.sentence} {finding.remedy}".rstrip()
        out(f"{'ok' if finding.ok else 'NO'}  {safe(line)}")
    if not machine.healthy(findings):
        err("proxx worker: this machine takes no jobs. Fix the problems marked NO above.")
        sys.exit(ENVIRONMENT)


if __name__ == "__main__":
    main()
