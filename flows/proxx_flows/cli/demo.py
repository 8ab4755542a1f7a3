"""`proxx demo`: makes clips, creates jobs from them, and runs each job on the demo's own Prefect server."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from proxx.console.output import err, out
from proxx.console.running import run_another_verb
from proxx.console.settings import current_settings
from proxx.console.wording import plural, safe

if TYPE_CHECKING:
    from types import FrameType

    from proxx_flows.cli.embedded_server import EmbeddedServer

PROFILE: Final = "prores_proxy_half"


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("proxx-demo"),
    show_default="./proxx-demo",
    metavar="DIR",
    help="The folder to create and to work in. It must not exist, except with --ui.",
)
@click.option("--ui", is_flag=True, help="Serve Prefect's pages with the runs of an earlier demo.")
def demo(folder: Path, ui: bool) -> int:
    """Make three small clips and show every step: create, run by Prefect, verify, reproduce, status, history.

    The demo starts a Prefect server of its own, on this machine only, which ends with the command. It does not use
    any other Prefect server. Everything is in the folder: remove the folder to remove the demo.
    """
    with ending_on_request():
        return show_pages(folder) if ui else run_demo(folder)


def run_demo(folder: Path) -> int:
    """Runs the whole demo and returns the exit status."""
    from proxx.doctor.demo_media import make_card
    from proxx.ffmpeg.toolchain import find_toolchain

    installed = find_toolchain("static")
    try:
        folder.mkdir()
    except FileExistsError as error:
        raise click.UsageError(
            f"{folder} exists and is not touched: remove it, or name another folder with --folder."
        ) from error
    card, specs, store = folder / "card", folder / "specs", current_settings().store or str(folder / "store")
    out(f"A card with three clips, made for this demo in {safe(card)}:")
    for path, description in make_card(card, installed):
        out(f"  {safe(path.relative_to(card.absolute()))}: {description}")

    text = (
        "First, `create` reads the clips and decides everything. It writes a spec for each clip, so there are three "
        "jobs. Nothing is encoded yet:"
    )
    args = ["create", str(card), "--profile", PROFILE, "--output", str(folder / "proxies")]
    status = show(text, [*args, "--clips-per-job", "1", "--spec", str(specs)])
    paths = sorted(specs.glob("*.json"))
    status = status or run_all(folder / "prefect", store, paths)
    if status:
        return stopped(status)
    with_store, first = ["--store", store], str(paths[0])
    for text, args in (
        (
            "`verify` checks that the published files are what the job made, and decodes them:",
            [*with_store, "verify", first],
        ),
        (
            "Without Prefect the bytes are the same. `reproduce` encodes the first job again, here, and compares:",
            [*with_store, "reproduce", first],
        ),
        ("`status` lists all jobs, run by Prefect or not:", [*with_store, "status"]),
        ("`history` lists every event of the first job:", [*with_store, "history", first]),
    ):
        if status := show(text, args):
            return stopped(status)
    out(f"\nThe proxies are in {safe(folder / 'proxies')}. Remove {safe(folder)} to remove the demo.")
    out("\nTo see the three runs in Prefect's pages (Ctrl-C ends it):")
    out(f"$ {safe(shlex.join([*this_command(), 'demo', '--ui', '--folder', str(folder)]))}")
    return 0


def run_all(home: Path, store: str, specs: list[Path]) -> int:
    """Runs each spec as one flow run of a temporary server. Returns the exit status: 1 if a run is not Completed."""
    from proxx_flows.cli.embedded_server import serving_prefect

    out(
        "\nThen the jobs are executed. `proxx run` would do that in this terminal. Here each job becomes one flow\n"
        "run on the demo's own Prefect server, which takes some seconds to start:\n"
    )
    with serving_prefect(home) as server:
        out(f"  its pages, while the demo runs: {server.runs_page}")
        count = 0
        for line, completed in runs(server, store, specs):
            out(f"  {safe(line)}")
            count += completed
    if count < len(specs):
        err(f"proxx: only {count} of {plural(len(specs), 'run')} completed; the log is {safe(home / 'runs.log')}.")
        return 1
    return 0


def runs(server: EmbeddedServer, store: str, specs: list[Path]) -> Iterator[tuple[str, bool]]:
    """Yields for each run, when it has ended, a line to show and whether it completed."""
    import json
    import subprocess

    from proxx.store.opening import open_store
    from proxx_flows.cli.embedded_server import child, log_file

    argv = [sys.executable, "-m", "proxx_flows.cli.demo_runs", open_store(store).uri]
    argv += [str(spec.absolute()) for spec in specs]
    with (
        log_file(server.home, "runs") as log,
        child(argv, env=server.env, cwd=server.home, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout is not None  # noqa: S101  (stdout is a pipe)
        for line in process.stdout:
            run = json.loads(line)
            yield f"{run['name']}: {run['state']}: {run['message']}", run["type"] == "COMPLETED"
        process.wait()  # it still sends its last log lines to the server


def show_pages(folder: Path) -> int:
    """Serves Prefect's pages about an earlier demo until Ctrl-C."""
    from proxx_flows.cli.embedded_server import PORT, database, serving_prefect
    from proxx_flows.common.errors import ServerNotStarted

    home = folder / "prefect"
    if not database(home).is_file():
        raise click.UsageError(f"There are no runs in {folder}: first run `proxx demo --folder {folder}`.")
    try:
        with serving_prefect(home, wanted=PORT) as server:
            out(f"The runs of this demo: {server.runs_page}\nCtrl-C ends it.")
            server.process.wait()
    except KeyboardInterrupt:
        return 0
    raise ServerNotStarted(message="Prefect's server ended by itself.", detail=str(home / "server.log"))


def show(text: str, args: list[str]) -> int:
    out(f"\n{text}\n$ proxx {safe(shlex.join(args))}\n")
    return run_another_verb(args)


def stopped(status: int) -> int:
    err(f"proxx: the demo stops here, with exit status {status}.")
    return status


def this_command() -> list[str]:
    """Returns the command of this program, for lines to paste: `proxx` if the shell finds it, else its path."""
    called = Path(sys.argv[0])
    on_path = shutil.which("proxx")
    if on_path is not None and called.name == "proxx" and Path(on_path).resolve() == called.resolve():
        return ["proxx"]
    return [str(called)] if called.name == "proxx" and called.is_file() else [sys.executable, "-m", "proxx"]


@contextmanager
def ending_on_request() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP end the block as Ctrl-C does, so that its child processes are ended too."""

    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
