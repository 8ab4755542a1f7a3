"""The entry of the `proxx` command: run a verb, turn whatever it raises into words and an exit status.

Exit statuses: 0 done · 1 a job failed · 2 usage · 3 invalid spec or pre-flight · 4 locked or claimed by another ·
5 verification mismatch · 6 toolchain or environment · 70 a bug of proxx (sysexits' EX_SOFTWARE) · 130 stopped by
hand before anything was begun.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from proxx.cli.lazy import LazyGroup
from proxx.console.settings import Settings, store_option

BUG: Final = 70
ENVIRONMENT: Final = 6
STOPPED: Final = 130

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


def enter(args: Sequence[str]) -> int:
    """Run one command line; its exit status. Prints, never raises."""
    settings = Settings()
    try:
        _require_utf8()
        answer = proxx.main(list(args), prog_name="proxx", standalone_mode=False, obj=settings)
        status = answer if isinstance(answer, int) else 0
    except click.ClickException as why:
        status = _usage(why)
    except click.Abort:  # Ctrl-C in a verb that has nothing to end or to write down
        click.echo("proxx: stopped.", err=True)
        status = STOPPED
    except SystemExit as why:  # click ends so when standard output is closed while it prints help
        status = why.code if isinstance(why.code, int) else 1
    except Exception as why:
        status = _failed(why, settings)
    from proxx.console.output import err, take_lost_output

    lost = take_lost_output()
    if lost:
        err(f"proxx: the answer could not be written to standard output: {lost}")
    return status or (ENVIRONMENT if lost else 0)


def _require_utf8() -> None:
    """In another encoding the same file would have another name in the spec, and the job another id."""
    if sys.getfilesystemencoding().lower() != "utf-8":
        from proxx.contracts.errors import LocaleUnusable

        encoding = sys.getfilesystemencoding()
        raise LocaleUnusable(message=f"File names are read as {encoding} here, so they cannot be written down.")


def _usage(why: click.ClickException) -> int:
    from proxx.console.output import err
    from proxx.console.wording import safe

    context = why.ctx if isinstance(why, click.UsageError) else None
    if context is not None:
        err(context.get_usage())
        err(f"Try '{context.command_path} --help'.\n")
    err(f"proxx: {safe(why.format_message())}")
    return why.exit_code


def _failed(why: Exception, settings: Settings) -> int:
    from proxx.console.failures import report_bug, report_failure, report_os_error
    from proxx.contracts.error_bases import ProxxError

    if isinstance(why, ProxxError):
        return report_failure(why, as_json=settings.json)
    if isinstance(why, OSError) and _is_the_machines(why):
        return report_os_error(why, as_json=settings.json)
    report_bug(why, as_json=settings.json)
    return BUG


def _is_the_machines(why: OSError) -> bool:
    """Whether an error of the system is about a file, a disk or a pipe; one without any number was made by code."""
    return why.errno is not None


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
    status = enter(sys.argv[1:])
    # A closed pipe would otherwise be complained about once more while the interpreter ends.
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


if __name__ == "__main__":
    main()
