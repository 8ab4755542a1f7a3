"""The libraries' client, with everything off that sends a request a second time or to another place than was said.

s3fs decides by message text what to send again and reports one's own object as another's. botocore asks the region
that an error names. aiohttp follows any redirect, and sends a GET or PUT a second time where its connection broke,
even if it was done by then. All of that without a word to anyone (measured).
"""

from __future__ import annotations

from typing import Any, Final

CONNECT_SECONDS: Final = 10
CONNECTIONS: Final = 10


def make_file_system(patience: float) -> Any:  # noqa: ANN401  (s3fs has no types)
    """A file system of s3fs: it finds endpoint and credentials when it is first used. patience: in seconds."""
    files = _unconfigured()(
        skip_instance_cache=True,
        use_listings_cache=False,
        config_kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": patience,
            "max_pool_connections": CONNECTIONS,
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "signature_version": "s3v4",
            # The hash of what is sent is part of the signature: a server that received other bytes refuses them.
            "s3": {"payload_signing_enabled": True},
            # Newer checksums go as trailers, which older Ceph and others do not understand.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "http_session_cls": _straight(),
        },
    )
    files.retries = 1
    return files


async def client_of(files: Any) -> Any:  # noqa: ANN401
    """The client, made where there is none yet."""
    client = await files.set_session()
    client.meta.events.register_last("before-parameter-build.s3", _stay, unique_id="proxx-stay")
    return client


def _stay(context: dict[str, Any], **_: object) -> None:
    """Tell botocore's redirector that it has redirected already."""
    context["s3_redirected"] = True
    context["s3_redirect"] = {**context.get("s3_redirect", {}), "redirected": True}


def _unconfigured() -> type:
    """s3fs without fsspec's own configuration (FSSPEC_S3_KEY, ~/.config/fsspec and so on), which is kept by protocol.

    It would go before the standard chain and give another key, endpoint or profile; of some settings no argument of
    ours could take its place.
    """
    from s3fs import S3FileSystem

    class Unconfigured(S3FileSystem):  # type: ignore[misc]
        protocol = ()

    return Unconfigured


def _straight() -> type:
    """aiobotocore's way to aiohttp, which has to be told no in two places."""
    from aiobotocore.httpsession import AIOHTTPSession

    class Straight(AIOHTTPSession):  # type: ignore[misc]
        async def _get_session(self, *where: object) -> Any:  # noqa: ANN401
            return _Straight(await super()._get_session(*where))

    return Straight


class _Straight:
    def __init__(self, session: Any) -> None:  # noqa: ANN401
        self._session = session
        session._retry_connection = False  # there is no other way to say so; its own test client does the same

    async def request(self, *what: object, **how: object) -> Any:  # noqa: ANN401
        return await self._session.request(*what, **{**how, "allow_redirects": False})
