"""`proxx doctor`: can this machine make proxies, and what to do where it cannot."""

from __future__ import annotations

from pathlib import Path

import click

from proxx.console.exit_status import ENVIRONMENT
from proxx.console.output import err, out, out_json
from proxx.console.settings import (
    current_settings,
    json_option,
    places_from_options,
    roots_option,
    store_from_options,
    store_option,
)
from proxx.console.wording import safe


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
    metavar="DIR|URL",
    help="Where proxies will be published, to be tried. May be given several times.",
)
@click.option("--make-store", is_flag=True, help="Make the store where there is none yet.")
@click.option(
    "--resends",
    type=click.IntRange(min=0),
    metavar="N",
    help="With --make-store: how often a request to object storage may be sent again, for ever. 0 is never.",
)
@store_option
@roots_option
@json_option
def doctor(work: Path | None, outputs: tuple[str, ...], make_store: bool, resends: int | None) -> int:
    """Look at Python, packages, both toolchains, CPU, working space, roots and store.

    Each encoder makes a half-second clip whose bytes are known. Ends with 0 where all is well, else with 6.
    """
    if resends is not None and not make_store:
        raise click.UsageError("--resends goes with --make-store: the record of a store is never changed.")
    places = places_from_options()
    if make_store:
        from proxx.s3.transport import RESENDS
        from proxx.store.opening import initialize_store

        initialize_store(store_from_options(make=True), resends=RESENDS if resends is None else resends)
    from proxx.console.terminal import on_a_terminal
    from proxx.doctor.machine import examine_machine, healthy

    if on_a_terminal():
        err("Looking, and encoding a little with every profile ...")
    findings = examine_machine(store_from_options, work=work, outputs=outputs, places=places)
    well = healthy(findings)
    if current_settings().json:
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
