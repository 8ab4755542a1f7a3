"""The model's stand-in for a server answers the engine's requests as real servers do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxx.s3 import multipart
from proxx.s3.bucket import Bucket
from proxx.s3.faults import StorageFault
from tests.objects.kinds import Kind
from tests.objects.line import fresh
from tests.property.actors import Actor, Order, Stop
from tests.property.shelf import ActorWire, Shelf


class Unhindered(Actor):
    """An actor whose requests happen without stops."""

    def stop_at(self, at: Stop) -> Order:
        return "go"


@pytest.mark.parametrize("kind", ["moto", "rgw"])
def test_the_stand_in_answers_as_a_real_server_does(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    real: Kind = request.getfixturevalue(f"{kind}_kind")
    assert real.bucket is not None and real.wire is not None
    shelf = Bucket(ActorWire(Shelf(conditional=kind == "moto"), Unhindered("nobody", "")), "shelf")
    assert answers(shelf, tmp_path) == answers(Bucket(real.wire, real.bucket.name), tmp_path)


def answers(bucket: Bucket, folder: Path) -> list[object]:
    """Returns the answer to each of a series of requests."""
    key, other, made = f"{fresh()}/a", f"{fresh()}/b", folder / "made"
    made.write_bytes(b"some bytes")
    received: list[object] = []

    def ask(request: Callable[[], object]) -> None:
        try:
            received.append(request())
        except StorageFault as fault:
            received.append((fault.cause, fault.status))

    def stop() -> None:
        raise KeyError("the fence")

    for look in (bucket.head, bucket.get):
        ask(lambda look=look: look(key))  # type: ignore[misc]
    with pytest.raises(KeyError):
        bucket.create_from(key, made, "one", stop)
    ask(lambda: bucket.head(key))
    ask(lambda: bucket.create_from(key, made, "one", lambda: None))
    ask(lambda: bucket.create_from(key, made, "two", lambda: None))
    ask(lambda: bucket.create(key, b"other", "three"))
    ask(lambda: bucket.get(key))
    ask(lambda: bucket.head(key))

    upload, taken = multipart.begin_upload(bucket, other, "four"), multipart.begin_upload(bucket, key, "five")
    tags = {id_: multipart.send(bucket, key_, id_, made, 5 << 20) for id_, key_ in ((upload, other), (taken, key))}
    ask(lambda: bucket.head(other))
    ask(lambda: multipart.complete(bucket, other, upload, tags[upload]))
    ask(lambda: bucket.get(other))
    ask(lambda: multipart.abort(bucket, other, upload))
    ask(lambda: bucket.get(other))
    ask(lambda: multipart.complete(bucket, key, taken, tags[taken]))
    received.append((bucket.head(key) or pytest.fail()).nonce)  # shows whether it was replaced
    gone = multipart.begin_upload(bucket, key, "six")
    ask(lambda: multipart.abort(bucket, key, gone))
    ask(lambda: multipart.abort(bucket, key, gone))
    ask(lambda: multipart.complete(bucket, key, gone, tags[taken]))  # its key is taken
    ask(lambda: multipart.complete(bucket, other, upload, tags[upload]))  # a second time
    bucket.remove_own(key)
    ask(lambda: bucket.head(key))
    ask(lambda: multipart.complete(bucket, key, gone, tags[taken]))  # its key is free
    return received
