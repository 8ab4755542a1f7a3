"""Causes: every code of a server has one, no message text decides, and no library text gets out."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from botocore import exceptions as known
from botocore.parsers import ResponseParserError

from proxx.s3.faults import RESENT, SENTENCES, UNCERTAIN, Cause, StorageFault, cause_of_answer, cause_of_error


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("PreconditionFailed", 412, Cause.EXISTS),
        ("412", 412, Cause.EXISTS),
        ("ConditionalRequestConflict", 409, Cause.CONFLICT),
        ("NoSuchBucket", 404, Cause.NO_BUCKET),
        ("NoSuchKey", 404, Cause.NO_KEY),
        ("404", 404, Cause.NO_KEY),
        ("NoSuchUpload", 404, Cause.NO_UPLOAD),
        ("InvalidAccessKeyId", 403, Cause.CREDENTIALS_REFUSED),
        ("SignatureDoesNotMatch", 403, Cause.CREDENTIALS_REFUSED),
        ("InvalidToken", 400, Cause.CREDENTIALS_REFUSED),
        ("ExpiredToken", 400, Cause.CREDENTIALS_EXPIRED),
        ("RequestTimeTooSkewed", 403, Cause.CLOCK),
        ("AccessDenied", 403, Cause.DENIED),
        ("QuotaExceeded", 403, Cause.FULL),
        ("EntityTooLarge", 400, Cause.TOO_LARGE),
        ("SlowDown", 503, Cause.TOO_MANY),
        ("429", 429, Cause.TOO_MANY),
        ("RequestTimeout", 400, Cause.SILENT),
        ("InternalError", 500, Cause.SERVER_FAULT),
        ("502", 502, Cause.SERVER_FAULT),
        ("504", 504, Cause.SERVER_FAULT),
        ("XAmzContentSHA256Mismatch", 400, Cause.GARBLED),
        ("IncompleteBody", 400, Cause.CUT),
        ("InvalidArgument", 400, Cause.REFUSED),
        ("NotImplemented", 501, Cause.REFUSED),
        ("PermanentRedirect", 301, Cause.REFUSED),
    ],
)
def test_the_code_of_an_answer_decides_before_its_status(code: str, status: int, cause: Cause) -> None:
    assert cause_of_answer(code, status) is cause


def answer(code: str, status: int, operation: str, kind: str = "application/xml") -> known.ClientError:
    meta = {"HTTPStatusCode": status, "HTTPHeaders": {"content-type": kind}}
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": meta}
    return known.ClientError(response, operation)


def refused_connection() -> aiohttp.ClientConnectorError:
    where = aiohttp.client_reqrep.ConnectionKey("host", 80, False, True, None, None, None)
    return aiohttp.ClientConnectorError(where, OSError(111, "refused"))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (answer("NoSuchKey", 404, "GetObject"), Cause.NO_KEY),
        (answer("404", 404, "HeadObject"), Cause.NO_KEY),
        (answer("404", 404, "GetObject", "text/html"), Cause.NOT_S3),
        (answer("500", 500, "ListObjectsV2", "text/html; charset=utf-8"), Cause.NOT_S3),
        (answer("500", 500, "PutObject", "text/html"), Cause.SERVER_FAULT),  # the write may have happened
        (answer("503", 503, "GetObject", "text/html"), Cause.SERVER_FAULT),
        (known.NoCredentialsError(), Cause.NO_CREDENTIALS),
        (known.PartialCredentialsError(provider="p", cred_var="v"), Cause.NO_CREDENTIALS),
        (known.ProfileNotFound(profile="p"), Cause.NO_CREDENTIALS),
        (known.TokenRetrievalError(provider="p", error_msg="m"), Cause.NO_CREDENTIALS),
        (known.UnauthorizedSSOTokenError(), Cause.CREDENTIALS_EXPIRED),
        (known.EndpointConnectionError(endpoint_url="u", error=refused_connection()), Cause.UNREACHABLE),
        (known.EndpointConnectionError(endpoint_url="u", error=socket.gaierror()), Cause.UNREACHABLE),
        (known.EndpointConnectionError(endpoint_url="u", error=aiohttp.ClientOSError(104, "reset")), Cause.CUT),
        (known.EndpointConnectionError(endpoint_url="u", error=aiohttp.ClientConnectionError()), Cause.CUT),
        (known.ConnectTimeoutError(endpoint_url="u"), Cause.UNREACHABLE),
        (known.SSLError(endpoint_url="u", error="e"), Cause.TLS),
        (known.HTTPClientError(error=FileNotFoundError(2, "no such file")), Cause.TLS),
        (known.ReadTimeoutError(endpoint_url="u"), Cause.SILENT),
        (TimeoutError(), Cause.SILENT),
        (known.ConnectionClosedError(endpoint_url="u"), Cause.CUT),
        (known.ConnectionError(error="e"), Cause.CUT),
        (known.HTTPClientError(error="e"), Cause.CUT),
        (known.ResponseStreamingError(error="e"), Cause.CUT),
        (known.IncompleteReadError(actual_bytes=1, expected_bytes=2), Cause.CUT),
        (aiohttp.ClientPayloadError(), Cause.CUT),
        (aiohttp.ServerDisconnectedError(), Cause.CUT),
        (ConnectionResetError(), Cause.CUT),
        (ResponseParserError(), Cause.NOT_S3),
        (known.ParamValidationError(report="r"), Cause.REFUSED),
    ],
)
def test_every_error_of_the_libraries_has_a_cause(error: BaseException, cause: Cause) -> None:
    classified = cause_of_error(error)
    assert classified is not None
    assert classified[0] is cause


@pytest.mark.parametrize("error", [RuntimeError(), KeyError("x"), PermissionError(), AssertionError()])
def test_other_errors_have_no_cause(error: BaseException) -> None:
    assert cause_of_error(error) is None


def test_every_cause_has_a_sentence_and_only_these_are_resent() -> None:
    assert set(SENTENCES) == set(Cause)
    assert all(sentence[0].islower() and remedy.endswith(".") for sentence, remedy in SENTENCES.values())
    assert {str(cause) for cause in RESENT} == {
        "UNREACHABLE", "CUT", "SILENT", "SERVER_FAULT", "TOO_MANY", "CONFLICT", "GARBLED",
    }  # fmt: skip
    assert RESENT - {Cause.UNREACHABLE, Cause.TOO_MANY} | {Cause.STOPPED} == UNCERTAIN


def test_the_sentences_of_a_fault() -> None:
    fault = StorageFault(Cause.FULL, "PutObject", "s3://b/k", "QuotaExceeded", 403)
    assert str(fault) == "PutObject s3://b/k: FULL"
    assert fault.detail == (
        "PutObject s3://b/k: the quota is used up, or the storage is full (QuotaExceeded, HTTP 403)"
    )
    assert fault.remedy == "Free space, or raise the quota."
    assert StorageFault(Cause.CUT, "GetObject", "s3://b/k").detail.endswith("server was cut")
