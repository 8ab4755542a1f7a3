"""The model of the protocol can fail: if a part of the protocol is broken on purpose, it reports the broken promise.

Each test removes one part from the real engine. The model must report the promise that this part keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import Phase, settings

from proxx.contracts.canonical import Json, pretty_bytes
from proxx.contracts.event import Event, EventType, make_event, stamp
from proxx.engine import execute
from proxx.files import publish
from proxx.store import claims, ledger, lock, registration
from proxx.store.attempts import is_retired
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import result_key
from proxx.store.ledger import Ledger
from tests.property.actors import Stop, current_actor
from tests.property.promises import Broken
from tests.property.test_protocol import search
from tests.property.world import Media, in_memory

EXAMPLES: Final = 200  # at most; each fault is found in far fewer
pytestmark = pytest.mark.parametrize("media", ["folder"], indirect=True)
QUICK: Final = settings(derandomize=True, database=None, deadline=None, phases=[Phase.generate])


def broken_promise(media: Media, stores: Callable[[], Callable[[], Store]] = in_memory) -> str:
    """Returns the first broken promise that the model reports."""
    with pytest.raises(Broken) as caught:
        search(media, stores, EXAMPLES, QUICK)
    return str(caught.value).splitlines()[0]


class Replacing(MemoryStore):
    """A store that replaces existing objects."""

    def create(self, key: str, data: bytes) -> bytes | None:
        self._objects[key] = data
        return None


class ReadsFirst(MemoryStore):
    """A store that reads, then writes: exclusive only as long as no other client writes in between."""

    def create(self, key: str, data: bytes) -> bytes | None:
        existing = self.read(key)
        if existing is None:
            current_actor().stop_at(Stop("asks", "create", key, data))
            self._objects[key] = data
        return existing


@pytest.mark.clause("P3")
@pytest.mark.parametrize("kind", [Replacing, ReadsFirst])
def test_a_store_that_does_not_create_exclusively(media: Media, kind: type[MemoryStore]) -> None:
    def stores() -> Callable[[], Store]:
        store = kind()
        return lambda: store

    assert broken_promise(media, stores).startswith("an object of the store was replaced")


@pytest.mark.clause("P5")
def test_a_lock_that_ignores_the_attempt_before(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_require_free", lambda *_: None)
    assert broken_promise(media).startswith(("two executors", "lock.acquired of attempt", "two owners"))


@pytest.mark.clause("P3", "T2")
def test_a_ledger_that_takes_another_event_for_its_own(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ledger.put_event
    monkeypatch.setattr(ledger, "put_event", lambda *args: real(*args) and None)
    promise = broken_promise(media)
    expected = ("two executors", "a result without")
    assert promise.endswith("comes after the end") or promise.startswith(expected), promise


def test_a_publish_without_its_announcement(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Ledger.append

    def append(
        self: Ledger, type_: EventType, data: Mapping[str, Json], notes: Mapping[str, Json] | None = None
    ) -> Event:
        if type_ == "clip.publishing":
            return make_event(1, type_, data, stamp(self.worker, self.run_id))
        return real(self, type_, data, notes)

    monkeypatch.setattr(Ledger, "append", append)
    assert broken_promise(media).endswith("was published without an announcement")


def test_a_publish_without_the_check(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "require_held", lambda *_: None)
    assert broken_promise(media).endswith("was published after its attempt was closed")


def test_a_check_before_the_announcement(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same two requests in the wrong order."""
    real, check = Ledger.append, Ledger.require_held

    def append(
        self: Ledger, type_: EventType, data: Mapping[str, Json], notes: Mapping[str, Json] | None = None
    ) -> Event:
        if type_ == "clip.publishing":
            check(self, "the announcement")
        return real(self, type_, data, notes)

    monkeypatch.setattr(Ledger, "append", append)
    monkeypatch.setattr(Ledger, "require_held", lambda *_: None)
    assert broken_promise(media).endswith("was published after its attempt was closed")


def test_a_publish_that_replaces(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(path: Path, target: Path) -> bool:
        path.replace(target)
        return False

    monkeypatch.setattr(publish, "_link", link)
    assert broken_promise(media).startswith("an output was replaced")


def test_a_publish_before_the_verification(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxx.engine.clip.ClipJob._verify", lambda self, _: publish.content_of(self._made))
    assert broken_promise(media).endswith("was published unverified")


@pytest.mark.clause("A2")
def test_claims_that_are_taken_over_from_a_living_job(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    def retired(store: Store, job_id: str) -> bool:
        return job_id != current_actor().job_id or is_retired(store, job_id)

    monkeypatch.setattr(claims, "is_retired", retired)
    assert broken_promise(media).startswith("two owners: a claim was taken over")


@pytest.mark.clause("A2")
def test_a_registration_without_claims(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "claim_output", lambda *_, **__: None)
    assert broken_promise(media).startswith("two owners")


@pytest.mark.clause("V2")
def test_a_result_that_is_written_before_the_attempt_ends(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    def release(ledger: Ledger, result: Mapping[str, Json]) -> Event:
        ledger.store.create(result_key(ledger.job_id, ledger.attempt), pretty_bytes(result))
        return lock.release(ledger, result)

    monkeypatch.setattr(execute, "release", release)
    assert broken_promise(media).startswith("a result without its events")


@pytest.mark.clause("V2")
def test_a_clip_that_is_not_logged_as_completed(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Ledger.append

    def append(
        self: Ledger, type_: EventType, data: Mapping[str, Json], notes: Mapping[str, Json] | None = None
    ) -> Event:
        if type_ == "clip.completed":
            return make_event(1, type_, data, stamp(self.worker, self.run_id))
        return real(self, type_, data, notes)

    monkeypatch.setattr(Ledger, "append", append)
    assert broken_promise(media).startswith("a result without its events")
