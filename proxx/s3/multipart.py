"""Uploads in parts, for objects above what one request can carry (5 GiB, Amazon S3 "Multipart upload limits").

Nothing of an upload is visible before it is completed. One that is cut short keeps its parts until it is aborted:
therefore its id is logged before the first part is sent.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import Any, Final, TypeAlias

from proxx.s3.bucket import NONCE, Bucket, UnfinishedUpload
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import ActivityClock, Stop, never

PARTS: Final = 10_000  # of one upload, at most
PART: Final = 64 << 20  # bytes; larger where 10,000 of them would not do
COMPLETING: Final = 900  # seconds; Amazon's takes minutes, and sends blanks meanwhile (S3 API Reference)
Sink: TypeAlias = Callable[[bytes], object]


def begin_upload(bucket: Bucket, key: str, nonce: str) -> str:
    """The id of a new upload."""

    async def do(client: Any, _: ActivityClock) -> str:  # noqa: ANN401
        answer = await client.create_multipart_upload(Bucket=bucket.name, Key=key, Metadata={NONCE: nonce})
        return str(answer["UploadId"])

    return bucket.wire.call("CreateMultipartUpload", bucket.place(key), do)


def send(
    bucket: Bucket,
    key: str,
    upload_id: str,
    made: Path,
    part: int,
    should_stop: Stop = never,
    seen: Sink = bytes.__len__,
) -> tuple[str, ...]:
    """Send all of `made` in parts of at least `part` bytes; returns the parts' tags in order.

    seen: is given all that is sent, once and in order.
    """
    size = made.stat().st_size
    step = max(part, ceil(size / PARTS))
    tags = []
    with made.open("rb") as file:
        for number in range(1, ceil(size / step) + 1):
            if should_stop():  # a part may be gone before anybody looks
                raise StorageFault(Cause.STOPPED, "UploadPart", bucket.place(key))
            piece = file.read(step)
            seen(piece)
            tags.append(_send_one(bucket, key, upload_id, number, piece, should_stop))
    return tuple(tags)


def _send_one(bucket: Bucket, key: str, upload_id: str, number: int, piece: bytes, should_stop: Stop) -> str:
    async def do(client: Any, pulse: ActivityClock) -> str:  # noqa: ANN401
        answer = await client.upload_part(
            Bucket=bucket.name,
            Key=key,
            UploadId=upload_id,
            PartNumber=number,
            Body=_Piece(piece, pulse),
        )
        return str(answer["ETag"])

    return bucket.wire.call("UploadPart", bucket.place(key), do, should_stop=should_stop, large=True)


class _Piece(io.BytesIO):
    """A part on its way out: each read is a sign of life."""

    def __init__(self, data: bytes, pulse: ActivityClock) -> None:
        super().__init__(data)
        self._pulse = pulse

    def read(self, size: int | None = -1, /) -> bytes:
        self._pulse.beat()
        return super().read(1 << 20 if size is None or size < 0 else size)


def complete(bucket: Bucket, key: str, upload_id: str, tags: tuple[str, ...]) -> None:
    """Make it one object, unless something has the key.

    Ceph 16 ignores that condition here, and says yes to an upload that was aborted where any object has the key
    (measured): the caller looks before and after. Uploads of whoever had the output before are aborted; what remains
    is a writer that is not Proxx, in the moment between.
    """
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]

    async def do(client: Any, _: ActivityClock) -> None:  # noqa: ANN401
        await client.complete_multipart_upload(
            Bucket=bucket.name, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )

    bucket.wire.call("CompleteMultipartUpload", bucket.place(key), do, large=True, patience=COMPLETING)


def abort(bucket: Bucket, key: str, upload_id: str) -> bool:
    """Throw an upload away with its parts. False: there was none any more."""

    async def do(client: Any, _: ActivityClock) -> None:  # noqa: ANN401
        await client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id)

    try:
        bucket.wire.call("AbortMultipartUpload", bucket.place(key), do)
    except StorageFault as fault:
        if fault.cause in (Cause.NO_UPLOAD, Cause.NO_KEY):
            return False
        raise
    return True


def unfinished(bucket: Bucket, prefix: str) -> Iterator[UnfinishedUpload]:
    """Uploads below `prefix` that were begun and neither completed nor aborted, a thousand a request."""
    more: dict[str, str] = {}
    while True:
        answer = _uploads(bucket, prefix, more)
        for one in answer.get("Uploads", ()):
            yield UnfinishedUpload(one["Key"], one["UploadId"], one["Initiated"].strftime("%Y-%m-%d %H:%M:%SZ"))
        if not answer.get("IsTruncated"):
            return
        more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer.get("NextUploadIdMarker", "")}


def _uploads(bucket: Bucket, prefix: str, more: dict[str, str]) -> dict[str, Any]:
    async def do(client: Any, _: ActivityClock) -> dict[str, Any]:  # noqa: ANN401
        found: dict[str, Any] = await client.list_multipart_uploads(Bucket=bucket.name, Prefix=prefix, **more)
        return found

    return bucket.wire.call("ListMultipartUploads", bucket.place(prefix), do)
