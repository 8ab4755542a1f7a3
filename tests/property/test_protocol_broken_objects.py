"""The protocol's model can fail where outputs are objects: each piece that keeps a promise there is out once."""

from __future__ import annotations

import pytest

from proxx.files import transfer as deliver
from proxx.files.upload import PreparedUpload
from proxx.s3 import multipart
from proxx.store.ledger import Ledger
from tests.property.shelf import Shelf
from tests.property.test_protocol_broken import found
from tests.property.world import Media

in_parts = pytest.mark.parametrize("media", ["parts"], indirect=True)
on_ceph = pytest.mark.parametrize("media", ["parts-ceph"], indirect=True)


@pytest.mark.parametrize("media", ["object", "parts"], indirect=True)
def test_a_publish_without_the_look(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "require_held", lambda *_: None)
    assert found(media).endswith("was published after its attempt was closed")


@pytest.mark.parametrize("media", ["object"], indirect=True)
def test_a_server_that_replaces(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that shows it at the trial: one that forgets the condition for what has a name like an output's."""
    real = Shelf.put

    def put(self: Shelf, key: str, data: bytes, nonce: str = "", *, anew: bool = True) -> None:
        real(self, key, data, nonce, anew=anew and not key.endswith(".mov"))

    monkeypatch.setattr(Shelf, "put", put)
    assert found(media).startswith("an output was replaced")


@in_parts
def test_an_upload_that_is_left(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedUpload, "give_up", lambda _: None)
    assert "parts are left" in found(media)


@in_parts
def test_an_upload_of_a_crash_that_no_attempt_aborts(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "abort_unfinished", lambda *_: None)
    assert "parts are left" in found(media)


@on_ceph
def test_an_earlier_upload_that_can_still_be_completed(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server minds no condition: of two attempts both would give the name."""
    monkeypatch.setattr(multipart, "abort", lambda *_: True)
    said = found(media)
    assert said.startswith("an output was replaced") or "parts are left" in said
