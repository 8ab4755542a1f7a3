"""Where the model's outputs are: a folder, or a bucket that is written in one request or in parts."""

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
"""A file or object under a name: its identity, which no other has had, and its sha256."""
FOREIGN: Final = b"another file"
PART: Final = 4  # bytes; the model's proxies are a little longer


class Outputs(Protocol):
    """base: what the outputs' URIs begin with. last: the request that gives an output its name, "" for a folder."""

    base: str
    last: str

    def clear(self) -> None:
        """Removes all outputs."""

    def places(self, actor: Actor) -> Places:
        """Returns the places of the actor's process."""

    def at(self, uri: str) -> Standing | None: ...

    def put(self, uri: str) -> bool:
        """Puts another person's file under the name, if it is free. Returns whether it did."""

    def take_away(self, uri: str) -> bool: ...

    def unfinished(self) -> list[tuple[str, Actor]]:
        """Returns the uploads neither completed nor aborted, and the actors that began them."""


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
        Path(uri).write_bytes(FOREIGN)
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
    """parts: whether objects are too large for one request. conditional: see Shelf."""

    def __init__(self, *, parts: bool = False, conditional: bool = True) -> None:
        self.base, self.last = "s3://shelf/out", "complete" if parts else "put"
        self._parts, self._conditional = parts, conditional
        self.clear()

    def clear(self) -> None:
        self.shelf = Shelf(conditional=self._conditional)

    def places(self, actor: Actor) -> Places:
        wire = ActorWire(self.shelf, actor)
        return Places(wire=wire, single=0, part=PART) if self._parts else Places(wire=wire)

    def at(self, uri: str) -> Standing | None:
        kept = self.shelf.objects.get(_key(uri))
        return (kept.number, digest_bytes(kept.data)) if kept else None

    def put(self, uri: str) -> bool:
        """Refuses while an upload is open that would replace the file when completed: no client can prevent that."""
        key = _key(uri)
        under_way = any(upload.key == key for upload in self.shelf.uploads.values())
        if key in self.shelf.objects or (under_way and not self._conditional):
            return False
        self.shelf.put(key, FOREIGN)
        return True

    def take_away(self, uri: str) -> bool:
        return self.shelf.objects.pop(_key(uri), None) is not None

    def unfinished(self) -> list[tuple[str, Actor]]:
        return [(upload, begun.by) for upload, begun in self.shelf.uploads.items()]


def _key(uri: str) -> str:
    return uri.removeprefix("s3://shelf/")
