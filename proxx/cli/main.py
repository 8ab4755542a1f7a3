"""The `proxx` command and its entry point. `proxx.console.running` turns what a verb raises into an exit status."""

from __future__ import annotations

import os
import sys
from typing import Final

import click

from proxx.cli.lazy import LazyGroup
from proxx.console.running import run_command_line
from proxx.console.settings import current_settings, json_option, store_option

_EPILOG: Final = """\b
Exit status:
  0    done
  1    a job failed: the result says which clip and why
  2    the command line is wrong
  3    the spec or the sources cannot be used; nothing was started
  4    locked, ended or claimed by another
  5    verification found a difference
  6    the encoder build or the environment is not right
  70   a bug in proxx: please report it
  130  stopped with Ctrl-C before anything was started
"""


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from proxx.cli.version import print_version

        print_version(as_json=current_settings().json)
        context.exit()


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    subcommand_metavar="VERB ...",
)
@store_option
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_version,
    help="Show the versions of proxx and of the encoder builds installed with it.",
)
@json_option
def proxx() -> None:
    """Make editing proxies from camera originals, and prove what was made.

    \b
    proxx create CARD --profile prores_proxy --output PROXIES --spec day1.json
    proxx run day1.json
    """


def _open_closed_standard_streams() -> None:
    """Opens /dev/null for each closed standard stream, so that no file a job opens gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def main() -> None:
    """Runs the command of this process and exits with its status."""
    _open_closed_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # characters the locale lacks are printed as escapes
    status = run_command_line(proxx, sys.argv[1:])
    # Otherwise the interpreter complains about a closed pipe again when it exits.
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


if __name__ == "__main__":
    main()
