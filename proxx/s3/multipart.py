"""Uploads in parts, for objects larger than one request can carry (5 GiB, Amazon S3 "Multipart upload limits").

Nothing is visible before an upload is completed. An interrupted upload keeps its parts on the server until it is
aborted, so its id is logged before the first part is sent.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import Any, Final, TypeAlias

from proxx.contracts.fingerprint import digest_bytes
from proxx.s3.bucket import NONCE, Bucket, UnfinishedUpload
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import ActivityClock, Stop, never

PARTS: Final = 10_000  # the maximum of one upload
PART: Final = 64 << 20  # bytes; parts are larger if 10,000 of them would not hold the file
COMPLETING: Final = 900  # seconds; Amazon takes minutes to complete, and sends blanks meanwhile (S3 API Reference)
Sink: TypeAlias = Callable[[bytes], object]


def begin_upload(bucket: Bucket, key: str, nonce: str) -> str:
    """Begins an upload and returns its id."""

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
    """Sends all of `made` in parts of at least `part` bytes and returns the parts' tags in order.

    seen: is given all bytes, once and in order. Raises StorageFault; ToolchainMissing if the client would send
    other bytes.
    """
    size = made.stat().st_size
    step = max(part, ceil(size / PARTS))
    tags = []
    with made.open("rb") as file:
        for number in range(1, ceil(size / step) + 1):
            if should_stop():  # a small part can be sent before the transport checks
                raise StorageFault(Cause.STOPPED, "UploadPart", bucket.place(key))
            piece = file.read(step)
            seen(piece)
            tags.append(_send_one(bucket, key, upload_id, number, piece, should_stop))
    return tuple(tags)


def _send_one(bucket: Bucket, key: str, upload_id: str, number: int, piece: bytes, should_stop: Stop) -> str:
    digest = digest_bytes(piece)

    async def do(client: Any, pulse: ActivityClock) -> str:  # noqa: ANN401
        pulse.trace.payload = digest
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
    """The body of a part. Each read resets the activity clock."""

    def __init__(self, data: bytes, pulse: ActivityClock) -> None:
        super().__init__(data)
        self._pulse = pulse

    def read(self, size: int | None = -1, /) -> bytes:
        self._pulse.beat()
        return super().read(1 << 20 if size is None or size < 0 else size)


def complete(bucket: Bucket, key: str, upload_id: str, tags: tuple[str, ...]) -> None:
    """Completes the upload: its parts become the object, if the key is free.

    Ceph 16 ignores that condition here, and reports success for an aborted upload if any object has the key
    (measured), so the caller checks the key before and after. Unfinished uploads of earlier jobs for this output are
    aborted beforehand; the remaining gap is a writer other than Proxx between the check and this request.
    """
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]

    async def do(client: Any, _: ActivityClock) -> None:  # noqa: ANN401
        await client.complete_multipart_upload(
            Bucket=bucket.name, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )

    bucket.wire.call("CompleteMultipartUpload", bucket.place(key), do, large=True, patience=COMPLETING)


def abort(bucket: Bucket, key: str, upload_id: str) -> bool:
    """Aborts an upload and deletes its parts. Returns False if there is no such upload."""

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
    """Yields the uploads below `prefix` that are neither completed nor aborted, a thousand to a request."""
    more: dict[str, str] = {}
    while True:
        answer = _uploads(bucket, prefix, more)
        for entry in answer.get("Uploads", ()):
            begun = entry["Initiated"].strftime("%Y-%m-%d %H:%M:%SZ")
            yield UnfinishedUpload(entry["Key"], entry["UploadId"], begun)
        if not answer.get("IsTruncated"):
            return
        more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer.get("NextUploadIdMarker", "")}


def _uploads(bucket: Bucket, prefix: str, more: dict[str, str]) -> dict[str, Any]:
    async def do(client: Any, _: ActivityClock) -> dict[str, Any]:  # noqa: ANN401
        answer: dict[str, Any] = await client.list_multipart_uploads(Bucket=bucket.name, Prefix=prefix, **more)
        return answer

    return bucket.wire.call("ListMultipartUploads", bucket.place(prefix), do)
