"""The S3 client of s3fs, with every feature disabled that resends a request or sends it to another address.

Left enabled, each of these acts without a trace (measured): s3fs decides by message text which requests to resend,
and reports one's own object as someone else's. botocore resends to the region that an error names. aiohttp follows
every redirect, and resends a GET or PUT whose connection broke, even if the server had already carried it out.

Some of the switches are private names of these libraries. A release that drops one must not turn the feature back
on unnoticed: `make_file_system` checks that each switch exists, and a `RequestTrace` checks that it was used.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NoReturn

from proxx.contracts.errors import ToolchainMissing

CONNECT_SECONDS: Final = 10
CONNECTIONS: Final = 10
LIBRARIES: Final = ("s3fs", "fsspec", "aiobotocore", "botocore", "aiohttp")


class PayloadMismatch(ToolchainMissing):
    """A request was about to be sent with a signature for other bytes than it was created for."""


def unusable_client(reason: str, kind: type[ToolchainMissing] = ToolchainMissing) -> ToolchainMissing:
    """Returns the error for an installed client that Proxx cannot use; its detail names the installed versions."""
    return kind(
        message="The installed object storage client does not work the way this version of Proxx requires.",
        detail=f"{reason} ({', '.join(f'{name} {_installed(name)}' for name in LIBRARIES)})",
    )


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@dataclass
class RequestTrace:
    """What the client did for one call. The hooks fill it in.

    operations: S3 operations begun. requests: HTTP requests sent, at most one for each operation. payload: the
    `sha256:<hex>` that the body must be signed with, "" if any. refused: why a hook did not let a request pass.
    """

    operations: int = 0
    requests: int = 0
    payload: str = ""
    refused: ToolchainMissing | None = None

    def begin_operation(self) -> None:
        self.operations += 1

    def admit_request(self, method: str, signed: str) -> None:
        """Counts a request that is about to be sent. Raises ToolchainMissing if it must not be.

        signed: the value of its x-amz-content-sha256 header.
        """
        if self.requests >= self.operations:
            self.refuse(unusable_client("it would send a request a second time, or its events are not connected"))
        if method in ("PUT", "POST"):
            if len(signed) != 64:
                self.refuse(unusable_client(f"the body of a request is not signed: {signed or 'no signature'}"))
            if self.payload and f"sha256:{signed}" != self.payload:
                reason = f"a request is signed for sha256:{signed} instead of {self.payload}"
                self.refuse(unusable_client(reason, PayloadMismatch))
        self.requests += 1

    def require_complete(self) -> None:
        """Raises ToolchainMissing if an operation ended without passing through the hooks."""
        if not 0 < self.operations == self.requests:
            raise unusable_client(f"{self.operations} operations and {self.requests} requests passed the hooks")

    def refuse(self, error: ToolchainMissing) -> NoReturn:
        """Raises the error and keeps it."""
        self.refused = error  # the libraries wrap what is raised below them
        raise error


current_trace: Final[ContextVar[RequestTrace | None]] = ContextVar("current_trace", default=None)
"""The trace of the call that the running task makes."""


def make_file_system(patience: float) -> Any:  # noqa: ANN401  (s3fs has no types)
    """Returns a file system of s3fs that looks up endpoint and credentials when first used. patience: seconds.

    Raises ToolchainMissing if the installed libraries lack a switch.
    """
    options = {
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": patience,
            "max_pool_connections": CONNECTIONS,
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "signature_version": "s3v4",
            # The signature covers the hash of the body: a server that received other bytes refuses them.
            "s3": {"payload_signing_enabled": True},
            # Newer checksums are sent as trailers, which older Ceph and other servers do not understand.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "http_session_cls": _plain_http_session(),
        },
    }
    files = _unconfigured()(skip_instance_cache=True, **options)
    if getattr(files, "storage_options", None) != options:
        raise unusable_client("s3fs applied settings of its own configuration")
    for name in ("loop", "set_session"):
        if not hasattr(files, name):
            raise unusable_client(f"S3FileSystem has no {name}")
    return files


async def open_client(files: Any) -> Any:  # noqa: ANN401
    """Returns the client of the file system, which is created on the first call."""
    client = await files.set_session()
    events = getattr(getattr(client, "meta", None), "events", None)
    register = getattr(events, "register_last", None)
    if register is None:
        raise unusable_client("its client has no meta.events.register_last")
    register("before-parameter-build.s3", _begin_operation, unique_id="proxx-no-redirect")
    return client


def _begin_operation(context: dict[str, Any], **_: object) -> None:
    """Marks the operation as already redirected, so that botocore does not send it to another region."""
    context["s3_redirected"] = True
    context["s3_redirect"] = {**context.get("s3_redirect", {}), "redirected": True}
    if (trace := current_trace.get()) is not None:
        trace.begin_operation()


def _unconfigured() -> type:
    """Returns s3fs without fsspec's own configuration (FSSPEC_S3_KEY, ~/.config/fsspec and so on).

    That configuration takes precedence over the standard AWS chain and would supply another key, endpoint or
    profile; some of its settings cannot be overridden by an argument. fsspec looks it up by protocol.
    """
    from s3fs import S3FileSystem

    class Unconfigured(S3FileSystem):  # type: ignore[misc]
        protocol = ()

    return Unconfigured


def _plain_http_session() -> type:
    """Returns aiobotocore's HTTP session without aiohttp's redirects and resends."""
    from aiobotocore.httpsession import AIOHTTPSession

    if not hasattr(AIOHTTPSession, "_get_session"):
        raise unusable_client("aiobotocore's AIOHTTPSession has no _get_session")

    class PlainHTTPSession(AIOHTTPSession):  # type: ignore[misc]
        async def _get_session(self, *arguments: object) -> Any:  # noqa: ANN401
            return _PlainSession(await super()._get_session(*arguments))

    return PlainHTTPSession


class _PlainSession:
    """A session of aiohttp that sends each request once, to the address it was made for."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401
        self._session = session
        self._fault: ToolchainMissing | None = None
        if hasattr(session, "_retry_connection"):
            session._retry_connection = False  # aiohttp has no public setting; its own test client does the same
        else:
            self._fault = unusable_client("aiohttp's ClientSession has no _retry_connection")

    async def request(self, method: str, *arguments: object, **options: Any) -> Any:  # noqa: ANN401
        if (trace := current_trace.get()) is not None:
            if self._fault is not None:
                trace.refuse(self._fault)
            trace.admit_request(method, str(options.get("headers", {}).get("x-amz-content-sha256", "")))
        return await self._session.request(method, *arguments, **{**options, "allow_redirects": False})
