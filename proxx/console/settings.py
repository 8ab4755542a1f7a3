"""What all verbs share: which store, JSON or words, and the spec file or job they are given."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from proxx.files.places import Places
    from proxx.store.base import Store

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_STORE: Final = "~/.proxx/store"
STORE_VARIABLE: Final = "PROXX_STORE"
ROOTS_VARIABLE: Final = "PROXX_ROOTS"


@dataclass
class Settings:
    """Said on the command line. store: None where it was not. roots: `name=target` each."""

    store: str | None = None
    json: bool = False
    roots: tuple[str, ...] = ()


def current_settings() -> Settings:
    return click.get_current_context().ensure_object(Settings)


def _keep_store(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Settings).store = value


def _keep_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Settings).json = True


def store_option(verb: F) -> F:
    """`--store`, before or after the verb: the last one said holds."""
    return click.option(
        "--store",
        metavar="URL",
        expose_value=False,
        callback=_keep_store,
        help="Where job files are: a folder, file:///folder or s3://bucket/prefix. "
        f"Else ${STORE_VARIABLE}, else {DEFAULT_STORE}.",
    )(verb)


def _keep_roots(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        context.ensure_object(Settings).roots = value


def roots_option(verb: F) -> F:
    """`--root`, as often as there are roots; with it the variable does not count."""
    return click.option(
        "--root",
        "roots",
        multiple=True,
        metavar="NAME=TARGET",
        expose_value=False,
        callback=_keep_roots,
        help="What this machine calls a folder or s3://bucket/prefix, for places such as media:/A001/clip.mov. "
        f"With roots, nothing outside them is read or written. Else ${ROOTS_VARIABLE}, with `;` between them.",
    )(verb)


def places_from_options(store: Store | None = None) -> Places:
    """This machine's roots, and its way to object storage. Raises RootsInvalid.

    store: the one the verb works on; requests are sent again as often as its record allows.
    """
    from proxx.files.places import Places, require_apart
    from proxx.files.roots import make_roots, parse_roots
    from proxx.s3.transport import Transport
    from proxx.store.opening import store_identity

    said = current_settings().roots
    roots = make_roots(said) if said else parse_roots(os.environ.get(ROOTS_VARIABLE, ""))
    require_apart(roots)
    known = store_identity(store) if store is not None else None
    return Places(roots=roots, wire=Transport(resends=known.resends) if known else Transport())


def json_option(verb: F) -> F:
    return click.option(
        "--json",
        is_flag=True,
        is_eager=True,  # so that errors in other options know it
        expose_value=False,
        callback=_keep_json,
        help="Answer in JSON on standard output, failures too.",
    )(verb)


def _as_day(_: click.Context, __: click.Parameter, value: datetime | None) -> date | None:
    return value.date() if value is not None else None


def day_option(text: str) -> Callable[[F], F]:
    """Adds `--since DAY` with this help text; the verb gets a date or None."""
    return click.option("--since", type=click.DateTime(("%Y-%m-%d",)), callback=_as_day, metavar="DAY", help=text)


def since_option(verb: F) -> F:
    """Adds `--since DAY`: only jobs that were registered, started or ended on that day or later."""
    return day_option(
        "Only jobs that changed on DAY (UTC, such as 2026-01-31) or later. Faster than all jobs of a large store."
    )(verb)


def store_from_options(*, make: bool = False) -> Store:
    """The store meant. make: the verb will write, so the default's own folder may be made; no other ever is."""
    from proxx.contracts.errors import StoreRefused, StoreUnavailable
    from proxx.store.opening import open_store

    said = current_settings().store
    if said is None:
        said = os.environ.get(STORE_VARIABLE)
    if said is not None:
        return open_store(said)
    try:
        default = Path(DEFAULT_STORE).expanduser()
    except RuntimeError as why:
        raise StoreRefused(message="This user has no home folder for a store: name one with --store.") from why
    if make:
        try:
            default.parent.mkdir(exist_ok=True)
        except OSError as why:
            raise StoreUnavailable(
                message="The folder of the default store cannot be made.", detail=f"{default.parent}: {why.strerror}"
            ) from why
    return open_store(str(default))


def read_spec_file(path: Path) -> bytes:
    """The bytes of a spec file. Raises SpecInvalid where they cannot be had."""
    from proxx.contracts.error_bases import Problem
    from proxx.contracts.errors import SpecInvalid

    try:
        return path.read_bytes()
    except OSError as why:
        problem = Problem(str(path), SpecInvalid.code, f"{why.strerror or why}.")
        raise SpecInvalid(message="The spec file cannot be read.", problems=(problem,)) from why


def resolve_job_id(said: str, store: Store) -> str:
    """The id meant by a whole id, the beginning of one that no other job of the store shares, or a spec file."""
    from proxx.contracts.errors import JobUnknown
    from proxx.contracts.job import read_spec
    from proxx.store.keys import JOBS

    hexadecimal = bool(said) and set(said) <= set("0123456789abcdef")
    if hexadecimal and len(said) == 64:
        return said
    if hexadecimal and len(said) < 64:
        meant = [job_id for job_id in store.children(JOBS) if job_id.startswith(said)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise JobUnknown(
                message=f"{len(meant)} jobs of the store begin with {said}: say more of the id.",
                detail=", ".join(job_id[: len(said) + 8] for job_id in meant[:5]),
            )
    if Path(said).is_file():
        return read_spec(read_spec_file(Path(said))).job_id
    raise JobUnknown(
        message="This is neither a job of the store, nor the beginning of one's id, nor a spec file.",
        detail=f"{said} in {store.uri}",
    )
