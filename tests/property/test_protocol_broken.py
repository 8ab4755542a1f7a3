"""The protocol's model can fail: with a piece of the protocol broken on purpose it finds what that breaks.

Each piece is taken out of the real engine for one test. What is found must be the promise which that piece keeps.
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
from proxx.store import ledger, lock
from proxx.store import registration as register
from proxx.store.attempts import is_retired
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import result_key
from proxx.store.ledger import Ledger
from tests.property.actors import Stop, whoever
from tests.property.promises import Broken
from tests.property.test_protocol import search
from tests.property.world import Media, in_memory

EXAMPLES: Final = 200  # at most: each is found in far fewer
pytestmark = pytest.mark.parametrize("media", ["folder"], indirect=True)
QUICK: Final = settings(derandomize=True, database=None, deadline=None, phases=[Phase.generate])


def found(media: Media, stores: Callable[[], Callable[[], Store]] = in_memory) -> str:
    """The promise that the model sees broken."""
    with pytest.raises(Broken) as caught:
        search(media, stores, EXAMPLES, QUICK)
    return str(caught.value).splitlines()[0]


class Replacing(MemoryStore):
    """Takes every object, also where one stands."""

    def create(self, key: str, data: bytes) -> bytes | None:
        self._objects[key] = data
        return None


class LookingFirst(MemoryStore):
    """Looks, then writes: exclusive as long as nobody comes between."""

    def create(self, key: str, data: bytes) -> bytes | None:
        there = self.read(key)
        if there is None:
            whoever().stop_at(Stop("asks", "create", key, data))
            self._objects[key] = data
        return there


@pytest.mark.clause("P3")
@pytest.mark.parametrize("kind", [Replacing, LookingFirst])
def test_a_store_that_does_not_create_exclusively(media: Media, kind: type[MemoryStore]) -> None:
    def stores() -> Callable[[], Store]:
        store = kind()
        return lambda: store

    assert found(media, stores).startswith("an object of the store was replaced")


@pytest.mark.clause("P5")
def test_a_lock_that_does_not_look_at_the_attempt_before(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_refuse_unless_free", lambda *_: None)
    assert found(media).startswith(("two executors", "lock.acquired of attempt", "two owners"))


@pytest.mark.clause("P3", "T2")
def test_events_that_take_anothers_number_for_their_own(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ledger.put_event
    monkeypatch.setattr(ledger, "put_event", lambda *args: real(*args) and None)
    said = found(media)
    assert said.endswith("comes after the end") or said.startswith(("two executors", "a result without")), said


def test_a_publish_without_its_announcement(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Ledger.append

    def append(
        self: Ledger, type_: EventType, data: Mapping[str, Json], notes: Mapping[str, Json] | None = None
    ) -> Event:
        if type_ == "clip.publishing":
            return make_event(1, type_, data, stamp(self.worker, self.run_id))
        return real(self, type_, data, notes)

    monkeypatch.setattr(Ledger, "append", append)
    assert found(media).endswith("was published without an announcement")


def test_a_publish_without_the_look(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "require_held", lambda *_: None)
    assert found(media).endswith("was published after its attempt was closed")


def test_a_look_before_the_announcement(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same two requests in the wrong order."""
    real, look = Ledger.append, Ledger.require_held

    def append(
        self: Ledger, type_: EventType, data: Mapping[str, Json], notes: Mapping[str, Json] | None = None
    ) -> Event:
        if type_ == "clip.publishing":
            look(self, "the announcement")
        return real(self, type_, data, notes)

    monkeypatch.setattr(Ledger, "append", append)
    monkeypatch.setattr(Ledger, "require_held", lambda *_: None)
    assert found(media).endswith("was published after its attempt was closed")


def test_a_publish_that_replaces(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(path: Path, target: Path) -> bool:
        path.replace(target)
        return False

    monkeypatch.setattr(publish, "_link", link)
    assert found(media).startswith("an output was replaced")


def test_a_publish_before_the_verification(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxx.engine.clip.ClipJob._verify", lambda self, _: publish.content_of(self._made))
    assert found(media).endswith("was published unverified")


@pytest.mark.clause("A2")
def test_claims_that_are_taken_over_from_a_living_job(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    def retired(store: Store, job_id: str) -> bool:
        return job_id != whoever().job_id or is_retired(store, job_id)

    monkeypatch.setattr(register, "is_retired", retired)
    assert found(media).startswith("two owners: a claim was taken over")


@pytest.mark.clause("A2")
def test_a_registration_without_claims(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "_claim", lambda *_, **__: None)
    assert found(media).startswith("two owners")


@pytest.mark.clause("V2")
def test_a_result_that_is_written_before_the_attempt_ends(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    def release(ledger: Ledger, result: Mapping[str, Json]) -> Event:
        ledger.store.create(result_key(ledger.job_id, ledger.attempt), pretty_bytes(result))
        return lock.release(ledger, result)

    monkeypatch.setattr(execute, "release", release)
    assert found(media).startswith("a result without its events")


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
    assert found(media).startswith("a result without its events")
