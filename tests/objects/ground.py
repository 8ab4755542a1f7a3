"""One place for sources, outputs and store of a test, of one kind: folders, or a bucket of a server that really runs.

The roots `media` and `proxies` are set on all of them, so one spec, with one job id, runs on each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from proxx.contracts.job import JobSpec
from proxx.files.places import Places
from proxx.files.roots import InBucket, OnDisk, Root, Roots
from proxx.s3.incidents import IncidentJournal
from proxx.s3.transport import Transport, TransportTiming
from proxx.store.base import Store
from proxx.store.opening import open_store
from tests.objects.endpoint import Bucket, Endpoint
from tests.support.jobs import create, half_second
from tests.support.makemedia import make

KINDS: Final = ("file", "moto", "rgw")
QUICK: Final = TransportTiming(patience=5, pauses=(0.02,))
"""Seconds: a request that nothing answers ends soon, and the next one follows at once."""


@dataclass(frozen=True)
class Ground:
    """kind: `file`, `moto` or `rgw`. root: a folder of the test's own. bucket: None on `file`.

    url: the way to the bucket's server where it is not the straight one.
    """

    kind: str
    root: Path
    bucket: Bucket | None = None
    url: str = ""

    # --- for the code under test -------------------------------------------------------------------------

    def target(self, name: str) -> str:
        """Where `media`, `proxies` or `store` is."""
        return f"{self.bucket.url}/{name}" if self.bucket else str(self.root / name)

    @property
    def roots(self) -> Roots:
        return Roots(tuple(Root(name, self.target(name)) for name in ("media", "proxies")))

    def places(self, wire: Transport | None = None, **sizes: int) -> Places:
        """sizes: `single`, `part`."""
        return Places(roots=self.roots, wire=wire or self.wire, **sizes)

    def store(self, wire: Transport | None = None, name: str = "store") -> Store:
        return open_store(self.target(name), wire or self.wire)

    @property
    def wire(self) -> Transport:
        """One for all tests by the same way as the same user: a client takes longer to make than a job's requests."""
        return _wire(self.endpoint if self.bucket else None)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find everything."""
        roots = ";".join(f"{root.name}={root.target}" for root in self.roots.roots)
        there = self.endpoint.environment if self.bucket else {}
        return {**there, "PROXX_STORE": self.target("store"), "PROXX_ROOTS": roots}

    @property
    def endpoint(self) -> Endpoint:
        assert self.bucket is not None, "folders have no server"
        return self.bucket.endpoint.at(self.url or self.bucket.endpoint.url)

    # --- a test's own look, not by the code under test ---------------------------------------------------

    def put(self, place: str, data: bytes) -> None:
        match self.places().spot(place):
            case OnDisk(path=path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            case InBucket(key=key):
                assert self.bucket is not None
                self.bucket.put(key, data)

    def get(self, place: str) -> bytes | None:
        """None where there is nothing."""
        match self.places().spot(place):
            case OnDisk(path=path):
                return path.read_bytes() if path.is_file() else None
            case InBucket(key=key):
                assert self.bucket is not None
                return self.bucket.get(key) if self.bucket.head(key) is not None else None

    def delete(self, place: str) -> None:
        match self.places().spot(place):
            case OnDisk(path=path):
                path.unlink()
            case InBucket(key=key):
                assert self.bucket is not None
                self.bucket.delete(key)

    def names(self, root: str = "proxies", *, hidden: bool = False) -> list[str]:
        """What a user sees below a root, sorted. hidden: and the names that begin with a dot."""
        if self.bucket is not None:
            found = [key.partition("/")[2] for key in self.bucket.keys(f"{root}/")]
        else:
            folder = self.root / root
            found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return [name for name in found if hidden or not name.rpartition("/")[2].startswith(".")]

    def untouched(self) -> bool:
        """Whether nothing at all is where the outputs go: no file, no folder, nothing sent in part."""
        if self.bucket is not None:
            return not self.bucket.keys("proxies/") and not self.uploads()
        return not any((self.root / "proxies").iterdir())

    def outputs(self) -> dict[str, str]:
        """Name to sha256 of everything a user sees below `proxies`."""
        return {name: _sha256(self.get(f"proxies:/{name}")) for name in self.names()}

    def facts(self) -> Mapping[str, object]:
        """What changes of an output when it is written again, with the same bytes too."""
        if self.bucket is not None:
            heads = {name: self.bucket.head(f"proxies/{name}") or {} for name in self.names()}
            return {name: (head["LastModified"], head["Metadata"]) for name, head in heads.items()}
        stats = {name: (self.root / "proxies" / name).stat() for name in self.names()}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}

    def uploads(self) -> list[tuple[str, str]]:
        """Key and id of every upload that has neither been completed nor aborted."""
        return self.bucket.uploads() if self.bucket else []

    # --- jobs --------------------------------------------------------------------------------------------

    def job(self, profile: str = "prores_proxy_half", clips: int = 1, *, name: str = "test") -> JobSpec:
        """A job of half-second clips, the same on every kind, with its sources in place."""
        return self._with(_clips(clips), profile, name)

    def noisy_job(self, size: str = "640x360", seconds: str = "0.48") -> JobSpec:
        """One clip whose proxy is large for its picture: 2 MB; of 1280x720 and 0.72 seconds three parts of 5 MiB."""
        return self._with((_noise(size, seconds),), "prores_proxy", "noisy")

    def _with(self, sources: tuple[Path, ...], profile: str, name: str) -> JobSpec:
        for source in sources:
            self.put(f"media:/{source.name}", source.read_bytes())
        return _spec(profile, sources, name)


@cache
def _wire(_: Endpoint | None) -> Transport:
    return Transport(pace=QUICK)


def _clips(clips: int) -> tuple[Path, ...]:
    return tuple(half_second(f"clip{index}.mov", f"01:00:0{index}:00") for index in range(clips))


@cache
def _noise(size: str, seconds: str) -> Path:
    """No encoder makes it small."""
    return make(
        "clip0.mov",
        *("-f", "lavfi", "-i", f"color=gray:s={size}:r=25:d={seconds},noise=alls=100:allf=t:all_seed=1"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "35", "-threads", "1", "-pix_fmt", "yuv420p"),
    )


@cache
def _spec(profile: str, sources: tuple[Path, ...], name: str) -> JobSpec:
    """Made by creation, of folders: that creation gives the same of a bucket has a test of its own."""
    with TemporaryDirectory() as folder:
        ground = Ground("file", Path(folder))
        for source in sources:
            ground.put(f"media:/{source.name}", source.read_bytes())
        names = tuple(f"media:/{source.name}" for source in sources)
        return create(names, "proxies:/", profile, name=name, places=ground.places())


@dataclass
class Around:
    """A store that does as the real one; tests make of it one that fails."""

    real: Store

    @property
    def uri(self) -> str:
        return self.real.uri

    @property
    def journal(self) -> IncidentJournal:
        return self.real.journal

    def create(self, key: str, data: bytes) -> bytes | None:
        return self.real.create(key, data)

    def read(self, key: str) -> bytes | None:
        return self.real.read(key)

    def list(self, folder: str) -> tuple[str, ...]:
        return self.real.list(folder)

    def walk(self, folder: str, after: str = "") -> Iterator[str]:
        return self.real.walk(folder, after)

    def children(self, folder: str) -> tuple[str, ...]:
        return self.real.children(folder)


def _sha256(data: bytes | None) -> str:
    return f"sha256:{hashlib.sha256(data or b'').hexdigest()}"
