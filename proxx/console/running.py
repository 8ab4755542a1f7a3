"""Runs one command line: every exception becomes a message and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from proxx.console.exit_status import BUG, ENVIRONMENT, INTERRUPTED
from proxx.console.settings import Settings


def run_command_line(commands: click.Command, args: Sequence[str]) -> int:
    """Runs `proxx ARGS` in this process and returns its exit status. Prints failures; raises nothing.

    commands: the group of all verbs.
    """
    settings = Settings()
    try:
        _require_utf8()
        answer = commands.main(list(args), prog_name="proxx", standalone_mode=False, obj=settings)
        status = answer if isinstance(answer, int) else 0
    except click.ClickException as error:
        status = _report_usage(error)
    except click.Abort:  # Ctrl-C in a verb that has nothing to end and nothing to record
        click.echo("proxx: stopped.", err=True)
        status = INTERRUPTED
    except SystemExit as error:  # raised by click when standard output is closed while it prints help
        status = error.code if isinstance(error.code, int) else 1
    except Exception as error:
        status = _report(error, settings)
    from proxx.console.output import err, take_lost_output

    lost = take_lost_output()
    if lost:
        err(f"proxx: the answer could not be written to standard output: {lost}")
    return status or (ENVIRONMENT if lost else 0)


def run_another_verb(args: Sequence[str]) -> int:
    """Runs `proxx ARGS` from inside a verb and returns its exit status."""
    return run_command_line(click.get_current_context().find_root().command, args)


def _require_utf8() -> None:
    """Raises LocaleUnusable unless file names are UTF-8: else a file would have another name in the spec."""
    encoding = sys.getfilesystemencoding()
    if encoding.lower() != "utf-8":
        from proxx.contracts.errors import LocaleUnusable

        raise LocaleUnusable(message=f"This locale reads file names as {encoding}; a spec needs them as UTF-8.")


def _report_usage(error: click.ClickException) -> int:
    from proxx.console.output import err
    from proxx.console.wording import safe

    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # of click 8.2 and later
        for line in error.format_message().splitlines():
            err(safe(line))
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        err(context.get_usage())
        err(f"Try '{context.command_path} --help'.\n")
    err(f"proxx: {safe(error.format_message())}")
    return error.exit_code


def _report(error: Exception, settings: Settings) -> int:
    from proxx.console.failures import report_bug, report_failure, report_os_error
    from proxx.contracts.error_bases import ProxxError

    if isinstance(error, ProxxError):
        return report_failure(error, as_json=settings.json)
    if isinstance(error, OSError) and error.errno is not None:  # one without a number was raised by our own code
        return report_os_error(error, as_json=settings.json)
    report_bug(error, as_json=settings.json)
    return BUG
