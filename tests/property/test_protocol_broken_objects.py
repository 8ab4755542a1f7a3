"""The model of the protocol can fail for outputs in a bucket: each test removes one part that keeps a promise."""

from __future__ import annotations

import pytest

from proxx.files import transfer
from proxx.files.upload import PreparedUpload
from proxx.s3 import multipart
from proxx.store.ledger import Ledger
from tests.property.shelf import Shelf
from tests.property.test_protocol_broken import broken_promise
from tests.property.world import Media

in_parts = pytest.mark.parametrize("media", ["parts"], indirect=True)
on_ceph = pytest.mark.parametrize("media", ["parts-ceph"], indirect=True)


@pytest.mark.parametrize("media", ["object", "parts"], indirect=True)
def test_a_publish_without_the_check(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "require_held", lambda *_: None)
    assert broken_promise(media).endswith("was published after its attempt was closed")


@pytest.mark.parametrize("media", ["object"], indirect=True)
def test_a_server_that_replaces(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that passes the check of the store, but ignores the condition for names like those of outputs."""
    real = Shelf.put

    def put(self: Shelf, key: str, data: bytes, nonce: str = "", *, anew: bool = True) -> None:
        real(self, key, data, nonce, anew=anew and not key.endswith(".mov"))

    monkeypatch.setattr(Shelf, "put", put)
    assert broken_promise(media).startswith("an output was replaced")


@in_parts
def test_an_upload_that_is_not_aborted(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedUpload, "give_up", lambda _: None)
    assert "parts are left" in broken_promise(media)


@in_parts
def test_an_upload_of_a_crash_that_no_attempt_aborts(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "abort_unfinished", lambda *_: None)
    assert "parts are left" in broken_promise(media)


@on_ceph
def test_an_earlier_upload_that_can_still_be_completed(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server that ignores the condition, two attempts would both give the output its name."""
    monkeypatch.setattr(multipart, "abort", lambda *_: True)
    promise = broken_promise(media)
    assert promise.startswith("an output was replaced") or "parts are left" in promise
