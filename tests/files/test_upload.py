"""Uploads: the verified bytes are sent, the fence is called, and a lost or untrustworthy answer is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest

from proxx.contracts.errors import ToolchainMissing, WorkUnusable
from proxx.contracts.fingerprint import digest_bytes
from proxx.files.places import Places
from proxx.files.publish import Present, Published, content_of
from proxx.files.roots import InBucket
from proxx.files.upload import prepare_upload
from proxx.s3 import client, multipart, transport
from proxx.s3.transport import TransportTiming
from tests.objects.line import Line, noted
from tests.objects.rules import LoseAnswer, StallAnswer
from tests.s3.conftest import a_file

MIB: Final = 1 << 20


@pytest.mark.parametrize("single", [100 * MIB, MIB])
@pytest.mark.parametrize("size", [3 * MIB, 3 * MIB - 1])
def test_a_file_that_changed_since_it_was_verified_is_not_published(
    line: Line, tmp_path: Path, single: int, size: int
) -> None:
    """In one request and in parts; with the same size as before and with a smaller one."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 3 * MIB)
    content = content_of(made)
    made.write_bytes(b"x" * size)
    places = Places(wire=line.wire(resends=5), single=single, part=5 * MIB)
    fences: list[int] = []
    with (
        pytest.raises(WorkUnusable, match="returned other bytes than were verified"),
        prepare_upload(places, spot, made, content, lambda: False) as sent,
    ):
        sent.publish(lambda: fences.append(1))
    assert (line.bucket.head(spot.key), line.bucket.uploads(spot.key), fences) == (None, [], [])


def test_a_stop_after_the_last_byte_is_settled_by_reading_the_nonce(line: Line, tmp_path: Path) -> None:
    """The server has the whole object and only its answer is missing: the proxy is published."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 100)
    places = Places(wire=line.wire(TransportTiming(patience=600.0)))
    rule = line.way.on(StallAnswer(), method="PUT")
    with prepare_upload(places, spot, made, content_of(made), lambda: rule.acted) as sent:
        assert sent.publish(lambda: None) == Published()
    assert [one[0] for one in noted(places.wire)] == ["settled"]
    assert line.bucket.get(spot.key) == made.read_bytes()


def test_an_upload_that_was_aborted_at_the_last_moment_is_not_published(line: Line, tmp_path: Path) -> None:
    """A lifecycle rule or a person aborted it, and someone else took the key. Ceph still reports success."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 6 * MIB)
    places = Places(wire=line.wire(resends=5), single=MIB, part=5 * MIB)
    with prepare_upload(places, spot, made, content_of(made), lambda: False) as sent:

        def abort_and_take_the_key() -> None:
            assert multipart.abort(places.bucket(spot), spot.key, sent.notes["upload"])
            line.bucket.put(spot.key, b"somebody's")

        assert sent.publish(abort_and_take_the_key) == Present(digest_bytes(b"somebody's"))
    assert line.bucket.get(spot.key) == b"somebody's"


# --- a client that does not send the verified bytes through the fence -----------------------------------------


@dataclass
class FaultyClient:
    """aiobotocore's client with another body for uploads. replace: returns the bytes to send for a body."""

    real: Any
    replace: Callable[[Any], Awaitable[bytes]]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        request = getattr(self.real, name)
        if name not in ("put_object", "upload_part"):
            return request

        async def with_other_body(*, Body: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401, N803
            answer: dict[str, Any] = await request(Body=await self.replace(Body), **options)
            return answer

        return with_other_body


async def past_the_body(body: Any) -> bytes:  # noqa: ANN401
    """The right bytes, read without `read` of the body."""
    return Path(body.name).read_bytes() if hasattr(body, "name") else bytes(body.getvalue())


async def other_bytes(body: Any) -> bytes:  # noqa: ANN401
    """Other bytes, after the body was read to its end as a client should."""

    def read_all() -> bytes:
        return b"".join(iter(lambda: body.read(1 << 20), b""))

    return b"x" * len(await asyncio.to_thread(read_all))


Install = Callable[[Callable[[Any], Awaitable[bytes]]], None]


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes the transport use a faulty client from now on."""
    real = client.open_client

    def install(replace: Callable[[Any], Awaitable[bytes]]) -> None:
        async def open_client(files: Any) -> Any:  # noqa: ANN401
            return FaultyClient(await real(files), replace)

        monkeypatch.setattr(transport, "open_client", open_client)

    return install


def test_a_client_that_sends_without_the_fence_is_not_believed(line: Line, tmp_path: Path, faulty: Install) -> None:
    """The object is there, whole and announced, but the job did not check its lock: nothing counts as published."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 3 * MIB)
    places = Places(wire=line.wire(resends=5))
    fences: list[int] = []
    with prepare_upload(places, spot, made, content_of(made), lambda: False) as sent:
        faulty(past_the_body)
        with pytest.raises(ToolchainMissing, match="without reading its body to the end") as caught:
            sent.publish(lambda: fences.append(1))
    assert f"s3fs {version('s3fs')}" in str(caught.value.detail)
    assert fences == []
    assert line.bucket.get(spot.key) == made.read_bytes()


def test_a_lost_answer_does_not_hide_that_the_fence_was_not_called(
    line: Line, tmp_path: Path, faulty: Install
) -> None:
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 100)
    places = Places(wire=line.wire(resends=0))
    line.way.on(LoseAnswer(), method="PUT")
    with prepare_upload(places, spot, made, content_of(made), lambda: False) as sent:
        faulty(past_the_body)
        with pytest.raises(ToolchainMissing, match="without reading its body to the end"):
            sent.publish(lambda: None)


@pytest.mark.parametrize("single", [100 * MIB, MIB])
def test_a_client_that_sends_other_bytes_publishes_nothing(
    line: Line, tmp_path: Path, faulty: Install, single: int
) -> None:
    """In one request and in parts: the request is not sent, because its signature covers the other bytes."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 3 * MIB)
    places = Places(wire=line.wire(resends=5), single=single, part=5 * MIB)
    with prepare_upload(places, spot, made, content_of(made), lambda: False) as sent:
        faulty(other_bytes)
        with pytest.raises(ToolchainMissing, match="a request is signed for sha256:") as caught:
            sent.publish(lambda: None)
    assert f"s3fs {version('s3fs')}" in str(caught.value.detail)
    assert (line.bucket.head(spot.key), line.bucket.uploads(spot.key)) == (None, [])
    assert line.way.requests("PUT") == []


def test_a_client_that_reads_the_body_twice_is_not_believed(line: Line, tmp_path: Path, faulty: Install) -> None:
    """As one that resends by itself would do."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 100)
    places = Places(wire=line.wire())

    async def read_twice(body: Any) -> bytes:  # noqa: ANN401
        for _ in range(2):
            body.seek(0)
            await asyncio.to_thread(body.read, 1 << 20)
        return made.read_bytes()

    fences: list[int] = []
    with prepare_upload(places, spot, made, content_of(made), lambda: False) as sent:
        faulty(read_twice)
        with pytest.raises((ToolchainMissing, WorkUnusable)):
            sent.publish(lambda: fences.append(1))
    assert len(fences) == 1
