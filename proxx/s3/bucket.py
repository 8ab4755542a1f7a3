"""The requests Proxx makes to one bucket. Each method sends one request, a listing one for each page.

Every write has the condition that the key is free, and carries a nonce in its metadata. If the answer is lost, the
nonce of the object at the key tells whether the write was this one.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from proxx.contracts.fingerprint import digest_bytes
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import ActivityClock, Stop, Transport, never

PAGE: Final = 1000  # keys in one listing request, S3's maximum
CHUNK: Final = 1 << 20  # bytes
NONCE: Final = "proxx-nonce"
T = TypeVar("T")
_ABSENT: Final = frozenset({Cause.NO_KEY})


@dataclass(frozen=True)
class ObjectInfo:
    """An object's size in bytes and the nonce in its metadata."""

    size: int
    nonce: str


@dataclass(frozen=True)
class ListedObject:
    """One object of a listing. size: in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class UnfinishedUpload:
    """A multipart upload that is neither completed nor aborted. begun: when, by the server's clock."""

    key: str
    upload_id: str
    begun: str


class Bucket:
    """The bucket `name`. Every request raises StorageFault if it fails."""

    def __init__(self, wire: Transport, name: str) -> None:
        self.wire, self.name = wire, name

    def place(self, key: str = "") -> str:
        """Returns the URL of a key, or of the bucket."""
        return f"s3://{self.name}/{key}"

    # --- reading -----------------------------------------------------------------------------------------

    def head(self, key: str) -> ObjectInfo | None:
        """Returns an object's size and nonce, None if absent. A missing bucket also gives None: HEAD has no body."""

        async def do(client: Any, _: ActivityClock) -> ObjectInfo:  # noqa: ANN401
            answer = await client.head_object(Bucket=self.name, Key=key)
            return ObjectInfo(int(answer["ContentLength"]), str(answer.get("Metadata", {}).get(NONCE, "")))

        return self._or_none(lambda: self.wire.call("HeadObject", self.place(key), do))

    def get(self, key: str) -> tuple[bytes, str] | None:
        """Returns the bytes and the nonce of a small object, None if absent."""

        async def do(client: Any, pulse: ActivityClock) -> tuple[bytes, str]:  # noqa: ANN401
            answer = await client.get_object(Bucket=self.name, Key=key)
            data = b"".join([chunk async for chunk in _chunks(answer, pulse)])
            return data, str(answer.get("Metadata", {}).get(NONCE, ""))

        return self._or_none(lambda: self.wire.call("GetObject", self.place(key), do))

    def read(self, key: str, sink: Callable[[], Callable[[bytes], None]], should_stop: Stop = never) -> bool:
        """Reads a large object into a sink. Returns False if there is no such object.

        sink: called at the start of each attempt; the function it returns is given the bytes from the beginning.
        """

        async def do(client: Any, pulse: ActivityClock) -> bool:  # noqa: ANN401
            answer = await client.get_object(Bucket=self.name, Key=key)
            take = sink()
            async for chunk in _chunks(answer, pulse):
                take(chunk)
            return True

        completed = self._or_none(
            lambda: self.wire.call("GetObject", self.place(key), do, should_stop=should_stop, large=True)
        )
        return completed is not None

    def touch(self, key: str) -> bool:
        """Returns whether the object exists, by reading its first byte. A missing bucket or permission is a fault."""

        async def do(client: Any, pulse: ActivityClock) -> bool:  # noqa: ANN401
            answer = await client.get_object(Bucket=self.name, Key=key, Range="bytes=0-0")
            async for _ in _chunks(answer, pulse):
                pass
            return True

        try:
            return self.wire.call("GetObject", self.place(key), do)
        except StorageFault as fault:
            if fault.cause in _ABSENT:
                return False
            if fault.status == 416:  # range not satisfiable: the object is empty
                return True
            raise

    def pages(
        self, prefix: str, *, folders: bool = False, after: str = ""
    ) -> Iterator[tuple[tuple[ListedObject, ...], tuple[str, ...]]]:
        """Yields one page at a time: objects whose keys begin with `prefix`, in key order, and folders.

        folders: list only what is directly below the prefix, with its folders. after: the key to start behind.
        """
        token = ""
        while True:
            more: dict[str, str] = {"Delimiter": "/"} if folders else {}
            if token:
                more["ContinuationToken"] = token
            elif after:
                more["StartAfter"] = after
            answer = self._page(prefix, more)
            objects = tuple(ListedObject(entry["Key"], int(entry["Size"])) for entry in answer.get("Contents", ()))
            yield objects, tuple(entry["Prefix"] for entry in answer.get("CommonPrefixes", ()))
            token = answer.get("NextContinuationToken", "")
            if not answer.get("IsTruncated") or not token:
                return

    def _page(self, prefix: str, more: dict[str, str]) -> dict[str, Any]:
        async def do(client: Any, _: ActivityClock) -> dict[str, Any]:  # noqa: ANN401
            answer: dict[str, Any] = await client.list_objects_v2(
                Bucket=self.name, Prefix=prefix, MaxKeys=PAGE, **more
            )
            return answer

        return self.wire.call("ListObjectsV2", self.place(prefix), do)

    # --- writing -----------------------------------------------------------------------------------------

    def create(self, key: str, data: bytes, nonce: str) -> None:
        """Creates a small object. Raises StorageFault with cause EXISTS if the key is taken."""
        digest = digest_bytes(data)

        async def do(client: Any, pulse: ActivityClock) -> None:  # noqa: ANN401
            pulse.trace.payload = digest
            await client.put_object(Bucket=self.name, Key=key, Body=data, IfNoneMatch="*", Metadata={NONCE: nonce})

        self.wire.call("PutObject", self.place(key), do)

    def create_from(
        self,
        key: str,
        made: Path,
        nonce: str,
        before_end: Callable[[], None],
        should_stop: Stop = never,
        sink: Callable[[], Callable[[bytes], object]] = lambda: len,
        digest: str = "",
    ) -> None:
        """Creates an object from the file `made`, streamed in one request.

        before_end: called before the last bytes are sent; if it raises, nothing is created. It relies on how the
        client reads the body: the caller checks afterwards that it was called. sink: called at the start of each
        attempt; the function it returns is given all bytes sent. digest: the file's `sha256:<hex>`, if known; a
        request that is signed for other bytes raises PayloadMismatch before it is sent.
        """

        async def do(client: Any, pulse: ActivityClock) -> None:  # noqa: ANN401
            pulse.trace.payload = digest
            with UploadBody(made, pulse, before_end, sink()) as body:
                try:
                    await client.put_object(
                        Bucket=self.name, Key=key, Body=body, IfNoneMatch="*", Metadata={NONCE: nonce}
                    )
                except Exception:
                    if body.refused is not None:
                        raise body.refused from None
                    raise

        if not made.stat().st_size:
            before_end()  # nothing will be read
        self.wire.call("PutObject", self.place(key), do, should_stop=should_stop, large=True)

    def remove_own(self, key: str) -> None:
        """Deletes an object that this process has just created as a trial."""

        async def do(client: Any, _: ActivityClock) -> None:  # noqa: ANN401
            await client.delete_object(Bucket=self.name, Key=key)

        self.wire.call("DeleteObject", self.place(key), do)

    def _or_none(self, request: Callable[[], T]) -> T | None:
        try:
            return request()
        except StorageFault as fault:
            if fault.cause in _ABSENT:
                return None
            raise


async def _chunks(answer: dict[str, Any], pulse: ActivityClock) -> Any:  # noqa: ANN401
    """Yields the body as it arrives. Raises ConnectionError if it is shorter than announced."""
    announced, received = int(answer["ContentLength"]), 0
    async with answer["Body"] as body:
        while chunk := await body.read(CHUNK):
            received += len(chunk)
            pulse.beat()
            yield chunk
    if received != announced:
        raise ConnectionError("the answer ended early")


class UploadBody(io.FileIO):
    """The body of an upload. refused: what `before_end` raised, which ended the request."""

    def __init__(
        self, path: Path, pulse: ActivityClock, before_end: Callable[[], None], sink: Callable[[bytes], object]
    ) -> None:
        super().__init__(path, "rb")
        self.refused: BaseException | None = None
        self._pulse, self._before_end, self._sink = pulse, before_end, sink
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Returns the next bytes of the body.

        The client reads the body twice: in its event loop to hash it for the signature, in a thread to send it.

        Only the second reading counts.
        """
        wanted = self._size if size is None or size < 0 else size
        start, data = self.tell(), super().read(wanted) or b""
        if self.refused is None and not _in_client():
            self._sink(data)
            if start < self._size <= start + wanted:
                self._end()
        self._pulse.beat()
        return data

    def _end(self) -> None:
        try:
            with self._pulse.held():
                self._before_end()
        except BaseException as error:
            self.refused = error
            raise


def _in_client() -> bool:
    """Returns whether the caller runs in an event loop."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
