"""Whether this machine may take jobs of a pool: looked at before a worker polls, and alone before it is started.

One wrong machine in a pool is always free for the next job, so it fails a whole queue in seconds. Nothing here
looks at how fast or how busy a machine is: it can do what every other worker can, or it does not start.
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

from proxx.console.output import err, out
from proxx.console.wording import safe
from proxx.contracts.error_bases import ProxxError
from proxx.doctor import machine as doctor
from proxx.doctor import storage as doctor_storage
from proxx.doctor.finding import Finding
from proxx.ffmpeg.toolchain import AVX2, NAMES, Name, find_toolchain, require_cpu
from proxx.s3.transport import RESENDS as RESENDS_OF_A_NEW_STORE
from proxx.s3.transport import Transport
from proxx.store.opening import initialize_store, store_identity
from proxx_flows.common.shared_store import shared_store
from proxx_flows.worker.storage_check import RESENDS, check_storage

C = TypeVar("C", bound=Callable[..., object])
ENVIRONMENT: Final = 6
PROGRAMS: Final = ("setsid", "python")  # what the pool's job template starts runs with


@dataclass(frozen=True, kw_only=True)
class WorkerNeeds:
    """What the machine must have. store: a URL, or None for PROXX_STORE. reads, writes: places of the pool's media.

    A folder *inside* a share, not the place it is mounted at: that one is there, and empty, without the share. Or
    `s3://bucket/prefix`, or a name below a root of this machine.
    """

    store: str | None = None
    toolchains: tuple[Name, ...] = NAMES
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def examine_worker(needs: WorkerNeeds) -> tuple[Finding, ...]:
    """Everything, in a fixed order; the store's trial object is written only where all else is well."""
    wire = Transport(resends=RESENDS)
    findings = [*check_runs()]
    for name in needs.toolchains:
        findings.append(check_toolchains(name))
    findings += (finding for finding in doctor.check_work_folder() if finding.area != "leftovers")
    findings += check_storage(needs.reads, needs.writes, wire)
    findings += job_files(needs.store, wire, trial=doctor.healthy(tuple(findings)))
    return tuple(findings)


def check_runs() -> Iterator[Finding]:
    """Which interpreter runs will have, and which server they talk to."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=path_of_runs()) is None]
    if missing:
        remedy = "Install util-linux for setsid; python has to be beside the interpreter that starts the worker."
        yield Finding("runs", False, f"{' and '.join(missing)} cannot be found, so no run would start.", remedy)
    url = os.environ.get("PREFECT_API_URL")
    if url is None:
        from prefect.settings import PREFECT_API_URL  # a profile may say it; slow, so only where needed

        url = PREFECT_API_URL.value()
    if not url:
        yield Finding("runs", False, "No Prefect server is named.", "Set PREFECT_API_URL=http://HOST:4200/api.")
    elif not missing:
        yield Finding("runs", True, f"Runs are started with {sys.executable}, jobs come from {_shown(url)}.")


def path_of_runs() -> str:
    """PATH with this interpreter's folder first: `python` in the job template is then this one, on every machine."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def check_toolchains(name: Name) -> Finding:
    area = f"toolchain {name}"
    try:
        installed = find_toolchain(name)
        require_cpu(installed, AVX2)
    except ProxxError as why:
        return _failed(area, why)
    return Finding(area, True, f"ffmpeg {installed.identity.ffmpeg_version}, {installed.identity.ffmpeg_sha256}.")


def job_files(said: str | None, wire: Transport, *, trial: bool) -> Iterator[Finding]:
    """It is one that machines share, it is the store and not an empty place, and it creates exclusively."""
    try:
        chosen = shared_store(said, wire)
        known = store_identity(chosen)
    except ProxxError as why:
        yield _failed("store", why)
        return
    if known is None:
        missing = "Check bucket and prefix" if chosen.uri.startswith("s3://") else "Mount the share it is on"
        yield Finding(
            "store",
            False,
            f"{chosen.uri} holds no store.",
            f"{missing}; for the first one ever: `python -m proxx_flows.worker.check --make-store`.",
        )
    elif trial:
        yield from doctor_storage.check_store(lambda: chosen)
    else:
        yield Finding("store", True, f"{chosen.uri}: store {known.uuid}.")


def make_store(said: str | None, resends: int | None = None) -> str:
    """Make the store where there is none yet, and say which it is. Its parent folder, or its bucket, has to be there.

    resends: how often a request to object storage may be sent again, for a new store's record.
    """
    chosen = shared_store(said)
    made = initialize_store(chosen, resends=RESENDS_OF_A_NEW_STORE if resends is None else resends)
    other = (
        f" It was there, and allows {made.resends} resends for ever." if resends not in (None, made.resends) else ""
    )
    return f"{chosen.uri}: store {made.uuid}.{other}"


def refusal_of_worker(findings: tuple[Finding, ...]) -> str:
    """What is wrong, a line each with what to do."""
    wrong = [finding for finding in findings if not finding.ok]
    return "\n".join(f"{f.area}: {f.sentence} {f.remedy}" for f in wrong)


def needs_options(command: C) -> C:
    """The options that say what a machine must have: `store`, `toolchains`, `reads` and `writes` of a Needs."""
    for option in (
        click.option(
            "--must-write",
            "writes",
            multiple=True,
            metavar="PLACE",
            help="A folder of proxies inside its share, s3://bucket/prefix, or a name below a root: a trial file is "
            "published there and removed.",
        ),
        click.option(
            "--must-exist",
            "reads",
            multiple=True,
            metavar="PLACE",
            help="A folder of sources inside its share, s3://bucket/prefix, or a name below a root, that has to be "
            "readable.",
        ),
        click.option(
            "--toolchain",
            "toolchains",
            multiple=True,
            type=click.Choice(NAMES),
            default=NAMES,
            show_default=True,
            help="An encoder build that has to be here.",
        ),
        click.option(
            "--store", metavar="URL", help="Where the job files are. Else $PROXX_STORE; there is no default."
        ),
    ):
        command = option(command)
    return command


def _shown(url: str) -> str:
    """Without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _failed(area: str, why: ProxxError) -> Finding:
    detail = f" ({why.detail})" if why.detail else ""
    return Finding(area, False, f"{why.code}: {why.message}{detail}", why.remedy)


@click.command()
@click.option("--make-store", "make", is_flag=True, help="Make the store if there is none yet.")
@click.option(
    "--resends",
    type=click.IntRange(min=0),
    metavar="N",
    help="With --make-store: how often one request to object storage may be sent again, for good. Else "
    f"{RESENDS_OF_A_NEW_STORE}.",
)
@needs_options
def main(
    store: str | None,
    toolchains: tuple[Name, ...],
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    make: bool,
    resends: int | None,
) -> None:
    """Say whether a worker may start here. Ends with 0 if so, else with 6."""
    if resends is not None and not make:
        raise click.UsageError("--resends belongs to --make-store: the record of a store never changes.")
    if make:
        try:
            out(make_store(store, resends))
        except ProxxError as why:
            err(f"proxx worker: {safe(why)}")
            sys.exit(why.status)
    findings = examine_worker(WorkerNeeds(store=store, toolchains=toolchains, reads=reads, writes=writes))
    for finding in findings:
        line = f"{finding.area}: {finding.sentence} {finding.remedy}".rstrip()
        out(f"{'ok' if finding.ok else 'NO'}  {safe(line)}")
    if not doctor.healthy(findings):
        err("proxx worker: this machine takes no jobs until what is marked NO is mended.")
        sys.exit(ENVIRONMENT)


if __name__ == "__main__":
    main()
