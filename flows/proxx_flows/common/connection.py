"""Connects to Prefect's API and raises every failure as an error of `proxx_flows`, without any secret in its text.

Prefect's client resends a request that got no answer. That is safe: reading changes nothing, and a run is created
under an idempotency key. No message holds a header, a password or a URL that contains one.
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
    """Shares one connection among all calls in the block. Without it each call opens its own."""
    with _open() as opened:
        token = _shared.set(opened)
        try:
            yield
        finally:
            _shared.reset(token)


def require_prefect() -> None:
    """Checks within ten seconds that Prefect answers. Raises PrefectUnreachable.

    Later calls use Prefect's own timeouts and retries, which are long enough for a restart of the server.
    """
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), client({"timeout": _FIRST_ANSWER}) as prefect:
        prefect.hello()


@contextmanager
def client(httpx_settings: dict[str, Any] | None = None) -> Iterator[SyncPrefectClient]:
    """Yields the client for one call. Keep other code out of the block: its failures would be reported as Prefect's.

    Raises PrefectUnreachable or RunRefused.
    """
    shared = None if httpx_settings else _shared.get()
    with nullcontext(shared) if shared else _open(httpx_settings) as prefect:
        try:
            yield prefect
        except PrefectHTTPStatusError as error:
            raise _http_error(error.response) from None  # the original's text contains the URL
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _unreachable("The Prefect API does not answer.", _cause(error)) from None
        except ValueError as error:
            raise _unreachable("This is not a Prefect API of a version that proxx supports.", _cause(error)) from None


@contextmanager
def _open(httpx_settings: dict[str, Any] | None = None) -> Iterator[SyncPrefectClient]:
    if PREFECT_API_URL.value() is None and SyncClientContext.get() is None:
        # Prefect would start a server of its own, which no worker polls.
        raise PrefectUnreachable(message="No Prefect server is named: PREFECT_API_URL is not set.")
    try:
        opened = get_client(sync_client=True, httpx_settings=httpx_settings)
    except (httpx.InvalidURL, ValueError, OSError) as error:
        raise _unreachable("PREFECT_API_URL or another Prefect setting is not valid.", _cause(error)) from None
    with opened:
        yield opened


def _unreachable(message: str, cause: str) -> PrefectUnreachable:
    return PrefectUnreachable(message=message, detail=f"{api_address()}: {cause}")


def _http_error(response: httpx.Response) -> PrefectUnreachable | RunRefused:
    status = f"{api_address()}: HTTP {response.status_code}"
    if response.status_code in (401, 403):
        return PrefectUnreachable(message="The Prefect API refuses the login.", detail=status)
    if response.status_code in (400, 409, 422):
        return RunRefused(message="Prefect does not accept the request.", detail=f"{status}: {_detail(response)}")
    return PrefectUnreachable(message="The Prefect API answers with an error.", detail=status)


def _detail(response: httpx.Response) -> str:
    """Returns the server's own explanation; for a validation error that is the field and the rule."""
    try:
        answer = response.json()
    except ValueError:
        return "the server gives no reason"
    detail = answer.get("detail") or answer.get("exception_detail") if isinstance(answer, dict) else None
    return str(detail)[:500]


def api_address() -> str:
    """Returns the API's URL without user and password."""
    try:
        url = httpx.URL(str(PREFECT_API_URL.value()))
        return str(url.copy_with(userinfo=b"", query=None, fragment=None))
    except (httpx.InvalidURL, ValueError, TypeError):
        return "PREFECT_API_URL"


def _cause(error: BaseException | None) -> str:
    """Returns the operating system's message below the client's exceptions, or the kind of error. Never a URL."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    kind = type(error).__name__
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return kind
