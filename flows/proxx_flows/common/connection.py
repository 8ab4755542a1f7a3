"""A connection to Prefect's API whose failures are errors of `flows`, and say nothing that must not be shown.

Prefect's client resends a request that got no answer. That is safe: what is read changes nothing, and a run is
created under an idempotency key. No message holds a header, a password or a URL that has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import SyncClientContext
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from proxx_flows.common.errors import PrefectUnreachable, RunRefused

_FIRST_ANSWER: Final = httpx.Timeout(5, connect=1.5)  # seconds; connecting is tried four times

_shared: ContextVar[SyncPrefectClient | None] = ContextVar("proxx-prefect-client", default=None)


@contextmanager
def connected() -> Iterator[None]:
    """One connection for all calls in the block; without it each call makes its own."""
    with _open() as opened:
        token = _shared.set(opened)
        try:
            yield
        finally:
            _shared.reset(token)


def require_prefect() -> None:
    """Say within ten seconds whether Prefect answers. Raises PrefectUnreachable.

    Later calls have Prefect's own patience, which outlives a restart of the server.
    """
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), client({"timeout": _FIRST_ANSWER}) as reached:
        reached.hello()


@contextmanager
def client(httpx_settings: dict[str, Any] | None = None) -> Iterator[SyncPrefectClient]:
    """The client for one call, and nothing else in the block: whatever goes wrong leaves as an error of `flows`."""
    shared = None if httpx_settings else _shared.get()
    with nullcontext(shared) if shared else _open(httpx_settings) as ready:
        try:
            yield ready
        except PrefectHTTPStatusError as why:
            raise _refused(why.response) from None  # its text has the URL
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as why:
            raise _unreachable("The Prefect API does not answer.", _why(why)) from None
        except ValueError as why:
            raise _unreachable("What answers is no Prefect API that this version knows.", _why(why)) from None


@contextmanager
def _open(httpx_settings: dict[str, Any] | None = None) -> Iterator[SyncPrefectClient]:
    if PREFECT_API_URL.value() is None and SyncClientContext.get() is None:
        # Prefect would start a server of its own, that no worker asks for work
        raise PrefectUnreachable(message="No Prefect API is named: PREFECT_API_URL is not set.")
    try:
        opened = get_client(sync_client=True, httpx_settings=httpx_settings)
    except (httpx.InvalidURL, ValueError, OSError) as why:
        raise _unreachable("PREFECT_API_URL or the settings beside it cannot be used.", _why(why)) from None
    with opened:
        yield opened


def _unreachable(message: str, why: str) -> PrefectUnreachable:
    return PrefectUnreachable(message=message, detail=f"{place()}: {why}")


def _refused(response: httpx.Response) -> PrefectUnreachable | RunRefused:
    said = f"{place()}: HTTP {response.status_code}"
    if response.status_code in (401, 403):
        return PrefectUnreachable(message="The Prefect API refuses the login.", detail=said)
    if response.status_code in (400, 409, 422):
        return RunRefused(message="Prefect does not take what was asked.", detail=f"{said}: {_detail(response)}")
    return PrefectUnreachable(message="The Prefect API answers with an error.", detail=said)


def _detail(response: httpx.Response) -> str:
    """The server's own sentence; of a validation error that is the place and the rule."""
    try:
        answer = response.json()
    except ValueError:
        return "it does not say why"
    said = answer.get("detail") or answer.get("exception_detail") if isinstance(answer, dict) else None
    return str(said)[:500]


def place() -> str:
    """The API's URL without user and password."""
    try:
        url = httpx.URL(str(PREFECT_API_URL.value()))
        return str(url.copy_with(userinfo=b"", query=None, fragment=None))
    except (httpx.InvalidURL, ValueError, TypeError):
        return "PREFECT_API_URL"


def _why(why: BaseException | None) -> str:
    """What the system said, from under the layers of the client; else the kind of error. Never a URL."""
    if isinstance(why, httpx.TimeoutException):
        return "no answer in time"
    kind = type(why).__name__
    while why is not None:
        if isinstance(why, OSError) and why.strerror:
            return why.strerror
        why = why.__cause__ or why.__context__
    return kind
