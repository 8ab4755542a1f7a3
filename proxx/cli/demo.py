"""`proxx demo`: the main job from end to end on clips made here, each command shown as it is run."""

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
    help="A folder to make and work in; it must not exist.",
)
def demo(folder: Path) -> int:
    """Make three small clips and take them through everything: create, run, verify, reproduce, status, history.

    Its store is in that folder too, where --store names no other: removing the folder removes all of it.
    """
    from proxx.doctor.demo_media import make_card
    from proxx.ffmpeg.toolchain import find_toolchain

    installed = find_toolchain("static")
    try:
        folder.mkdir()
    except FileExistsError as why:
        raise click.UsageError(
            f"{folder} is there already and is not touched: remove it, or name another with --folder."
        ) from why
    card, spec, store = folder / "card", folder / "day1.json", current_settings().store or folder / "store"
    out(f"A card with three clips, made just now in {safe(card)}:")
    for path, what in make_card(card, installed):
        out(f"  {safe(path.relative_to(card.absolute()))}: {what}")

    steps = (
        (
            "First decide everything. `create` reads the clips and writes a spec; nothing is encoded yet:",
            ["create", str(card), "--profile", PROFILE, "--output", str(folder / "proxies"), "--spec", str(spec)],
        ),
        (
            "Then only execute. `run` makes the proxies, compares each with the spec, and publishes it:",
            ["--store", str(store), "run", str(spec)],
        ),
        (
            "Are the published files what the job made? `verify` reads and decodes all of them:",
            ["--store", str(store), "verify", str(spec)],
        ),
        (
            "Could anybody make the same again? `reproduce` encodes one clip anew and compares the bytes:",
            ["--store", str(store), "reproduce", str(spec), "--sample", "5%"],
        ),
        ("What is known of all jobs:", ["--store", str(store), "status"]),
        ("And how this one came to be:", ["--store", str(store), "history", str(spec)]),
    )
    for words, args in steps:
        status = _show(words, args)
        if status:
            err(f"proxx: the demonstration ends here, with exit status {status}.")
            return status
    out(f"\nThe proxies are in {safe(folder / 'proxies')}. Everything is in {safe(folder)}: remove it when done.")
    out("With your own camera files: the same commands, and `proxx profiles` for the other kinds of proxy.")
    return 0


def _show(words: str, args: list[str]) -> int:
    out(f"\n{words}\n$ proxx {safe(shlex.join(args))}\n")
    return run_another_verb(args)
