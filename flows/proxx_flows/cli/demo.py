"""`proxx demo`: clips made here become jobs, and each job one flow run of a Prefect server of the demo's own."""

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
    help="A folder to make and work in; it must not exist, but for --ui.",
)
@click.option("--ui", is_flag=True, help="Show the runs of a demo that was made, in Prefect's pages.")
def demo(folder: Path, ui: bool) -> int:
    """Make three small clips and take them through everything: create, run by Prefect, verify, reproduce, look.

    It needs no Prefect server and uses none that you have: its own lives in the folder, on this machine only, and
    ends with the command. Removing the folder removes all of it.
    """
    with ending_on_request():
        return show_pages(folder) if ui else tell(folder)


def tell(folder: Path) -> int:
    """The whole story, in the order of the work."""
    from proxx.doctor.demo_media import make_card
    from proxx.ffmpeg.toolchain import find_toolchain

    installed = find_toolchain("static")
    try:
        folder.mkdir()
    except FileExistsError as why:
        raise click.UsageError(
            f"{folder} is there already and is not touched: remove it, or name another with --folder."
        ) from why
    card, specs, store = folder / "card", folder / "specs", current_settings().store or str(folder / "store")
    out(f"A card with three clips, made just now in {safe(card)}:")
    for path, what in make_card(card, installed):
        out(f"  {safe(path.relative_to(card.absolute()))}: {what}")

    words = "First decide everything. `create` reads the clips and writes a spec for each, so three jobs; nothing is "
    words += "encoded yet:"
    args = ["create", str(card), "--profile", PROFILE, "--output", str(folder / "proxies")]
    status = show(words, [*args, "--clips-per-job", "1", "--spec", str(specs)])
    paths = sorted(specs.glob("*.json"))
    status = status or run_all(folder / "prefect", store, paths)
    if status:
        return ended(status)
    here, first = ["--store", store], str(paths[0])
    for words, args in (
        (
            "Are the published files what the job made? `verify` reads and decodes them:",
            [*here, "verify", first],
        ),
        (
            "The same without Prefect gives the same bytes. `reproduce` encodes again, here and now, and compares:",
            [*here, "reproduce", first],
        ),
        ("What is known of all jobs, whoever ran them:", [*here, "status"]),
        ("And how the first one came to be:", [*here, "history", first]),
    ):
        if status := show(words, args):
            return ended(status)
    out(f"\nThe proxies are in {safe(folder / 'proxies')}. Everything is in {safe(folder)}: remove it when done.")
    out("\nLook at the three runs in Prefect's pages, until Ctrl-C:")
    out(f"$ {safe(shlex.join([*this_command(), 'demo', '--ui', '--folder', str(folder)]))}")
    return 0


def run_all(home: Path, store: str, specs: list[Path]) -> int:
    """Each spec as one flow run of a server that is there for the while; exit status 1 where one is not Completed."""
    from proxx_flows.cli.embedded_server import serving_prefect

    out(
        "\nThen only execute. `proxx run` would do it in this terminal; here each job becomes one flow run of\n"
        "Prefect, on a server of this demo's own, which needs some seconds to start:\n"
    )
    with serving_prefect(home) as server:
        out(f"  its pages, as long as this lasts: {server.runs_page}")
        count = 0
        for line, completed in runs(server, store, specs):
            out(f"  {safe(line)}")
            count += completed
    if count < len(specs):
        err(f"proxx: only {count} of {plural(len(specs), 'run')} completed; {safe(home / 'runs.log')} has more.")
        return 1
    return 0


def runs(server: EmbeddedServer, store: str, specs: list[Path]) -> Iterator[tuple[str, bool]]:
    """Each run as a line to show when it has ended, and whether it completed."""
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
        assert process.stdout is not None  # noqa: S101  (a pipe was asked for)
        for line in process.stdout:
            run = json.loads(line)
            yield f"{run['name']}: {run['state']}: {run['message']}", run["type"] == "COMPLETED"
        process.wait()  # its last log lines are on their way


def show_pages(folder: Path) -> int:
    """Prefect's pages on what a demo did, until somebody ends it."""
    from proxx_flows.cli.embedded_server import PORT, database, serving_prefect
    from proxx_flows.common.errors import ServerNotStarted

    home = folder / "prefect"
    if not database(home).is_file():
        raise click.UsageError(f"There are no runs in {folder}: make them first, `proxx demo --folder {folder}`.")
    try:
        with serving_prefect(home, wanted=PORT) as server:
            out(f"The runs of this demo: {server.runs_page}\nCtrl-C ends it.")
            server.process.wait()
    except KeyboardInterrupt:
        return 0
    raise ServerNotStarted(message="Prefect's server ended by itself.", detail=str(home / "server.log"))


def show(words: str, args: list[str]) -> int:
    out(f"\n{words}\n$ proxx {safe(shlex.join(args))}\n")
    return run_another_verb(args)


def ended(status: int) -> int:
    err(f"proxx: the demonstration ends here, with exit status {status}.")
    return status


def this_command() -> list[str]:
    """How this command line began, so that a line shown can be pasted: `proxx` where that is found, else its path."""
    called = Path(sys.argv[0])
    found = shutil.which("proxx")
    if found is not None and called.name == "proxx" and Path(found).resolve() == called.resolve():
        return ["proxx"]
    return [str(called)] if called.name == "proxx" and called.is_file() else [sys.executable, "-m", "proxx"]


@contextmanager
def ending_on_request() -> Iterator[None]:
    """SIGTERM and a closed terminal end the block as Ctrl-C does, so that what it started is ended too."""

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
