"""Object storage for the protocol's model: a server in memory, and the wire of one actor to it.

Resending, settling, conditions, parts and fences are the engine's own: `Transport`, `Bucket`, `multipart`,
`PreparedUpload`. Only
what the server does with a request is a stand-in; `test_shelf.py` holds it to what real servers do. A request has
the same two stops as one to the store: before it takes effect, which for an object is after its last byte was read
and the fence has held, and after it, while the answer is on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError

from proxx.s3.bucket import NONCE
from proxx.s3.faults import StorageFault, cause_of_error
from proxx.s3.transport import Action, ActivityClock, Stop, Transport, TransportTiming
from tests.property.actors import Actor
from tests.property.actors import Stop as Stand

T = TypeVar("T")
AT_ONCE: Final = TransportTiming(pauses=(0.0,))
STATUS: Final = {"PreconditionFailed": 412, "NoSuchKey": 404, "NoSuchUpload": 404, "404": 404, "InternalError": 500}


@dataclass(frozen=True)
class Kept:
    """An object. number: no other object, also of its key, has had it."""

    number: int
    data: bytes
    nonce: str


@dataclass
class Begun:
    """An upload in parts."""

    key: str
    nonce: str
    by: Actor
    parts: dict[int, bytes] = field(default_factory=dict)


class Shelf:
    """A bucket on a server. heeds: whether it minds If-None-Match where an upload is completed.

    Ceph 16 does not, and says yes to an upload that was aborted where any object has the key.
    """

    def __init__(self, *, heeds: bool = True) -> None:
        self.heeds = heeds
        self.objects: dict[str, Kept] = {}
        self.uploads: dict[str, Begun] = {}
        self.completed: set[str] = set()
        self._numbers = count(1)

    def put(self, key: str, data: bytes, nonce: str = "", *, anew: bool = True) -> None:
        if anew and key in self.objects:
            raise said("PreconditionFailed")
        self.objects[key] = Kept(next(self._numbers), data, nonce)

    def begin(self, key: str, nonce: str, by: Actor) -> str:
        upload = f"upload-{next(self._numbers)}"
        self.uploads[upload] = Begun(key, nonce, by)
        return upload

    def begun(self, key: str, upload: str) -> Begun:
        found = self.uploads.get(upload)
        if found is None or found.key != key:
            raise said("NoSuchUpload")
        return found

    def complete(self, key: str, upload: str, tags: dict[int, str]) -> None:
        if key in self.objects and upload not in self.uploads and (upload in self.completed or not self.heeds):
            return  # it is done, says the server
        if key in self.objects and self.heeds:
            raise said("PreconditionFailed")
        if upload not in self.uploads:
            raise said("InternalError")
        begun = self.begun(key, upload)
        assert {number: tag(data) for number, data in begun.parts.items()} == tags
        self.put(key, b"".join(begun.parts[number] for number in sorted(tags)), begun.nonce, anew=self.heeds)
        del self.uploads[upload]
        self.completed.add(upload)

    def abort(self, key: str, upload: str) -> None:
        self.begun(key, upload)
        del self.uploads[upload]


def tag(data: bytes) -> str:
    return f'"{hash(data):x}"'


def said(code: str) -> ClientError:
    """A refusal as the client's library raises it."""
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": STATUS[code]}}
    return ClientError(answer, "Request")


class Reading:
    """The body of an answer."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aenter__(self) -> Reading:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read(self, _: int) -> bytes:
        data, self._data = self._data, b""
        return data


class Client:
    """What the engine asks of aiobotocore's client, by the same names. Of the actor it has the stops."""

    def __init__(self, shelf: Shelf, actor: Actor) -> None:
        self._shelf, self._actor = shelf, actor

    def _do(self, request: str, key: str, act: Callable[[], T]) -> T:
        before = self._actor.stop_at(Stand("asks", request, key))
        if before == "refuse":
            raise said("InternalError")
        try:
            done, why = act(), None
        except ClientError as refusal:
            done, why = None, refusal
        after = self._actor.stop_at(Stand("told", request, key))
        if "lose" in (before, after) or after == "refuse":
            raise ConnectionResetError
        if why is not None:
            raise why
        return done  # type: ignore[return-value]  # it is None only where T is

    async def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        there = self._do("head", Key, lambda: self._shelf.objects.get(Key))
        if there is None:
            raise said("404")
        return {"ContentLength": len(there.data), "Metadata": {NONCE: there.nonce}}

    async def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        there = self._do("get", Key, lambda: self._shelf.objects.get(Key))
        if there is None:
            raise said("NoSuchKey")
        return {"ContentLength": len(there.data), "Metadata": {NONCE: there.nonce}, "Body": Reading(there.data)}

    async def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: Any,  # noqa: ANN401
        IfNoneMatch: str,
        Metadata: dict[str, str],
    ) -> None:
        assert IfNoneMatch == "*"
        data = read_all(Body)  # the fence is in there
        self._do("put", Key, lambda: self._shelf.put(Key, data, Metadata[NONCE]))

    async def delete_object(self, *, Bucket: str, Key: str) -> None:
        self._do("delete", Key, lambda: self._shelf.objects.pop(Key, None))

    async def create_multipart_upload(
        self,
        *,
        Bucket: str,
        Key: str,
        Metadata: dict[str, str],
    ) -> dict[str, str]:
        return {"UploadId": self._do("begin", Key, lambda: self._shelf.begin(Key, Metadata[NONCE], self._actor))}

    async def upload_part(
        self,
        *,
        Bucket: str,
        Key: str,
        UploadId: str,
        PartNumber: int,
        Body: Any,  # noqa: ANN401
    ) -> dict[str, str]:
        data = read_all(Body)
        self._do("part", Key, lambda: self._shelf.begun(Key, UploadId).parts.update({PartNumber: data}))
        return {"ETag": tag(data)}

    async def complete_multipart_upload(
        self,
        *,
        Bucket: str,
        Key: str,
        UploadId: str,
        MultipartUpload: dict[str, list[dict[str, Any]]],
        IfNoneMatch: str,
    ) -> None:
        assert IfNoneMatch == "*"
        tags = {int(part["PartNumber"]): str(part["ETag"]) for part in MultipartUpload["Parts"]}
        self._do("complete", Key, lambda: self._shelf.complete(Key, UploadId, tags))

    async def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> None:
        self._do("abort", Key, lambda: self._shelf.abort(Key, UploadId))


def read_all(body: Any) -> bytes:  # noqa: ANN401
    if isinstance(body, bytes):
        return body
    pieces = []
    while piece := body.read(1 << 20):
        pieces.append(bytes(piece))
    return b"".join(pieces)


class ActorWire(Transport):
    """The engine's wire, whose requests an actor makes in its own thread."""

    def __init__(self, shelf: Shelf, actor: Actor) -> None:
        super().__init__(pace=AT_ONCE)
        self._client = Client(shelf, actor)

    def _once(self, action: str, place: str, do: Action[T], should_stop: Stop, patience: float) -> T:
        try:
            return _driven(do(self._client, ActivityClock()))  # type: ignore[arg-type]  # all of them are coroutines
        except Exception as why:
            known = cause_of_error(why)
            if known is None:
                raise
            raise StorageFault(known[0], action, place, known[1], known[2]) from None


def _driven(request: Coroutine[Any, Any, T]) -> T:
    """What it returns. It awaits nothing but this module's own answers, so it never pauses."""
    try:
        request.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise AssertionError("it waits for something that is not here")
