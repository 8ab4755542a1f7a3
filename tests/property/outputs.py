"""Where the outputs of the protocol's model are: a folder, or a bucket that is written in one request or in parts."""

from __future__ import annotations

import os
import shutil
from itertools import count
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from proxx.contracts.fingerprint import digest_bytes
from proxx.files.places import Places
from tests.property.actors import Actor
from tests.property.shelf import ActorWire, Shelf

Standing: TypeAlias = tuple[int, str]
"""What has a name: its identity, which no other file or object has had, and its sha256."""
STRANGERS: Final = b"somebody's"
PART: Final = 4  # bytes: the model's proxies have a few more


class Outputs(Protocol):
    """base: what the outputs' URIs begin with. last: the request that gives one its name, "" for none."""

    base: str
    last: str

    def clear(self) -> None:
        """A new story begins."""

    def places(self, actor: Actor) -> Places:
        """How the actor's process reaches them."""

    def at(self, uri: str) -> Standing | None: ...

    def put(self, uri: str) -> bool:
        """Somebody's own file gets the name, if it is free."""

    def take_away(self, uri: str) -> bool: ...

    def unfinished(self) -> list[tuple[str, Actor]]:
        """Uploads that were neither completed nor aborted, and who began them."""


class InFolder:
    def __init__(self, folder: Path) -> None:
        self.base, self.last = str(folder), ""
        self._away = count()

    def clear(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        Path(self.base).mkdir()

    def places(self, actor: Actor) -> Places:
        return Places()

    def at(self, uri: str) -> Standing | None:
        try:
            return Path(uri).stat().st_ino, digest_bytes(Path(uri).read_bytes())
        except FileNotFoundError:
            return None

    def put(self, uri: str) -> bool:
        if os.path.lexists(uri):
            return False
        Path(uri).write_bytes(STRANGERS)
        return True

    def take_away(self, uri: str) -> bool:
        place = Path(uri)
        if place.exists():
            place.rename(place.with_name(f"{next(self._away)}.away"))
            return True
        return False

    def unfinished(self) -> list[tuple[str, Actor]]:
        return []


class InObjects:
    """parts: whether objects are too large for one request. heeds: see Shelf."""

    def __init__(self, *, parts: bool = False, heeds: bool = True) -> None:
        self.base, self.last = "s3://shelf/out", "complete" if parts else "put"
        self._parts, self._heeds = parts, heeds
        self.clear()

    def clear(self) -> None:
        self.shelf = Shelf(heeds=self._heeds)

    def places(self, actor: Actor) -> Places:
        wire = ActorWire(self.shelf, actor)
        return Places(wire=wire, single=0, part=PART) if self._parts else Places(wire=wire)

    def at(self, uri: str) -> Standing | None:
        there = self.shelf.objects.get(_key(uri))
        return (there.number, digest_bytes(there.data)) if there else None

    def put(self, uri: str) -> bool:
        """Not where an upload is under way that would replace it when completed: no client can help that."""
        key = _key(uri)
        under_way = any(one.key == key for one in self.shelf.uploads.values())
        if key in self.shelf.objects or (under_way and not self._heeds):
            return False
        self.shelf.put(key, STRANGERS)
        return True

    def take_away(self, uri: str) -> bool:
        return self.shelf.objects.pop(_key(uri), None) is not None

    def unfinished(self) -> list[tuple[str, Actor]]:
        return [(upload, begun.by) for upload, begun in self.shelf.uploads.items()]


def _key(uri: str) -> str:
    return uri.removeprefix("s3://shelf/")
