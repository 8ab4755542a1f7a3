"""The faulty proxy: each fault does to a request what its name says, and nothing to other requests."""

from __future__ import annotations

import io
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest

from tests.objects.endpoint import Bucket, client, refusal
from tests.objects.fault import Proxy, proxying
from tests.objects.rules import (
    Answer,
    Before,
    Cut,
    Drip,
    Garble,
    LoseAnswer,
    Reset,
    ResetMidway,
    Stall,
    StallAnswer,
    Strip,
)

BROKEN = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)
MIB = 1 << 20


@pytest.fixture
def broken(bucket: Bucket, object_proxy: Proxy) -> Bucket:
    """The bucket, through the faulty proxy."""
    return bucket.endpoint.at(object_proxy.url).bucket(bucket.name)


def test_a_request_without_a_rule_passes_unchanged(bucket: Bucket, broken: Bucket, object_proxy: Proxy) -> None:
    body = bytes(range(256)) * 4096 * 20
    broken.put("a/large", io.BytesIO(body), Metadata={"made-by": "test"})
    broken.put("a/empty", b"")
    assert broken.get("a/large") == body == bucket.get("a/large")
    assert broken.keys("a/") == ["a/empty", "a/large"]
    assert broken.head("a/none") is None
    with pytest.raises(botocore.exceptions.ClientError, match="PreconditionFailed"):
        broken.put("a/empty", b"x", IfNoneMatch="*")
    seen = object_proxy.requests(path="/a/")
    assert [(one.method, one.status) for one in seen] == [
        ("PUT", 200), ("PUT", 200), ("GET", 200), ("HEAD", 404), ("PUT", 412),
    ]  # fmt: skip
    assert seen[-1].conditions == {"if-none-match": "*"}
    assert seen[0].size == len(body)


def test_a_reset_request_never_arrives(bucket: Bucket, broken: Bucket, object_proxy: Proxy) -> None:
    object_proxy.on(Reset(), method="PUT", path="/b$", nth=2)
    for key in ("b", "c"):
        broken.put(key, b"1")
    with pytest.raises(BROKEN):
        broken.put("b", b"2")
    assert bucket.get("b") == b"1"
    broken.put("b", b"3")
    assert bucket.get("b") == b"3"


def test_a_request_reset_midway_leaves_nothing(bucket: Bucket, broken: Bucket, object_proxy: Proxy) -> None:
    rule = object_proxy.on(ResetMidway(MIB), method="PUT")
    broken.put("short", b"passes")
    assert not rule.acted
    rule = object_proxy.on(ResetMidway(MIB), method="PUT")
    with pytest.raises(BROKEN):
        broken.put("long", bytes(8 * MIB))
    assert rule.acted
    assert bucket.keys() == ["short"]


def test_a_request_whose_answer_is_lost_was_executed(bucket: Bucket, broken: Bucket, object_proxy: Proxy) -> None:
    rule = object_proxy.on(LoseAnswer(), method="PUT")
    with pytest.raises(BROKEN):
        broken.put("key", b"there", IfNoneMatch="*")
    rule.wait()
    assert bucket.get("key") == b"there"
    assert [(one.status, one.fault) for one in object_proxy.requests("PUT")] == [(200, "LoseAnswer")]


@pytest.mark.parametrize("status", [500, 503])
def test_the_proxy_answers_itself(bucket: Bucket, broken: Bucket, object_proxy: Proxy, status: int) -> None:
    object_proxy.on(Answer(status, "SlowDown"), method="PUT", times=2)
    for _ in range(2):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            broken.put("key", bytes(3 * MIB))
        assert (refusal(caught.value).status, refusal(caught.value).code) == (status, "SlowDown")
    assert bucket.keys() == []
    broken.put("key", b"1")
    assert bucket.keys() == ["key"]


@pytest.mark.parametrize("late", [False, True])
def test_a_stalled_request_that_the_client_gave_up(
    bucket: Bucket, broken: Bucket, object_proxy: Proxy, late: bool
) -> None:
    """With `late` it still arrives, as if the network had kept it."""
    rule = object_proxy.on(Stall(late=late), method="PUT")
    arrived = object_proxy.on(Before(lambda: None), path="/after")
    broken.client = client(broken.endpoint, read_timeout=3)  # it waits one second for a 100 Continue
    with pytest.raises(BROKEN):
        broken.put("key", b"1")
    assert rule.acted
    assert bucket.keys() == []
    rule.release()
    broken.put("after", b"1")
    arrived.wait()
    until_status(object_proxy, 200 if late else None)
    assert bucket.keys() == (["after", "key"] if late else ["after"])


def until_status(proxy: Proxy, status: int | None) -> None:
    tick = threading.Event()
    for _ in range(600):
        if proxy.requests(path="/key$")[0].status == status:
            return
        tick.wait(0.05)
    pytest.fail("the stalled request did not continue")


def test_a_stalled_request_continues_when_released(bucket: Bucket, broken: Bucket, object_proxy: Proxy) -> None:
    before = object_proxy.on(Stall(), path="/first")
    after = object_proxy.on(StallAnswer(), path="/second")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(broken.put, "first", b"1"), pool.submit(broken.put, "second", b"2")
        before.wait()
        after.wait()
        assert bucket.keys() == ["second"]
        assert not first.done()
        assert not second.done()
        before.release()
        after.release()
        first.result()
        second.result()
    assert bucket.keys() == ["first", "second"]


def test_another_writer_is_faster(bucket: Bucket, broken: Bucket, object_proxy: Proxy) -> None:
    object_proxy.on(Before(lambda: bucket.put("key", b"other")), method="PUT")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        broken.put("key", b"mine", IfNoneMatch="*")
    assert refusal(caught.value).status == 412
    assert bucket.get("key") == b"other"


def test_an_answer_that_drips_and_one_that_is_cut(broken: Bucket, object_proxy: Proxy) -> None:
    broken.put("key", bytes(1000))
    object_proxy.on(Drip(0.0001), method="GET")
    assert broken.get("key") == bytes(1000)
    object_proxy.on(Cut(999), method="GET")
    with pytest.raises(
        (*BROKEN, botocore.exceptions.IncompleteReadError, botocore.exceptions.ResponseStreamingError)
    ):
        broken.get("key")
    assert broken.get("key") == bytes(1000)


def test_down_and_up(broken: Bucket, object_proxy: Proxy) -> None:
    object_proxy.down()
    with pytest.raises(BROKEN):
        broken.put("key", b"1")
    object_proxy.up()
    broken.put("key", b"1")


def test_changed_bytes_and_a_removed_condition(bucket: Bucket, broken: Bucket, object_proxy: Proxy) -> None:
    """Both are signed and RGW checks the signature; moto does not."""
    signed = bucket.endpoint.name == "rgw"
    broken.put("key", b"1")
    object_proxy.on(Strip("if-none-match"), method="PUT")
    object_proxy.on(Garble(), method="PUT", nth=2)
    for body in (b"2", b"4"):
        if signed:
            with pytest.raises(botocore.exceptions.ClientError):
                broken.put("key", body, IfNoneMatch="*")
        else:
            broken.put("key" if body == b"2" else "other", body, IfNoneMatch="*")
    assert bucket.keys() == (["key"] if signed else ["key", "other"])
    assert bucket.get("key") == (b"1" if signed else b"2")


def test_a_second_100_continue_loses_nothing_of_the_body() -> None:
    """moto sends 100 Continue twice, the second time while the body is being sent."""
    size = 16 * MIB  # more than the connection buffers, so the sender has to wait
    received: list[int] = []

    def serve() -> None:
        connected, _ = listener.accept()
        with connected, connected.makefile("rb") as lines:
            while lines.readline().strip():
                pass
            connected.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.3)  # without reading: the sender waits in the middle of a piece
            connected.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.3)
            received.append(len(lines.read(size)))
            connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        threading.Thread(target=serve, daemon=True).start()
        way = proxying(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with way as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as sender:
            sender.sendall(f"PUT /b/k HTTP/1.1\r\nContent-Length: {size}\r\n\r\n".encode() + bytes(size))
            answers = b""
            while b"200 OK" not in answers:
                piece = sender.recv(4096)
                assert piece, answers
                answers += piece
    assert received == [size]
