"""`proxx doctor`: can this machine make proxies, and what to do where it cannot."""

from __future__ import annotations

from pathlib import Path

import click

from proxx.cli.settings import current, json_option, store_option, the_store
from proxx.cli.words import err, out, out_json, safe

ENVIRONMENT = 6


@click.command()
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder for unfinished files, where another than the system's is used.",
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="A folder proxies will be published in, to be tried. May be given several times.",
)
@store_option
@json_option
def doctor(work: Path | None, outputs: tuple[Path, ...]) -> int:
    """Look at Python, packages, both toolchains, CPU, working space and store.

    Each encoder makes a half-second clip whose bytes are known. Ends with 0 where all is well, else with 6.
    """
    from proxx.cli.watching import on_a_terminal
    from proxx.doctor import examine, healthy

    if on_a_terminal():
        err("Looking, and encoding a little with every profile ...")
    findings = examine(the_store, work=work, outputs=outputs)
    well = healthy(findings)
    if current().json:
        out_json(
            {
                "healthy": well,
                "findings": [
                    {"area": one.area, "ok": one.ok, "sentence": one.sentence, "remedy": one.remedy}
                    for one in findings
                ],
            }
        )
        return 0 if well else ENVIRONMENT
    for one in findings:
        out(f"{'ok ' if one.ok else 'BAD'}  {safe(one.area)}: {safe(one.sentence)}")
        if one.remedy:
            out(f"     -> {safe(one.remedy)}")
    out("\nAll is well." if well else "\nNot all is well: jobs may be refused on this machine.")
    return 0 if well else ENVIRONMENT
