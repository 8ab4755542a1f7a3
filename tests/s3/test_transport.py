"""The transport: which requests are resent and how often, timeouts, stops, threads and forks."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest

from proxx.s3 import transport as module
from proxx.s3.bucket import Bucket
from proxx.s3.faults import RESENT, Cause, StorageFault
from proxx.s3.incidents import IncidentJournal
from proxx.s3.transport import Transport, TransportTiming
from tests.objects import endpoint
from tests.objects.endpoint import Endpoint, Keys
from tests.objects.fault import Proxy
from tests.objects.kinds import SHORT, speaking_to
from tests.objects.line import HASTY, PATIENT, Line, noted
from tests.objects.rules import Action, Answer, Drip, Reset, Stall, StallAnswer

AGAIN: Final[dict[Cause, tuple[Action | None, ...]]] = {
    Cause.UNREACHABLE: (None,),
    Cause.CUT: (Reset(), Answer(400, "IncompleteBody")),
    Cause.SILENT: (Stall(), Answer(400, "RequestTimeout")),
    Cause.SERVER_FAULT: (Answer(500, "InternalError"), Answer(502, "x"), Answer(503, "ServiceUnavailable")),
    Cause.TOO_MANY: (Answer(503, "SlowDown"), Answer(429, "TooManyRequests")),
    Cause.CONFLICT: (Answer(409, "ConditionalRequestConflict"), Answer(409, "OperationAborted")),
    Cause.GARBLED: (Answer(400, "BadDigest"), Answer(400, "XAmzContentSHA256Mismatch")),
}
ONCE: Final[dict[Cause, Answer]] = {
    Cause.EXISTS: Answer(412, "PreconditionFailed"),
    Cause.NO_KEY: Answer(404, "NoSuchKey"),
    Cause.NO_BUCKET: Answer(404, "NoSuchBucket"),
    Cause.NO_UPLOAD: Answer(404, "NoSuchUpload"),
    Cause.CREDENTIALS_REFUSED: Answer(403, "InvalidAccessKeyId"),
    Cause.CREDENTIALS_EXPIRED: Answer(400, "ExpiredToken"),
    Cause.CLOCK: Answer(403, "RequestTimeTooSkewed"),
    Cause.DENIED: Answer(403, "AccessDenied"),
    Cause.FULL: Answer(403, "QuotaExceeded"),
    Cause.TOO_LARGE: Answer(400, "EntityTooLarge"),
    Cause.REFUSED: Answer(400, "AuthorizationHeaderMalformed"),
}


@pytest.fixture(params=["moto"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    """One server is enough: the proxy in front of it injects the faults."""
    line: Line = request.getfixturevalue(f"{request.param}_line")
    line.way.forget()
    with speaking_to(line.bucket.endpoint.at(line.way.url)):
        yield line
    line.way.forget()


@pytest.fixture
def bucket(line: Line) -> Iterator[endpoint.Bucket]:
    yield line.bucket
    for key in ("key", "child", "parent"):
        line.bucket.delete(key)


@pytest.fixture
def way(line: Line) -> Proxy:
    return line.way


def a_wire(pace: TransportTiming, resends: int = 0) -> Transport:
    return Transport(resends=resends, pace=pace, journal=IncidentJournal())


@pytest.mark.parametrize("resends", [0, 1, 5])
@pytest.mark.parametrize(
    ("cause", "action"), [(cause, action) for cause, actions in AGAIN.items() for action in actions]
)
def test_a_request_is_resent_as_often_as_allowed_and_each_resend_is_recorded(
    line: Line, bucket: endpoint.Bucket, way: Proxy, cause: Cause, action: Action | None, resends: int
) -> None:
    wire = line.wire(HASTY if isinstance(action, Stall) else PATIENT, resends)
    mine = Bucket(wire, bucket.name)
    if action is None:
        way.down()
    else:
        way.on(action, times=None)
    try:
        with pytest.raises(StorageFault) as caught:
            mine.create("key", b"1", "nonce")
    finally:
        if action is None:
            way.up()
    assert caught.value.cause is cause
    assert wire.sent == 1 + resends
    assert action is None or len(way.requests("PUT", "/key$")) == len(way.requests()) == 1 + resends
    place = f"s3://{bucket.name}/key"
    assert noted(wire) == [("resent", "PutObject", place, cause, number) for number in range(1, resends + 1)]


def test_every_cause_is_tested() -> None:
    assert set(AGAIN) == RESENT
    assert not set(ONCE) & RESENT
    # STOPPED, NO_CREDENTIALS, NOT_S3 and TLS have their own tests below.
    assert set(AGAIN) | set(ONCE) | {Cause.STOPPED, Cause.NO_CREDENTIALS, Cause.NOT_S3, Cause.TLS} == set(Cause)


@pytest.mark.parametrize("cause", ONCE)
def test_no_other_request_is_resent(line: Line, bucket: endpoint.Bucket, way: Proxy, cause: Cause) -> None:
    wire = line.wire(PATIENT, 5)
    way.on(ONCE[cause], times=None)
    with pytest.raises(StorageFault) as caught:
        Bucket(wire, bucket.name).create("key", b"1", "nonce")
    assert caught.value.cause is cause
    assert (caught.value.code, caught.value.status) == (ONCE[cause].code, ONCE[cause].status)
    assert wire.sent == len(way.requests()) == 1
    assert noted(wire) == []


def test_a_request_that_succeeds_after_resends_happens_once(line: Line, bucket: endpoint.Bucket, way: Proxy) -> None:
    wire = line.wire(PATIENT, 5)
    way.on(Answer(503, "SlowDown"), method="PUT", times=3)
    Bucket(wire, bucket.name).create("key", b"1", "nonce")
    assert bucket.get("key") == b"1"
    assert wire.sent == 4
    assert [one[4] for one in noted(wire)] == [1, 2, 3]


@pytest.mark.parametrize("action", [Stall(), StallAnswer()])
def test_silence_times_out(line: Line, bucket: endpoint.Bucket, way: Proxy, action: Action) -> None:
    bucket.put("key", b"1")
    wire = line.wire(HASTY)
    rule = way.on(action, method="GET")
    with pytest.raises(StorageFault) as caught:
        Bucket(wire, bucket.name).get("key")
    assert caught.value.cause is Cause.SILENT
    assert rule.acted


def test_a_slow_answer_is_awaited(line: Line, bucket: endpoint.Bucket, way: Proxy) -> None:
    """It takes longer than the timeout in total, but no gap between two bytes does."""
    body = bytes(3000)
    bucket.put("key", body)
    wire = line.wire(TransportTiming(patience=4.0))
    rule = way.on(Drip(0.002), method="GET")
    assert Bucket(wire, bucket.name).get("key") == (body, "")
    rule.wait()
    assert wire.sent == 1


@pytest.mark.parametrize("stalled", [True, False])
def test_a_request_can_be_stopped(bucket: endpoint.Bucket, way: Proxy, stalled: bool) -> None:
    """While it waits for an answer, and in the pause before a resend."""
    rule = way.on(Stall() if stalled else Answer(503, "SlowDown"), method="GET", times=None)
    wire = a_wire(TransportTiming(patience=600.0, pauses=(600.0,)), 5)
    with pytest.raises(StorageFault) as caught:
        Bucket(wire, bucket.name).read("key", lambda: lambda _: None, lambda: rule.acted)
    assert caught.value.cause is Cause.STOPPED
    assert wire.sent == 1


def test_a_missing_file_of_trusted_certificates_is_a_tls_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"AWS_ENDPOINT_URL_S3": "https://127.0.0.1:9", "AWS_CA_BUNDLE": "/no/such/file.pem"}
    for name, value in {**settings, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    wire = a_wire(PATIENT, 5)
    with pytest.raises(StorageFault) as caught:
        Bucket(wire, "bucket").head("key")
    assert (caught.value.cause, wire.sent) == (Cause.TLS, 1)
    assert "AWS_CA_BUNDLE" in caught.value.remedy


def test_a_slow_answer_is_recorded(
    line: Line, bucket: endpoint.Bucket, way: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_MS", -1)
    wire = line.wire(PATIENT)
    mine = Bucket(wire, bucket.name)
    mine.create("key", b"1", "nonce")
    assert noted(wire) == [("slow", "PutObject", f"s3://{bucket.name}/key", None, None)]
    assert mine.read("key", lambda: lambda _: None)  # a body of any length is never recorded as slow
    assert noted(wire) == []


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, way: Proxy, bucket: endpoint.Bucket) -> None:
    way.forget()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name in ("AWS_PROFILE", "none"):
        wire = a_wire(PATIENT, 5)
        with pytest.raises(StorageFault) as caught:
            Bucket(wire, bucket.name).get("key")
        assert caught.value.cause is Cause.NO_CREDENTIALS
        monkeypatch.setenv("AWS_PROFILE", name)
    assert way.requests() == []


# --- servers that do not speak S3 -----------------------------------------------------------------------------

PAGE: Final = b"<!DOCTYPE html><html><body><p>Welcome & <br> sign in</body></html>"


@contextmanager
def answering(status: int, headers: dict[str, str], body: bytes) -> Iterator[tuple[Endpoint, list[str]]]:
    """Runs a server that gives every request the same answer. Yields it and the requests it received."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # with HTTP/1.0 there is no 100 Continue, for which clients wait

        def answer(self) -> None:
            received.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_POST = answer  # noqa: N815 - the names http.server looks up

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Endpoint("page", f"http://127.0.0.1:{server.server_port}", Keys("a", "b")), received
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "body", "cause"),
    [
        (200, {"Content-Type": "text/html"}, PAGE, Cause.NOT_S3),
        (404, {"Content-Type": "text/html"}, PAGE, Cause.NOT_S3),
        (302, {"Content-Type": "text/html", "Location": "http://127.0.0.1:9/login"}, PAGE, Cause.NOT_S3),
        (405, {"Content-Type": "text/html"}, PAGE, Cause.NOT_S3),
        (
            301,
            {"Content-Type": "application/xml", "x-amz-bucket-region": "eu-west-1"},
            b"<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1:9</Endpoint></Error>",
            Cause.REFUSED,
        ),
        (
            400,
            {"Content-Type": "application/xml", "x-amz-bucket-region": "eu-west-1"},
            b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
            Cause.REFUSED,
        ),
    ],
    ids=["page", "page-404", "page-302", "page-405", "region-301", "region-400"],
)
def test_an_answer_of_another_server(status: int, headers: dict[str, str], body: bytes, cause: Cause) -> None:
    """No second request is sent, whatever region or address the answer names."""
    with answering(status, headers, body) as (page, received), speaking_to(page):
        wire = a_wire(PATIENT, 5)
        with pytest.raises(StorageFault) as caught:
            list(Bucket(wire, "bucket").pages("a/"))
        assert caught.value.cause is cause
        assert len(received) == wire.sent == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    """Neither the body of a write nor a signature is sent to an address that an answer names."""
    with (
        answering(200, {}, b"") as (other, received_there),
        answering(status, {"Location": f"{other.url}/bucket/key"}, b"") as (page, received),
        speaking_to(page),
    ):
        wire = a_wire(PATIENT, 5)
        with pytest.raises(StorageFault) as caught:
            Bucket(wire, "bucket").create("key", b"1", "nonce")
        assert caught.value.cause is Cause.REFUSED
        assert received_there == []
        assert len(received) == wire.sent == 1


def test_a_503_page_of_a_gateway_is_resent() -> None:
    with answering(503, {"Content-Type": "text/html"}, PAGE) as (page, received), speaking_to(page):
        wire = a_wire(PATIENT, 2)
        with pytest.raises(StorageFault) as caught:
            Bucket(wire, "bucket").get("key")
        assert caught.value.cause is Cause.SERVER_FAULT
        assert len(received) == 3


def test_another_number_of_resends_is_another_transport_over_the_same_connection() -> None:
    wire = a_wire(PATIENT, 2)
    other = wire.with_resends(5)
    assert (wire.resends, other.resends) == (2, 5)
    assert other.connection is wire.connection
    assert other.journal is wire.journal
    with pytest.raises(AttributeError):
        other.resends = 0  # type: ignore[misc]


# --- threads and forks -------------------------------------------------------------------------------------


def test_threads_share_a_transport(line: Line, bucket: endpoint.Bucket, way: Proxy) -> None:
    """From the first request on, when no client exists yet."""
    wire = a_wire(PATIENT)
    mine = Bucket(wire, bucket.name)
    way.forget()
    gate, prefix = threading.Barrier(8), line.prefix()

    def work(me: int) -> None:
        gate.wait()
        for number in range(5):
            mine.create(f"{prefix}/{me}/{number}", b"%d" % me, "nonce")
            assert mine.get(f"{prefix}/{me}/{number}") == (b"%d" % me, "nonce")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(bucket.keys(prefix)) == 40
    assert wire.sent == len(way.requests()) == 80


def in_a_child(do: Callable[[], bytes]) -> bytes:
    """Returns what `do` returns in a forked child, which has a minute for it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            os.write(writing, do())
        except BaseException as error:
            os.write(writing, f"failed: {error!r}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], 60)
        return os.read(reading, 1000) if ready else b"hangs"
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_both_sides_of_a_fork_can_send(bucket: endpoint.Bucket, way: Proxy) -> None:
    """While the parent waits for an answer: the parent receives it, and the child has its own client."""
    wire = a_wire(TransportTiming(patience=20.0))
    mine = Bucket(wire, bucket.name)
    mine.create("parent", b"1", "nonce")

    def child() -> bytes:
        mine.create("child", b"2", "nonce")
        return (mine.get("parent") or (b"", ""))[0]

    rule = way.on(StallAnswer(), method="GET", path="/parent$")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(mine.get, "parent")
        rule.wait()
        assert in_a_child(child) == b"1"
        assert not waiting.done()
        rule.release()
        assert waiting.result() == (b"1", "nonce")
    assert mine.get("child") == (b"2", "nonce")
    assert in_a_child(lambda: in_a_child(child)) == b"failed: StorageFault('PutObject s3://" + (
        f"{bucket.name}/child: EXISTS')".encode()
    )
    assert noted(wire) == []


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_connects(bucket: endpoint.Bucket, way: Proxy) -> None:
    mine = Bucket(a_wire(SHORT), bucket.name)
    with module._connecting:
        assert in_a_child(lambda: str(mine.get("key")).encode()) == b"None"
