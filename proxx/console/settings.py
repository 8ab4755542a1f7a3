"""The options that several verbs share, and what their values name: the store, the roots, a spec file, a job."""

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
MAX_RESENDS: Final = 1000  # of one request: with the pauses between them more than an hour


@dataclass
class Settings:
    """The values of the shared options. store: None if --store is not given. roots: `name=target` each."""

    store: str | None = None
    json: bool = False
    roots: tuple[str, ...] = ()


def current_settings() -> Settings:
    """Returns the settings of the command line that is running."""
    return click.get_current_context().ensure_object(Settings)


def _keep_store(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Settings).store = value


def _keep_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Settings).json = True


def store_option(verb: F) -> F:
    """Adds `--store`. It may be given before or after the verb; the last one wins."""
    return click.option(
        "--store",
        metavar="URL",
        expose_value=False,
        callback=_keep_store,
        help="The store, where job files are kept: a folder, file:///folder or s3://bucket/prefix. "
        f"Default: ${STORE_VARIABLE}, or {DEFAULT_STORE} if that is not set.",
    )(verb)


def _keep_roots(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        context.ensure_object(Settings).roots = value


def roots_option(verb: F) -> F:
    """Adds `--root`, which may be given several times. If it is given, PROXX_ROOTS is ignored."""
    return click.option(
        "--root",
        "roots",
        multiple=True,
        metavar="NAME=TARGET",
        expose_value=False,
        callback=_keep_roots,
        help="Give a folder or s3://bucket/prefix a name on this machine: with media=/mnt/media, "
        "media:/A001/clip.mov is a file in it. May be given several times. With roots, media and proxies outside "
        f"them are neither read nor written. Default: ${ROOTS_VARIABLE}, with `;` between roots.",
    )(verb)


def places_from_options(store: Store | None = None) -> Places:
    """Returns this machine's roots and its access to object storage. Raises RootsInvalid.

    store: the store of the verb. Its record sets how often a failed request is sent again.
    """
    from proxx.files.places import Places, require_apart
    from proxx.files.roots import make_roots, parse_roots
    from proxx.s3.transport import Transport
    from proxx.store.opening import store_identity

    options = current_settings().roots
    roots = make_roots(options) if options else parse_roots(os.environ.get(ROOTS_VARIABLE, ""))
    require_apart(roots)
    record = store_identity(store) if store is not None else None
    return Places(roots=roots, wire=Transport(resends=record.resends) if record else Transport())


def json_option(verb: F) -> F:
    """Adds `--json`."""
    return click.option(
        "--json",
        is_flag=True,
        is_eager=True,  # parsed first, so that errors in other options are JSON as well
        expose_value=False,
        callback=_keep_json,
        help="Print JSON on standard output, for failures too.",
    )(verb)


def _as_day(_: click.Context, __: click.Parameter, value: str | None) -> date | None:
    try:
        return datetime.strptime(value, "%Y-%m-%d").date() if value is not None else None
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a day such as 2026-11-28.") from error


def day_option(text: str) -> Callable[[F], F]:
    """Adds `--since DAY` with this help text; the verb gets a date or None."""
    return click.option("--since", callback=_as_day, metavar="DAY", help=text)


def since_option(verb: F) -> F:
    """Adds `--since DAY`: only jobs that were registered, started or ended on that day or later."""
    return day_option(
        "Only jobs that changed on DAY (UTC, such as 2026-01-31) or later. Faster than all jobs of a large store."
    )(verb)


def _reason(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("it must not be empty: it stays in the job's history.")
    return value


def reason_option(verb: F) -> F:
    """Adds the required `--reason`."""
    return click.option(
        "--reason",
        metavar="TEXT",
        required=True,
        callback=_reason,
        help="The reason; it is kept in the job's history.",
    )(verb)


def store_from_options(*, make: bool = False) -> Store:
    """Returns the store named by --store, else by PROXX_STORE, else the default one.

    make: the verb writes, so the parent folder of the default store is created if it does not exist. No other
    folder is ever created. Raises StoreRefused, StoreUnavailable.
    """
    from proxx.contracts.errors import StoreRefused, StoreUnavailable
    from proxx.store.opening import open_store

    location = current_settings().store
    if location is None:
        location = os.environ.get(STORE_VARIABLE)
    if location is not None:
        return open_store(location)
    try:
        default = Path(DEFAULT_STORE).expanduser()
    except RuntimeError as error:
        raise StoreRefused(
            message="The default store is in the home folder, and this user has none: name a store with --store."
        ) from error
    if make:
        try:
            default.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(
                message="The folder of the default store cannot be created.",
                detail=f"{default.parent}: {error.strerror}",
            ) from error
    return open_store(str(default))


def no_store_yet(store: Store) -> str:
    """Returns `There is no store at X yet.`, or "" if the store exists. A store begins with its first writer."""
    from proxx.console.wording import safe
    from proxx.store.opening import store_identity

    return "" if store_identity(store) is not None else f"There is no store at {safe(store.uri)} yet."


def read_spec_file(path: Path) -> bytes:
    """Returns the bytes of a spec file. Raises SpecInvalid if it cannot be read."""
    from proxx.contracts.error_bases import Problem
    from proxx.contracts.errors import SpecInvalid

    try:
        return path.read_bytes()
    except OSError as error:
        problem = Problem(str(path), SpecInvalid.code, f"{error.strerror or error}.")
        raise SpecInvalid(message="The spec file cannot be read.", problems=(problem,)) from error


def resolve_job_id(argument: str, store: Store) -> str:
    """Returns the id of the job that a JOB argument names: an id, the beginning of one, or a spec file.

    A whole id is returned without asking the store. Raises JobUnknown if nothing matches or several ids do.
    """
    from proxx.contracts.errors import JobUnknown
    from proxx.contracts.job import read_spec
    from proxx.store.keys import JOBS

    hexadecimal = bool(argument) and set(argument) <= set("0123456789abcdef")
    if hexadecimal and len(argument) == 64:
        return argument
    if hexadecimal and len(argument) < 64:
        matches = [job_id for job_id in store.children(JOBS) if job_id.startswith(argument)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise JobUnknown(
                message=f"The ids of {len(matches)} jobs in the store begin with {argument}: give more of the id.",
                detail=", ".join(job_id[: len(argument) + 8] for job_id in matches[:5]),
            )
    if Path(argument).is_file():
        return read_spec(read_spec_file(Path(argument))).job_id
    raise JobUnknown(
        message="This is not a job id in the store, the beginning of one, or a spec file.",
        detail=f"{argument} in {store.uri}",
    )
