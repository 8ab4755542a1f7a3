"""Object storage for the model of the protocol: a server in memory, and an actor's connection to it.

Resends, settling, conditions, parts and fences are the engine's own: `Transport`, `Bucket`, `multipart`,
`PreparedUpload`. Only the server is a stand-in; `test_shelf.py` compares it with real servers. A request has the same
two stops as one to the store: before it takes effect (for an object that is after its last byte was read and the
fence has held), and after it, while the answer is on its way.
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
    """An object. number: unique to it, also among objects of the same key."""

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
    """A bucket on a server. conditional: whether it applies If-None-Match when an upload is completed.

    Ceph 16 does not, and it reports success for an aborted upload if any object has the key.
    """

    def __init__(self, *, conditional: bool = True) -> None:
        self.conditional = conditional
        self.objects: dict[str, Kept] = {}
        self.uploads: dict[str, Begun] = {}
        self.completed: set[str] = set()
        self._numbers = count(1)

    def put(self, key: str, data: bytes, nonce: str = "", *, anew: bool = True) -> None:
        if anew and key in self.objects:
            raise refusal("PreconditionFailed")
        self.objects[key] = Kept(next(self._numbers), data, nonce)

    def begin(self, key: str, nonce: str, by: Actor) -> str:
        upload = f"upload-{next(self._numbers)}"
        self.uploads[upload] = Begun(key, nonce, by)
        return upload

    def begun(self, key: str, upload: str) -> Begun:
        begun = self.uploads.get(upload)
        if begun is None or begun.key != key:
            raise refusal("NoSuchUpload")
        return begun

    def complete(self, key: str, upload: str, tags: dict[int, str]) -> None:
        if key in self.objects and upload not in self.uploads and (upload in self.completed or not self.conditional):
            return  # the server reports success
        if key in self.objects and self.conditional:
            raise refusal("PreconditionFailed")
        if upload not in self.uploads:
            raise refusal("InternalError")
        begun = self.begun(key, upload)
        assert {number: tag(data) for number, data in begun.parts.items()} == tags
        self.put(key, b"".join(begun.parts[number] for number in sorted(tags)), begun.nonce, anew=self.conditional)
        del self.uploads[upload]
        self.completed.add(upload)

    def abort(self, key: str, upload: str) -> None:
        self.begun(key, upload)
        del self.uploads[upload]


def tag(data: bytes) -> str:
    return f'"{hash(data):x}"'


def refusal(code: str) -> ClientError:
    """Returns a refusal as the client's library raises it."""
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
    """The methods of aiobotocore's client that the engine uses. Each request stops the actor twice."""

    def __init__(self, shelf: Shelf, actor: Actor) -> None:
        self._shelf, self._actor = shelf, actor

    def _do(self, request: str, key: str, act: Callable[[], T]) -> T:
        before = self._actor.stop_at(Stand("asks", request, key))
        if before == "refuse":
            raise refusal("InternalError")
        try:
            answer, error = act(), None
        except ClientError as refused:
            answer, error = None, refused
        after = self._actor.stop_at(Stand("answered", request, key))
        if "lose" in (before, after) or after == "refuse":
            raise ConnectionResetError
        if error is not None:
            raise error
        return answer  # type: ignore[return-value]  # None only if T is None

    async def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        kept = self._do("head", Key, lambda: self._shelf.objects.get(Key))
        if kept is None:
            raise refusal("404")
        return {"ContentLength": len(kept.data), "Metadata": {NONCE: kept.nonce}}

    async def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        kept = self._do("get", Key, lambda: self._shelf.objects.get(Key))
        if kept is None:
            raise refusal("NoSuchKey")
        return {"ContentLength": len(kept.data), "Metadata": {NONCE: kept.nonce}, "Body": Reading(kept.data)}

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
        data = read_all(Body)  # runs the fence
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
    """The engine's transport, whose requests an actor makes in its own thread."""

    def __init__(self, shelf: Shelf, actor: Actor) -> None:
        super().__init__(pace=AT_ONCE)
        self._client = Client(shelf, actor)

    def _once(self, action: str, place: str, do: Action[T], should_stop: Stop, patience: float) -> T:
        try:
            return _driven(do(self._client, ActivityClock()))  # type: ignore[arg-type]  # all of them are coroutines
        except Exception as error:
            known = cause_of_error(error)
            if known is None:
                raise
            raise StorageFault(known[0], action, place, known[1], known[2]) from None


def _driven(request: Coroutine[Any, Any, T]) -> T:
    """Returns what the request returns. It awaits only this module's own answers, so it never pauses."""
    try:
        request.send(None)
    except StopIteration as stopped:
        answer: T = stopped.value
        return answer
    raise AssertionError("the request waits for something outside the model")
