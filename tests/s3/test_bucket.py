"""Requests to a bucket: objects are new and whole, an interrupted upload leaves nothing, every key survives."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxx.s3.bucket import Bucket, ListedObject, ObjectInfo
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import TransportTiming
from tests.objects.kinds import Kind
from tests.objects.line import HASTY, Line, fresh, noted
from tests.objects.rules import Answer, Cut, Garble, LoseAnswer, ResetMidway, StallMidway
from tests.s3.conftest import MIB, a_file

NAMES = (
    "plain.mov", "with space.mov", " leading and trailing ", "a[1]*?.mov", "ü-é-日本-😀.mov", "e\u0301.mov",
    "a%2Fb.mov", "a+b.mov", "a%20b&c=d;e.mov", "quote'\"<tag>.mov", "a\\b.mov", "#frag?query.mov",
    "~tilde!$(),:@.mov",
)  # fmt: skip


def nothing() -> None:
    """A fence that always holds."""


def test_reading(mine: Bucket) -> None:
    at = fresh()
    assert mine.head(f"{at}/a") is None
    assert mine.get(f"{at}/a") is None
    assert not mine.read(f"{at}/a", lambda: lambda _: None)
    assert not mine.touch(f"{at}/a")
    mine.create(f"{at}/a", b"12345", "own")
    mine.create(f"{at}/empty", b"", "own")
    assert mine.head(f"{at}/a") == ObjectInfo(5, "own")
    assert mine.get(f"{at}/a") == (b"12345", "own")
    assert mine.get(f"{at}/empty") == (b"", "own")
    assert mine.touch(f"{at}/a")
    assert mine.touch(f"{at}/empty")
    mine.remove_own(f"{at}/a")
    assert mine.get(f"{at}/a") is None


def test_an_object_is_never_replaced(mine: Bucket, tmp_path: Path) -> None:
    key = f"{fresh()}/a"
    mine.create(key, b"1", "own")
    creates: tuple[Callable[[], None], ...] = (
        lambda: mine.create(key, b"2", "other"),
        lambda: mine.create_from(key, a_file(tmp_path, 100), "other", nothing),
    )
    for create in creates:
        with pytest.raises(StorageFault) as caught:
            create()
        assert caught.value.cause is Cause.EXISTS
        assert not caught.value.uncertain
    assert mine.get(key) == (b"1", "own")


@pytest.mark.parametrize("name", NAMES)
def test_every_character_of_a_key_survives(mine: Bucket, kind: Kind, name: str, tmp_path: Path) -> None:
    """In every request, and as another client sees it."""
    at = fresh()
    key = f"{at}/{name}"
    made = a_file(tmp_path, 10)
    mine.create_from(key, made, "own", nothing)
    assert mine.head(key) == ObjectInfo(10, "own")
    assert mine.get(key) == (made.read_bytes(), "own")
    assert [listed for listed, _ in mine.pages(f"{at}/")] == [(ListedObject(key, 10),)]
    assert kind.bucket is not None
    assert kind.bucket.keys(f"{at}/") == [key]
    with pytest.raises(StorageFault) as caught:
        mine.create(key, b"", "other")
    assert caught.value.cause is Cause.EXISTS


def test_a_listing_has_several_pages(mine: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxx.s3.bucket.PAGE", 2)
    at = fresh()
    keys = [f"{at}/{name}" for name in ("a", "b/1", "b/2", "c", "d/1", "e")]
    for key in keys:
        mine.create(key, b"", "own")
    pages = list(mine.pages(f"{at}/"))
    assert [one.key for listed, _ in pages for one in listed] == keys
    assert len(pages) == 3
    behind = [one.key for listed, _ in mine.pages(f"{at}/", after=f"{at}/b/1") for one in listed]
    assert behind == keys[2:]
    within = list(mine.pages(f"{at}/", folders=True))
    assert [one.key for listed, _ in within for one in listed] == [f"{at}/a", f"{at}/c", f"{at}/e"]
    assert [folder for _, folders in within for folder in folders] == [f"{at}/b/", f"{at}/d/"]


@pytest.mark.parametrize("size", [0, 1, 100, MIB, 5 * MIB + 3])
def test_the_fence_is_called_before_the_object_is_visible(mine: Bucket, tmp_path: Path, size: int) -> None:
    key = f"{fresh()}/a"
    made = a_file(tmp_path, size)
    seen: list[ObjectInfo | None] = []
    mine.create_from(key, made, "own", lambda: seen.append(mine.head(key)))
    assert seen == [None]
    assert mine.get(key) == (made.read_bytes(), "own")


class FenceClosed(Exception):
    """The fence does not hold."""


@pytest.mark.parametrize("size", [0, 100, 3 * MIB])
def test_a_closed_fence_leaves_no_object(line: Line, tmp_path: Path, size: int) -> None:
    key = f"{line.prefix()}/a"
    wire = line.wire(resends=5)

    def closed() -> None:
        raise FenceClosed

    with pytest.raises(FenceClosed):
        Bucket(wire, line.bucket.name).create_from(key, a_file(tmp_path, size), "own", closed)
    assert wire.sent == (1 if size else 0)
    assert line.bucket.head(key) is None
    assert noted(wire) == []


def test_a_slow_fence_does_not_count_as_silence_of_the_server(line: Line, tmp_path: Path) -> None:
    key, made = f"{line.prefix()}/a", a_file(tmp_path, 100)
    line.objects(HASTY).head(key)  # creates the client
    line.objects(HASTY).create_from(key, made, "own", lambda: time.sleep(3 * HASTY.patience))
    assert line.bucket.get(key) == made.read_bytes()
    assert len(line.way.requests("PUT")) == 1


def test_the_sink_starts_again_with_each_attempt(line: Line, tmp_path: Path) -> None:
    key, made = f"{line.prefix()}/a", a_file(tmp_path, 3 * MIB)
    seen: list[list[bytes]] = []

    def restart() -> Callable[[bytes], None]:
        seen.append([])
        return seen[-1].append

    mine = line.objects(resends=1)
    line.way.on(LoseAnswer(), method="PUT")
    with pytest.raises(StorageFault):
        mine.create_from(key, made, "own", nothing, sink=restart)
    assert [b"".join(one) for one in seen if one] == [made.read_bytes()] * 2


@pytest.mark.parametrize("resends", [0, 1])
def test_an_upload_that_is_reset_leaves_nothing_or_is_resent_whole(line: Line, tmp_path: Path, resends: int) -> None:
    """The file is larger than all buffers on the way: its end is not read before the reset is seen."""
    key = f"{line.prefix()}/a"
    made = a_file(tmp_path, 48 * MIB)
    mine = line.objects(resends=resends)
    line.way.on(ResetMidway(2 * MIB), method="PUT")
    fences: list[int] = []
    if resends:
        mine.create_from(key, made, "own", lambda: fences.append(1))
        assert line.bucket.get(key) == made.read_bytes()
        assert noted(mine.wire) == [("resent", "PutObject", mine.place(key), Cause.CUT, 1)]
    else:
        with pytest.raises(StorageFault) as caught:
            mine.create_from(key, made, "own", lambda: fences.append(1))
        assert (caught.value.cause, caught.value.uncertain) == (Cause.CUT, True)
        assert line.bucket.head(key) is None
    assert len(line.way.requests("PUT")) == 1 + resends
    assert fences == [1] * resends


def test_an_upload_that_stalls_times_out_and_leaves_nothing(line: Line, tmp_path: Path) -> None:
    """The file is larger than all buffers on the way: its end is never read."""
    key = f"{line.prefix()}/a"
    mine = line.objects(HASTY)
    rule = line.way.on(StallMidway(MIB), method="PUT")
    fences: list[int] = []
    with pytest.raises(StorageFault) as caught:
        mine.create_from(key, a_file(tmp_path, 48 * MIB), "own", lambda: fences.append(1))
    assert rule.acted
    assert (caught.value.cause, caught.value.uncertain) == (Cause.SILENT, True)
    assert fences == []
    assert line.bucket.head(key) is None


def test_an_upload_that_stalls_can_be_stopped(line: Line, tmp_path: Path) -> None:
    key = f"{line.prefix()}/a"
    mine = line.objects(TransportTiming(patience=600.0), resends=5)
    rule = line.way.on(StallMidway(MIB), method="PUT")
    with pytest.raises(StorageFault) as caught:
        mine.create_from(key, a_file(tmp_path, 48 * MIB), "own", nothing, lambda: rule.acted)
    assert caught.value.cause is Cause.STOPPED
    assert line.bucket.head(key) is None


def test_bytes_that_change_on_the_way_are_refused_and_resent(rgw_line: Line, tmp_path: Path) -> None:
    """The signature covers their hash, also without TLS."""
    line = rgw_line
    at = line.prefix()
    mine = line.objects(resends=1)
    line.way.on(Garble(), method="PUT", nth=1)
    line.way.on(Garble(), method="PUT", nth=3)
    mine.create(f"{at}/small", b"1234", "own")
    mine.create_from(f"{at}/file", a_file(tmp_path, 2 * MIB), "own", nothing)
    assert line.bucket.get(f"{at}/small") == b"1234"
    assert line.bucket.get(f"{at}/file") == a_file(tmp_path, 2 * MIB).read_bytes()
    assert [one[3] for one in noted(mine.wire)] == [Cause.GARBLED, Cause.GARBLED]


def test_a_read_that_is_cut_starts_again(line: Line) -> None:
    """No byte of the first answer stays in the result."""
    key, body = f"{line.prefix()}/a", bytes(range(256)) * 8192
    line.bucket.put(key, body)
    mine = line.objects(resends=2)
    line.way.on(Cut(MIB), method="GET", times=2)
    assert mine.get(key) == (body, "")
    line.objects(resends=2)
    line.way.on(Cut(MIB), method="GET", times=2)
    sinks: list[bytearray] = []

    def restart() -> Callable[[bytes], None]:
        sinks.append(bytearray())
        return sinks[-1].extend

    assert mine.read(key, restart)
    assert bytes(sinks[-1]) == body
    assert len(sinks) == 3


def test_a_write_that_may_have_happened_stays_uncertain(line: Line) -> None:
    """A clear refusal of the resent request does not change that the first answer was lost."""
    key = f"{line.prefix()}/a"
    mine = line.objects(resends=1)
    line.way.on(LoseAnswer(), method="PUT")
    line.way.on(Answer(403, "AccessDenied"), method="PUT", nth=2)
    with pytest.raises(StorageFault) as caught:
        mine.create(key, b"1", "own")
    assert (caught.value.cause, caught.value.uncertain) == (Cause.DENIED, True)
    assert line.bucket.get(key) == b"1"


def test_a_missing_bucket(kind: Kind, tmp_path: Path) -> None:
    """It differs from an empty bucket in every answer that has a body."""
    assert kind.wire is not None
    gone = Bucket(kind.wire, "no-such-bucket")
    requests: tuple[Callable[[], object], ...] = (
        lambda: gone.get("a"),
        lambda: gone.touch("a"),
        lambda: gone.read("a", lambda: lambda _: None),
        lambda: list(gone.pages("")),
        lambda: gone.create("a", b"", "own"),
        lambda: gone.create_from("a", a_file(tmp_path, 3), "own", nothing),
    )
    for request in requests:
        with pytest.raises(StorageFault) as caught:
            request()
        assert caught.value.cause is Cause.NO_BUCKET
