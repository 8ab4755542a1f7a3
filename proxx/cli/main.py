"""The entry of the `proxx` command: run a verb, turn whatever it raises into words and an exit status.

Exit statuses: 0 done · 1 a job failed · 2 usage · 3 invalid spec or pre-flight · 4 locked or claimed by another ·
5 verification mismatch · 6 toolchain or environment · 70 a bug of proxx (sysexits' EX_SOFTWARE) · 130 stopped by
hand before anything was begun.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import click

from proxx.cli.lazy import LazyGroup
from proxx.console.running import run_command_line
from proxx.console.settings import store_option

_EPILOG: Final = """\b
Exit status:
  0 done                      4 locked or claimed by another
  1 a job failed              5 verification mismatch
  2 usage                     6 toolchain or environment
  3 invalid spec or sources  70 a bug: please report it
"""


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"proxx {version('proxx')}")
        context.exit()


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    subcommand_metavar="VERB ...",
)
@store_option
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Say which.")
def proxx() -> None:
    """Make editing proxies from camera originals, and prove what was made.

    \b
    proxx create CARD --profile prores_proxy --output PROXIES --spec day1.json
    proxx run day1.json
    """


def _hold_standard_streams() -> None:
    """Open /dev/null where a standard stream is closed, so that no file the job opens can get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def main() -> None:
    """The console script."""
    _hold_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a locale that lacks a letter shows its escape
    status = run_command_line(proxx, sys.argv[1:])
    # A closed pipe would otherwise be complained about once more while the interpreter ends.
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


if __name__ == "__main__":
    main()
