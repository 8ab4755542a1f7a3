"""Classifies failed requests to object storage: a fixed list of causes, found by status and code, never by text.

AWS, Ceph RGW and moto use different codes for some of them; each code is listed once. No message of a server or a
library leaves this module: they can contain key ids, signatures and host names.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class Cause(StrEnum):
    """Why a request failed. The names are stable: records contain them."""

    UNREACHABLE = "UNREACHABLE"  # no connection: name, address, port
    TLS = "TLS"  # the server's certificate, or the file of trusted certificates
    CUT = "CUT"  # the connection ended before the answer was complete
    SILENT = "SILENT"  # no byte was sent or received for too long
    SERVER_FAULT = "SERVER_FAULT"  # 500, 502, 503, 504
    TOO_MANY = "TOO_MANY"  # 429, SlowDown
    CONFLICT = "CONFLICT"  # 409: another request is changing the same key and has not finished
    GARBLED = "GARBLED"  # one side received other bytes than the other sent
    EXISTS = "EXISTS"  # 412: the key is taken
    NO_KEY = "NO_KEY"
    NO_BUCKET = "NO_BUCKET"
    NO_UPLOAD = "NO_UPLOAD"
    NO_CREDENTIALS = "NO_CREDENTIALS"
    CREDENTIALS_REFUSED = "CREDENTIALS_REFUSED"
    CREDENTIALS_EXPIRED = "CREDENTIALS_EXPIRED"
    CLOCK = "CLOCK"  # signatures are valid for 15 minutes: one of the two clocks is wrong
    DENIED = "DENIED"
    FULL = "FULL"
    TOO_LARGE = "TOO_LARGE"
    NOT_S3 = "NOT_S3"  # an answer that no S3 server gives
    REFUSED = "REFUSED"  # any other refusal
    STOPPED = "STOPPED"  # by this process, on request


RESENT: Final = frozenset(
    {Cause.UNREACHABLE, Cause.CUT, Cause.SILENT, Cause.SERVER_FAULT, Cause.TOO_MANY, Cause.CONFLICT, Cause.GARBLED}
)
"""The causes for which a request is resent, as often as the store's record allows. No other request is resent."""

UNCERTAIN: Final = frozenset(
    {Cause.CUT, Cause.SILENT, Cause.SERVER_FAULT, Cause.CONFLICT, Cause.GARBLED, Cause.STOPPED}
)
"""After one of these causes the write may still have happened."""

SENTENCES: Final[Mapping[Cause, tuple[str, str]]] = {
    Cause.UNREACHABLE: ("the storage server cannot be reached", "Check the endpoint and the network."),
    Cause.TLS: (
        "the storage server's certificate cannot be trusted",
        "Check the endpoint's name, its certificate, and the file that AWS_CA_BUNDLE names.",
    ),
    Cause.CUT: ("the connection to the storage server was cut", "Check the network and the storage server."),
    Cause.SILENT: ("the storage server does not answer", "Check the network and the storage server."),
    Cause.SERVER_FAULT: ("the storage server has a fault", "Look at the storage server's own log."),
    Cause.TOO_MANY: ("the storage server asks for fewer requests", "Run fewer workers, or enlarge the server."),
    Cause.CONFLICT: (
        "the storage server reports another write of the same object",
        "Wait for that write to end, then try again.",
    ),
    Cause.GARBLED: (
        "data was changed on its way",
        "Check the network and the machines on the way: memory, cables, HTTP proxies.",
    ),
    Cause.EXISTS: ("the object exists already", "Nothing is ever replaced: choose another name."),
    Cause.NO_KEY: ("there is no such object", "Check the bucket and the key."),
    Cause.NO_BUCKET: ("there is no such bucket", "Make the bucket, or correct its name."),
    Cause.NO_UPLOAD: ("the upload no longer exists", "Run the next attempt."),
    Cause.NO_CREDENTIALS: (
        "no credentials were found",
        "Set them in the environment, a profile or a role (AWS_ACCESS_KEY_ID, AWS_PROFILE, …).",
    ),
    Cause.CREDENTIALS_REFUSED: ("the credentials are refused", "Check the key, its secret and the endpoint."),
    Cause.CREDENTIALS_EXPIRED: ("the credentials have expired", "Renew them, then try again."),
    Cause.CLOCK: ("this machine's clock and the storage server's differ too much", "Set both by NTP."),
    Cause.DENIED: ("these credentials may not do that", "Allow it in the bucket's policy or the key's."),
    Cause.FULL: ("the quota is used up, or the storage is full", "Free space, or raise the quota."),
    Cause.TOO_LARGE: ("the object is larger than the storage allows", "Choose a profile that makes smaller proxies."),
    Cause.NOT_S3: ("the server at the endpoint does not speak S3", "Check the endpoint's address and port."),
    Cause.REFUSED: ("the storage server refuses the request", "Check bucket, region and endpoint."),
    Cause.STOPPED: ("the request was stopped", "Run it again when you are ready."),
}
"""For each cause a sentence and what to do about it."""

_BY_CODE: Final[Mapping[str, Cause]] = {
    "PreconditionFailed": Cause.EXISTS,
    "ConditionalRequestConflict": Cause.CONFLICT,
    "OperationAborted": Cause.CONFLICT,
    "NoSuchKey": Cause.NO_KEY,
    "NoSuchBucket": Cause.NO_BUCKET,
    "NoSuchUpload": Cause.NO_UPLOAD,
    "InvalidAccessKeyId": Cause.CREDENTIALS_REFUSED,
    "SignatureDoesNotMatch": Cause.CREDENTIALS_REFUSED,
    "InvalidToken": Cause.CREDENTIALS_REFUSED,
    "InvalidClientTokenId": Cause.CREDENTIALS_REFUSED,
    "UnrecognizedClientException": Cause.CREDENTIALS_REFUSED,
    "ExpiredToken": Cause.CREDENTIALS_EXPIRED,
    "ExpiredTokenException": Cause.CREDENTIALS_EXPIRED,
    "RequestExpired": Cause.CREDENTIALS_EXPIRED,
    "TokenRefreshRequired": Cause.CREDENTIALS_EXPIRED,
    "RequestTimeTooSkewed": Cause.CLOCK,
    "AccessDenied": Cause.DENIED,
    "AllAccessDisabled": Cause.DENIED,
    "AccountProblem": Cause.DENIED,
    "UserSuspended": Cause.DENIED,
    "QuotaExceeded": Cause.FULL,
    "InsufficientCapacity": Cause.FULL,
    "XMinioStorageFull": Cause.FULL,
    "XMinioAdminBucketQuotaExceeded": Cause.FULL,
    "EntityTooLarge": Cause.TOO_LARGE,
    "SlowDown": Cause.TOO_MANY,
    "TooManyRequests": Cause.TOO_MANY,
    "RequestTimeout": Cause.SILENT,
    "RequestTimeoutException": Cause.SILENT,
    "InternalError": Cause.SERVER_FAULT,
    "ServiceUnavailable": Cause.SERVER_FAULT,
    "BadDigest": Cause.GARBLED,
    "XAmzContentSHA256Mismatch": Cause.GARBLED,
    "XAmzContentChecksumMismatch": Cause.GARBLED,
    "IncompleteBody": Cause.CUT,
}
_BY_STATUS: Final[Mapping[int, Cause]] = {
    # For answers without a body (HEAD), and for unknown codes.
    403: Cause.DENIED,
    404: Cause.NO_KEY,
    409: Cause.CONFLICT,
    412: Cause.EXISTS,
    413: Cause.TOO_LARGE,
    429: Cause.TOO_MANY,
    500: Cause.SERVER_FAULT,
    502: Cause.SERVER_FAULT,
    503: Cause.SERVER_FAULT,
    504: Cause.SERVER_FAULT,
    507: Cause.FULL,
}


_NOT_OF_A_GATEWAY: Final = frozenset({301, 302, 303, 307, 308, 401, 404, 405})


class StorageFault(Exception):
    """A request failed, after all resends. Callers turn it into a failure of a clip, a job or the store.

    code, status: the server's, "" and 0 if no answer arrived. uncertain: the write may have happened; once a resend
    was needed, this stays true even if the last answer was a clear refusal.
    """

    def __init__(self, cause: Cause, action: str, place: str, code: str = "", status: int = 0) -> None:
        super().__init__(f"{action} {place}: {cause}")
        self.cause, self.action, self.place = cause, action, place
        self.code, self.status = code, status
        self.uncertain = cause in UNCERTAIN

    @property
    def sentence(self) -> str:
        return SENTENCES[self.cause][0]

    @property
    def remedy(self) -> str:
        return SENTENCES[self.cause][1]

    @property
    def detail(self) -> str:
        """The request, its place, and the server's code, for people."""
        codes = ", ".join(filter(None, (self.code, f"HTTP {self.status}" if self.status else "")))
        return f"{self.action} {self.place}: {self.sentence}" + (f" ({codes})" if codes else "")


def cause_of_answer(code: str, status: int) -> Cause:
    """Returns the cause of an error answer. code: from its body, or the status in digits if it has no body."""
    return _BY_CODE.get(code) or _BY_STATUS.get(status) or Cause.REFUSED


def cause_of_error(error: BaseException) -> tuple[Cause, str, int] | None:
    """Returns (cause, code, status) of an error of the libraries, None if it is not the failure of a request."""
    from socket import gaierror

    from aiohttp import ClientConnectorError as ConnectorError
    from aiohttp import ClientError as TransportError
    from botocore import exceptions as known
    from botocore.parsers import ResponseParserError

    match error:
        case known.ClientError():
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            return (Cause.NOT_S3 if _is_web_page(error) else cause_of_answer(code, status)), code, status
        case known.NoCredentialsError() | known.PartialCredentialsError() | known.ProfileNotFound():
            return Cause.NO_CREDENTIALS, "", 0
        case known.CredentialRetrievalError() | known.TokenRetrievalError() | known.SSOTokenLoadError():
            return Cause.NO_CREDENTIALS, "", 0
        case known.UnauthorizedSSOTokenError():
            return Cause.CREDENTIALS_EXPIRED, "", 0
        case known.EndpointConnectionError() if not isinstance(error.kwargs.get("error"), (ConnectorError, gaierror)):
            return Cause.CUT, "", 0  # also raised if a connection breaks after the request was sent
        case known.ConnectTimeoutError() | known.EndpointConnectionError() | known.ProxyConnectionError():
            return Cause.UNREACHABLE, "", 0
        case known.SSLError():
            return Cause.TLS, "", 0
        case known.HTTPClientError() if isinstance(error.kwargs.get("error"), FileNotFoundError | PermissionError):
            return Cause.TLS, "", 0  # the file of certificates is the only one that a client reads to connect
        case known.InvalidEndpointDiscoveryConfigurationError():
            return Cause.UNREACHABLE, "", 0
        case known.ReadTimeoutError():
            return Cause.SILENT, "", 0
        case ResponseParserError():
            return Cause.NOT_S3, "", 0
        case known.ConnectionError() | known.HTTPClientError() | known.IncompleteReadError():
            return Cause.CUT, "", 0
        case TransportError() | ConnectionError() | EOFError():
            return Cause.CUT, "", 0
        case TimeoutError():
            return Cause.SILENT, "", 0
        case known.ParamValidationError() | known.BotoCoreError() | ValueError():
            return Cause.REFUSED, "", 0
        case _:
            return None


def _is_web_page(error: Any) -> bool:  # noqa: ANN401  (botocore has no types)
    """Returns whether the answer is a web page: HTML with no S3 error code.

    A gateway in front of a server that is down answers with a page too, and botocore reports a page of status 200 as
    a 500. A write, which may have happened, is therefore not classified by such an answer.
    """
    meta, action = error.response.get("ResponseMetadata", {}), str(error.operation_name)
    if action.startswith("Head") or not str(error.response.get("Error", {}).get("Code", "")).isdigit():
        return False
    kind, status = str(meta.get("HTTPHeaders", {}).get("content-type", "")), meta.get("HTTPStatusCode")
    reads = action.startswith(("Get", "List"))
    return kind.startswith("text/html") and (status in _NOT_OF_A_GATEWAY or (status == 500 and reads))
