"""`proxx demo`: the main commands on clips it makes itself; each command is printed, then run."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from proxx.console.output import err, out
from proxx.console.running import run_another_verb
from proxx.console.settings import current_settings
from proxx.console.wording import safe

PROFILE = "prores_proxy_half"


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("proxx-demo"),
    show_default="./proxx-demo",
    metavar="DIR",
    help="The folder to create and work in. It must not exist.",
)
def demo(folder: Path) -> int:
    """Make three small clips and run create, run, verify, reproduce, status and history on them.

    Everything is in one folder: remove it to remove all traces. The store is in it too, unless --store names another.
    """
    from proxx.doctor.demo_media import make_card
    from proxx.ffmpeg.toolchain import find_toolchain

    installed = find_toolchain("static")
    try:
        folder.mkdir()
    except FileExistsError as error:
        raise click.UsageError(
            f"{folder} already exists and was not touched: remove it, or name another folder with --folder."
        ) from error
    card, spec, store = folder / "card", folder / "day1.json", current_settings().store or folder / "store"
    out(f"Made a card with three clips in {safe(card)}:")
    for path, description in make_card(card, installed):
        out(f"  {safe(path.relative_to(card.absolute()))}: {description}")

    steps = (
        (
            "First, `create` reads the clips, decides everything and writes a spec. Nothing is encoded yet:",
            ["create", str(card), "--profile", PROFILE, "--output", str(folder / "proxies"), "--spec", str(spec)],
        ),
        (
            "Then `run` makes the proxies, compares each with the spec, and publishes it:",
            ["--store", str(store), "run", str(spec)],
        ),
        (
            "Are the published files still what the job made? `verify` reads and decodes all of them:",
            ["--store", str(store), "verify", str(spec)],
        ),
        (
            "Does encoding again give the same bytes? `reproduce` does it with one clip and compares:",
            ["--store", str(store), "reproduce", str(spec), "--sample", "5%"],
        ),
        ("The state of all jobs in the store:", ["--store", str(store), "status"]),
        ("And every event of this job:", ["--store", str(store), "history", str(spec)]),
    )
    for text, args in steps:
        status = _show(text, args)
        if status:
            err(f"proxx: the demo ends here: the command above ended with exit status {status}.")
            return status
    out(f"\nThe proxies are in {safe(folder / 'proxies')}. Remove {safe(folder)} when you are done.")
    out("Use the same commands with your own camera files; `proxx profiles` lists the other kinds of proxy.")
    return 0


def _show(text: str, args: list[str]) -> int:
    out(f"\n{text}\n$ proxx {safe(shlex.join(args))}\n")
    return run_another_verb(args)
