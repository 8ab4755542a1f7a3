"""A file's way to its key: what is sent is what was verified, and what was told to stop at the end is settled."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from proxx.contracts.errors import WorkUnusable
from proxx.contracts.fingerprint import digest_bytes
from proxx.files.places import Places
from proxx.files.publish import Present, Published, content_of
from proxx.files.roots import InBucket
from proxx.files.upload import prepare_upload
from proxx.s3 import multipart
from proxx.s3.transport import TransportTiming
from tests.objects.line import Line, noted
from tests.objects.rules import StallAnswer
from tests.s3.test_bucket import a_file

MIB: Final = 1 << 20


@pytest.mark.parametrize("single", [100 * MIB, MIB])
@pytest.mark.parametrize("size", [3 * MIB, 3 * MIB - 1])
def test_what_changed_since_it_was_verified_is_not_published(
    line: Line, tmp_path: Path, single: int, size: int
) -> None:
    """In one request, and in parts; with as many bytes as before, and with fewer."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 3 * MIB)
    content = content_of(made)
    made.write_bytes(b"x" * size)
    places = Places(wire=line.wire(resends=5), single=single, part=5 * MIB)
    fences: list[int] = []
    with (
        pytest.raises(WorkUnusable, match="gave back other bytes than were verified"),
        prepare_upload(places, spot, made, content, lambda: False) as sent,
    ):
        sent.publish(lambda: fences.append(1))
    assert (line.bucket.head(spot.key), line.bucket.uploads(spot.key), fences) == (None, [], [])


def test_a_stop_after_the_last_byte_is_settled_by_looking(line: Line, tmp_path: Path) -> None:
    """The server has the whole object, and only its answer is missing: the clip is made."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 100)
    places = Places(wire=line.wire(TransportTiming(patience=600.0)))
    rule = line.way.on(StallAnswer(), method="PUT")
    with prepare_upload(places, spot, made, content_of(made), lambda: rule.acted) as sent:
        assert sent.publish(lambda: None) == Published()
    assert [one[0] for one in noted(places.wire)] == ["settled"]
    assert line.bucket.get(spot.key) == made.read_bytes()


def test_an_upload_that_was_thrown_away_at_the_last_moment_is_not_believed(line: Line, tmp_path: Path) -> None:
    """By a lifecycle rule or a person; and a stranger has the key. Ceph says that completing it went well."""
    spot = InBucket(line.bucket.name, f"{line.prefix()}/a")
    made = a_file(tmp_path, 6 * MIB)
    places = Places(wire=line.wire(resends=5), single=MIB, part=5 * MIB)
    with prepare_upload(places, spot, made, content_of(made), lambda: False) as sent:

        def meanwhile() -> None:
            assert multipart.abort(places.bucket(spot), spot.key, sent.notes["upload"])
            line.bucket.put(spot.key, b"somebody's")

        assert sent.publish(meanwhile) == Present(digest_bytes(b"somebody's"))
    assert line.bucket.get(spot.key) == b"somebody's"
