"""Uploads in parts: nothing is visible before the end; an unfinished upload is listed and can be aborted."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxx.s3 import multipart
from proxx.s3.bucket import Bucket, UnfinishedUpload
from proxx.s3.faults import Cause, StorageFault
from proxx.s3.transport import TransportTiming
from tests.objects.kinds import Kind
from tests.objects.line import Line, fresh, noted
from tests.objects.rules import Garble, LoseAnswer, Reset, ResetMidway, StallMidway
from tests.s3.conftest import MIB, a_file

PART = 5 * MIB  # bytes, S3's minimum except for the last part


def test_an_upload_is_visible_when_it_is_completed(mine: Bucket, tmp_path: Path) -> None:
    key, made = f"{fresh()}/a b+ü.mov", a_file(tmp_path, 2 * PART + 7)
    upload = multipart.begin_upload(mine, key, "own")
    assert [one.upload_id for one in multipart.unfinished(mine, key)] == [upload]
    tags = multipart.send(mine, key, upload, made, PART)
    assert len(tags) == 3
    assert mine.head(key) is None
    multipart.complete(mine, key, upload, tags)
    assert mine.get(key) == (made.read_bytes(), "own")
    assert list(multipart.unfinished(mine, key)) == []
    assert not multipart.abort(mine, key, upload)
    assert mine.get(key) == (made.read_bytes(), "own")


def test_an_upload_that_is_aborted(line: Line, tmp_path: Path) -> None:
    mine = line.objects()
    key = f"{fresh()}/a"
    upload = multipart.begin_upload(mine, key, "own")
    tags = multipart.send(mine, key, upload, a_file(tmp_path, 100), PART)
    assert multipart.abort(mine, key, upload)
    assert not multipart.abort(mine, key, upload)
    assert not multipart.abort(mine, key, "2~no-such-upload")
    with pytest.raises(StorageFault) as caught:
        multipart.complete(mine, key, upload, tags)
    assert caught.value.cause in (
        Cause.NO_UPLOAD,
        Cause.SERVER_FAULT,
    )  # AWS's answer; RGW 16 and moto: 500
    assert mine.head(key) is None
    assert list(multipart.unfinished(mine, key)) == []


def test_a_large_file_has_no_more_parts_than_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a limit of 10 instead of S3's 10,000, a small file counts as large."""
    monkeypatch.setattr(multipart, "PARTS", 10)
    sent: list[bytes] = []

    def note(_: object, __: str, ___: str, number: int, piece: bytes, ____: object) -> str:
        assert number == len(sent) + 1
        sent.append(piece)
        return str(number)

    monkeypatch.setattr(multipart, "_send_one", note)
    made = a_file(tmp_path, 1009)
    tags = multipart.send(Bucket(None, "b"), "k", "u", made, 3)  # type: ignore[arg-type]
    assert len(tags) <= 10
    assert b"".join(sent) == made.read_bytes()


def test_unfinished_uploads_are_listed(mine: Bucket, kind: Kind) -> None:
    at = fresh()
    begun = {multipart.begin_upload(mine, f"{at}/{number}", "own"): f"{at}/{number}" for number in range(3)}
    multipart.begin_upload(mine, f"{at}x/other", "own")
    uploads = list(multipart.unfinished(mine, f"{at}/"))
    assert {upload.upload_id: upload.key for upload in uploads} == begun
    assert all(isinstance(upload, UnfinishedUpload) and upload.begun.endswith("Z") for upload in uploads)
    for upload_id, key in begun.items():
        multipart.abort(mine, key, upload_id)
    assert list(multipart.unfinished(mine, f"{at}/")) == []


@pytest.mark.parametrize("action", [Reset(), ResetMidway(MIB), LoseAnswer()])
def test_a_part_is_resent_whole(line: Line, tmp_path: Path, action: Reset | ResetMidway | LoseAnswer) -> None:
    key, made = f"{line.prefix()}/a", a_file(tmp_path, 2 * PART)
    mine = line.objects(resends=1)
    line.way.on(action, method="PUT", query="partNumber", nth=2)
    upload = multipart.begin_upload(mine, key, "own")
    multipart.complete(mine, key, upload, multipart.send(mine, key, upload, made, PART))
    assert line.bucket.get(key) == made.read_bytes()
    assert noted(mine.wire) == [("resent", "UploadPart", mine.place(key), Cause.CUT, 1)]
    assert len(line.way.requests("PUT")) == 3


def test_a_part_that_changes_on_the_way_is_refused(rgw_line: Line, tmp_path: Path) -> None:
    line = rgw_line
    key, made = f"{line.prefix()}/a", a_file(tmp_path, 100)
    mine = line.objects(resends=1)
    line.way.on(Garble(), method="PUT")
    upload = multipart.begin_upload(mine, key, "own")
    multipart.complete(mine, key, upload, multipart.send(mine, key, upload, made, PART))
    assert line.bucket.get(key) == made.read_bytes()
    assert noted(mine.wire) == [("resent", "UploadPart", mine.place(key), Cause.GARBLED, 1)]


def test_a_part_that_stalls_can_be_stopped(line: Line, tmp_path: Path) -> None:
    key = f"{line.prefix()}/a"
    mine = line.objects(TransportTiming(patience=600.0), resends=5)
    rule = line.way.on(StallMidway(MIB), method="PUT")
    upload = multipart.begin_upload(mine, key, "own")
    with pytest.raises(StorageFault) as caught:
        multipart.send(mine, key, upload, a_file(tmp_path, 48 * MIB), 48 * MIB, lambda: rule.acted)
    assert caught.value.cause is Cause.STOPPED
    assert line.bucket.head(key) is None
    assert multipart.abort(mine, key, upload)


def test_a_completion_whose_answer_is_lost_has_happened(line: Line, tmp_path: Path) -> None:
    """A resent completion would be refused or executed a second time; the nonce tells in both cases."""
    key, made = f"{line.prefix()}/a", a_file(tmp_path, 100)
    mine = line.objects(resends=0)
    line.way.on(LoseAnswer(), method="POST", query="uploadId")
    upload = multipart.begin_upload(mine, key, "own")
    tags = multipart.send(mine, key, upload, made, PART)
    with pytest.raises(StorageFault) as caught:
        multipart.complete(mine, key, upload, tags)
    assert (caught.value.cause, caught.value.uncertain) == (Cause.CUT, True)
    head = mine.head(key)
    assert head is not None
    assert (head.size, head.nonce) == (100, "own")
