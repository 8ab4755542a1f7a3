"""The verbs by name; a verb's module is imported when the verb is used. Installed packages may add verbs."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from proxx.console.exit_status import ENVIRONMENT

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

VERBS: Final[dict[str, tuple[str, str]]] = {
    "profiles": ("proxx.cli.profiles:profiles", "List the profiles (kinds of proxy), or print one in full."),
    "doctor": ("proxx.cli.doctor:doctor", "Check that this machine can make proxies; say what to do if not."),
    "create": ("proxx.cli.create:create", "Examine camera files and write the spec of a job."),
    "run": ("proxx.cli.run:run", "Make the proxies of a spec."),
    "verify": ("proxx.cli.verify:verify", "Check published proxies against the records of the job."),
    "reproduce": ("proxx.cli.reproduce:reproduce", "Encode clips again and compare the bytes."),
    "status": ("proxx.cli.status:status", "Show the state of all jobs in the store, or of one."),
    "history": ("proxx.cli.history:history", "Show every event of a job, or of all jobs."),
    "unlock": ("proxx.cli.unlock:unlock", "Close the attempt of a dead worker."),
    "retire": ("proxx.cli.retire:retire", "Retire a job, so that another can use its outputs."),
    "demo": ("proxx.cli.demo:demo", "Make small clips and show the whole process on them."),
}
"""For each verb its command and its line in `proxx --help`, in the order they are usually needed."""

GROUP: Final = "proxx.commands"
REPLACEABLE: Final = frozenset({"demo"})
"""Built-in verbs that a package may replace with its own verb of the same name."""


class VerbNotLoaded(click.ClickException):
    """An installed package offers the verb, but the verb cannot be imported."""

    exit_code = ENVIRONMENT


class LazyGroup(click.Group):
    """A click group that imports a verb only when it is used.

    Entry points of packages are looked up only for names that are not built in or are replaceable, and for the
    list of verbs, which imports none of them.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*VERBS, *sorted(set(_offered()) - set(VERBS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        built_in = VERBS.get(cmd_name)
        if built_in is None or cmd_name in REPLACEABLE:
            point = _offered().get(cmd_name)
            if point is not None:
                try:
                    return _require_command(point.load(), cmd_name)
                except ImportError as error:
                    if built_in is None:
                        raise VerbNotLoaded(f"{cmd_name} is installed but cannot be loaded: {error}") from error
        if built_in is None:
            return None
        module, _, name = built_in[0].partition(":")
        return _require_command(getattr(import_module(module), name), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = [(name, line) for name, (_, line) in VERBS.items()]
        lines += [(name, _first_line(point)) for name, point in _extra()]
        with formatter.section("Verbs"):
            formatter.write_dl(lines)


def _offered() -> dict[str, EntryPoint]:
    """Returns the verbs that installed packages offer, by name.

    If two packages offer the same name, the first on the path has it. Entry points whose module no longer exists
    are ignored.
    """
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    points = reversed(tuple(entry_points(group=GROUP)))
    return {point.name: point for point in points if find_spec(_origin(point)) is not None}


def _extra() -> Iterable[tuple[str, EntryPoint]]:
    return ((name, point) for name, point in sorted(_offered().items()) if name not in VERBS)


def _first_line(point: EntryPoint) -> str:
    """Returns the sentence in the first line of the verb's module, read without the import, which takes seconds."""
    from importlib.util import find_spec

    package = find_spec(_origin(point))  # of a top-level name it imports nothing
    folders = package.submodule_search_locations if package is not None else None
    try:
        file = Path(next(iter(folders or ()))).joinpath(*point.module.split(".")[1:]).with_suffix(".py")
        line = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]
    except (StopIteration, OSError, ValueError, SyntaxError):
        line = ""
    sentence = line.rpartition("`: ")[2]
    return sentence[:1].upper() + sentence[1:] or f"(from {_origin(point)})"


def _origin(point: EntryPoint) -> str:
    return point.module.partition(".")[0]


def _require_command(loaded: Any, name: str) -> click.Command:  # noqa: ANN401  (an entry point can name anything)
    if not isinstance(loaded, click.Command):
        raise VerbNotLoaded(f"{name} is installed but is not a click command.")
    return loaded
