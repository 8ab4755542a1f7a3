"""One bucket: the requests Proxx makes of object storage, each a single one or a page of a listing.

Everything that is written is written on the condition that nothing has the key, and carries a nonce of its own in
its metadata: where an answer is lost, the nonce tells whether the object is ours.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import ActivityClock, Stop, Transport, never

PAGE: Final = 1000  # keys a listing request, which is S3's most
CHUNK: Final = 1 << 20
NONCE: Final = "proxx-nonce"
T = TypeVar("T")
_ABSENT: Final = frozenset({Cause.NO_KEY})


@dataclass(frozen=True)
class ObjectInfo:
    """What the server says of an object. size: bytes."""

    size: int
    nonce: str


@dataclass(frozen=True)
class ListedObject:
    """One object of a listing. size: bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class UnfinishedUpload:
    """A multipart upload that was begun and neither completed nor aborted. begun: the server's time."""

    key: str
    upload_id: str
    begun: str


class Bucket:
    """The bucket `name`. All raise WireFault."""

    def __init__(self, wire: Transport, name: str) -> None:
        self.wire, self.name = wire, name

    def place(self, key: str = "") -> str:
        return f"s3://{self.name}/{key}"

    # --- looking -----------------------------------------------------------------------------------------

    def head(self, key: str) -> ObjectInfo | None:
        """None where there is no such object. A missing bucket looks the same."""

        async def do(client: Any, _: ActivityClock) -> ObjectInfo:  # noqa: ANN401
            answer = await client.head_object(Bucket=self.name, Key=key)
            return ObjectInfo(int(answer["ContentLength"]), str(answer.get("Metadata", {}).get(NONCE, "")))

        return self._or_none(lambda: self.wire.call("HeadObject", self.place(key), do))

    def get(self, key: str) -> tuple[bytes, str] | None:
        """The whole of a small object and its nonce; None where there is none."""

        async def do(client: Any, pulse: ActivityClock) -> tuple[bytes, str]:  # noqa: ANN401
            answer = await client.get_object(Bucket=self.name, Key=key)
            data = b"".join([chunk async for chunk in _chunks(answer, pulse)])
            return data, str(answer.get("Metadata", {}).get(NONCE, ""))

        return self._or_none(lambda: self.wire.call("GetObject", self.place(key), do))

    def read(self, key: str, sink: Callable[[], Callable[[bytes], None]], should_stop: Stop = never) -> bool:
        """Give a large object to a sink, which is made anew where it has to be read again. False: there is none."""

        async def do(client: Any, pulse: ActivityClock) -> bool:  # noqa: ANN401
            answer = await client.get_object(Bucket=self.name, Key=key)
            take = sink()
            async for chunk in _chunks(answer, pulse):
                take(chunk)
            return True

        found = self._or_none(
            lambda: self.wire.call("GetObject", self.place(key), do, should_stop=should_stop, large=True)
        )
        return found is not None

    def touch(self, key: str) -> bool:
        """Whether the object is there and may be read, and nothing more. A missing bucket is a fault."""

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
            if fault.status == 416:  # an object without a byte
                return True
            raise

    def pages(
        self, prefix: str, *, folders: bool = False, after: str = ""
    ) -> Iterator[tuple[tuple[ListedObject, ...], tuple[str, ...]]]:
        """Objects below `prefix` in the order of their keys, a thousand a request; with folders, only those directly
        below it, and the folders there. after: a key to begin behind.
        """
        token = ""
        while True:
            more: dict[str, str] = {"Delimiter": "/"} if folders else {}
            if token:
                more["ContinuationToken"] = token
            elif after:
                more["StartAfter"] = after
            answer = self._page(prefix, more)
            objects = tuple(ListedObject(one["Key"], int(one["Size"])) for one in answer.get("Contents", ()))
            yield objects, tuple(one["Prefix"] for one in answer.get("CommonPrefixes", ()))
            token = answer.get("NextContinuationToken", "")
            if not answer.get("IsTruncated") or not token:
                return

    def _page(self, prefix: str, more: dict[str, str]) -> dict[str, Any]:
        async def do(client: Any, _: ActivityClock) -> dict[str, Any]:  # noqa: ANN401
            found: dict[str, Any] = await client.list_objects_v2(
                Bucket=self.name, Prefix=prefix, MaxKeys=PAGE, **more
            )
            return found

        return self.wire.call("ListObjectsV2", self.place(prefix), do)

    # --- creating ----------------------------------------------------------------------------------------

    def create(self, key: str, data: bytes, nonce: str) -> None:
        """A small object, unless something has the key: then the cause is EXISTS."""

        async def do(client: Any, _: ActivityClock) -> None:  # noqa: ANN401
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
    ) -> None:
        """The file `made` as one object, streamed in one request. before_end: called before the last piece is sent,
        so that what it raises leaves nothing behind. sink: made anew for each time that it is sent, given all of it.
        """

        async def do(client: Any, pulse: ActivityClock) -> None:  # noqa: ANN401
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
            before_end()  # there will be no last piece
        self.wire.call("PutObject", self.place(key), do, should_stop=should_stop, large=True)

    def remove_own(self, key: str) -> None:
        """Take back what this process created just now, for a trial."""

        async def do(client: Any, _: ActivityClock) -> None:  # noqa: ANN401
            await client.delete_object(Bucket=self.name, Key=key)

        self.wire.call("DeleteObject", self.place(key), do)

    def _or_none(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except StorageFault as fault:
            if fault.cause in _ABSENT:
                return None
            raise


async def _chunks(answer: dict[str, Any], pulse: ActivityClock) -> Any:  # noqa: ANN401
    """The body as it comes. Raises ConnectionError where it is shorter than was said."""
    said, got = int(answer["ContentLength"]), 0
    async with answer["Body"] as body:
        while chunk := await body.read(CHUNK):
            got += len(chunk)
            pulse.beat()
            yield chunk
    if got != said:
        raise ConnectionError("the answer ended early")


class UploadBody(io.FileIO):
    """A file on its way out. refused: what `before_end` raised, which ended the request."""

    def __init__(
        self, path: Path, pulse: ActivityClock, before_end: Callable[[], None], sink: Callable[[bytes], object]
    ) -> None:
        super().__init__(path, "rb")
        self.refused: BaseException | None = None
        self._pulse, self._before_end, self._sink = pulse, before_end, sink
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read once to be hashed for the signature, in the client's own thread, and once to be sent, in another."""
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
        except BaseException as why:
            self.refused = why
            raise


def _in_client() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
