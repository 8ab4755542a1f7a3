"""`proxx doctor`: checks that this machine can make proxies, and says what to do if it cannot."""

from __future__ import annotations

from pathlib import Path

import click

from proxx.console.exit_status import ENVIRONMENT
from proxx.console.output import err, out, out_json
from proxx.console.settings import (
    MAX_RESENDS,
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
    help="The folder for unfinished files. Default: the system's temporary folder.",
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="DIR|URL",
    help="A place where proxies will be published: try to write there. May be given several times.",
)
@click.option("--make-store", is_flag=True, help="Create the store if it does not exist yet.")
@click.option(
    "--resends",
    type=click.IntRange(min=0, max=MAX_RESENDS),
    metavar="N",
    help="With --make-store: how often a failed request to object storage may be sent again, 0 for never. "
    "It cannot be changed later.",
)
@store_option
@roots_option
@json_option
def doctor(work: Path | None, outputs: tuple[str, ...], make_store: bool, resends: int | None) -> int:
    """Check Python, packages, both encoder builds, CPU, working space, roots and store.

    Each encoder build makes half-second clips whose bytes are known in advance. The exit status is 0 if
    everything is right, else 6.
    """
    if resends is not None and not make_store:
        raise click.UsageError(
            "--resends needs --make-store: it is set when a store is created and cannot be changed later."
        )
    places = places_from_options()
    if make_store:
        from proxx.s3.transport import RESENDS
        from proxx.store.opening import initialize_store

        initialize_store(store_from_options(make=True), resends=RESENDS if resends is None else resends)
    from proxx.console.terminal import on_a_terminal
    from proxx.doctor.machine import examine_machine, healthy

    if on_a_terminal():
        err("Checking, and encoding a short clip with every profile ...")
    findings = examine_machine(store_from_options, work=work, outputs=outputs, places=places)
    is_healthy = healthy(findings)
    status = 0 if is_healthy else ENVIRONMENT
    if current_settings().json:
        out_json(
            {
                "healthy": is_healthy,
                "findings": [
                    {"area": each.area, "ok": each.ok, "sentence": each.sentence, "remedy": each.remedy}
                    for each in findings
                ],
            }
        )
        return status
    for each in findings:
        out(f"{'ok ' if each.ok else 'BAD'}  {safe(each.area)}: {safe(each.sentence)}")
        if each.remedy:
            out(f"     -> {safe(each.remedy)}")
    out("\nEverything is right." if is_healthy else "\nSomething is wrong: jobs may be refused on this machine.")
    return status
