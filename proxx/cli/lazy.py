"""The verbs by name, their modules imported only when used; more verbs may come from installed packages."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from proxx.console.exit_status import ENVIRONMENT

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

VERBS: Final[dict[str, tuple[str, str]]] = {
    "profiles": ("proxx.cli.profiles:profiles", "List the kinds of proxy there are, or print one in full."),
    "doctor": ("proxx.cli.doctor:doctor", "Say whether this machine can work, and what to do where it cannot."),
    "create": ("proxx.cli.create:create", "Look at camera files, decide everything, write a job's spec."),
    "run": ("proxx.cli.run:run", "Make the proxies of a spec."),
    "verify": ("proxx.cli.verify:verify", "Check published proxies against what the job recorded."),
    "reproduce": ("proxx.cli.reproduce:reproduce", "Encode again elsewhere and compare the bytes."),
    "status": ("proxx.cli.status:status", "Show all jobs of the store, or one."),
    "history": ("proxx.cli.history:history", "Tell everything that happened to a job, or to all."),
    "unlock": ("proxx.cli.decisions:unlock", "Close the attempt of a worker that is dead."),
    "retire": ("proxx.cli.decisions:retire", "End a job for good, so that another may have its outputs."),
    "demo": ("proxx.cli.demo:demo", "Make small clips and take them through everything, in under a minute."),
}
"""Each verb's command and its line in the list, in the order of the work."""

GROUP: Final = "proxx.commands"
REPLACEABLE: Final = frozenset({"demo"})
"""Built-in verbs that a package which brings the same name may replace."""


class VerbNotLoaded(click.ClickException):
    """An installed package offers the verb and cannot be loaded."""

    exit_code = ENVIRONMENT


class LazyGroup(click.Group):
    """A group that knows its verbs by name. A package's entry points are looked up only for a name that is not
    built in (or is replaceable) and for the list, which imports none of them.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*VERBS, *sorted(set(_offered()) - set(VERBS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        built_in = VERBS.get(cmd_name)
        if built_in is None or cmd_name in REPLACEABLE:
            point = _offered().get(cmd_name)
            if point is not None:
                try:
                    return _command(point.load(), cmd_name)
                except ImportError as why:
                    if built_in is None:
                        raise VerbNotLoaded(f"{cmd_name} is installed but cannot be loaded: {why}") from why
        if built_in is None:
            return None
        module, _, name = built_in[0].partition(":")
        return _command(getattr(import_module(module), name), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = [(name, line) for name, (_, line) in VERBS.items()]
        lines += [(name, f"(from {_origin(point)})") for name, point in _extra()]
        with formatter.section("Verbs"):
            formatter.write_dl(lines)


def _offered() -> dict[str, EntryPoint]:
    """What packages bring, by name: the first on the path has it; one whose code was deleted brings nothing."""
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    points = reversed(tuple(entry_points(group=GROUP)))
    return {point.name: point for point in points if find_spec(_origin(point)) is not None}


def _extra() -> Iterable[tuple[str, EntryPoint]]:
    return ((name, point) for name, point in sorted(_offered().items()) if name not in VERBS)


def _origin(point: EntryPoint) -> str:
    return point.module.partition(".")[0]


def _command(found: Any, name: str) -> click.Command:  # noqa: ANN401  (what an entry point names is anyone's)
    if not isinstance(found, click.Command):
        raise VerbNotLoaded(f"{name} is not a command.")
    return found
