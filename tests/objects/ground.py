"""The sources, outputs and store of a test in one place: folders, or a bucket of a real server.

The roots `media` and `proxies` are set on every kind, so one spec, with one job id, runs on each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from proxx.contracts.job import JobSpec
from proxx.files.places import Places
from proxx.files.roots import InBucket, OnDisk, Root, Roots
from proxx.s3.transport import Transport, TransportTiming
from proxx.store.base import Store
from proxx.store.opening import open_store
from tests.objects.endpoint import Bucket, Endpoint
from tests.support.jobs import create, half_second
from tests.support.makemedia import make

KINDS: Final = ("file", "moto", "rgw")
QUICK: Final = TransportTiming(patience=5, pauses=(0.02,))
"""In seconds: an unanswered request ends soon, and the next one follows at once."""


@dataclass(frozen=True)
class Ground:
    """Where a test keeps everything.

    kind: `file`, `moto` or `rgw`. root: a folder of the test. bucket: None on `file`. url: the address
    of the bucket's server if it is reached through a proxy.
    """

    kind: str
    root: Path
    bucket: Bucket | None = None
    url: str = ""

    # --- for the code under test -------------------------------------------------------------------------

    def target(self, name: str) -> str:
        """Returns the path or URL of `media`, `proxies` or `store`."""
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
        """One transport for all tests with the same address and user: creating a client is slower than a job."""
        return _wire(self.endpoint if self.bucket else None)

    @property
    def environment(self) -> dict[str, str]:
        """The variables a process needs to find everything."""
        roots = ";".join(f"{root.name}={root.target}" for root in self.roots.roots)
        there = self.endpoint.environment if self.bucket else {}
        return {**there, "PROXX_STORE": self.target("store"), "PROXX_ROOTS": roots}

    @property
    def endpoint(self) -> Endpoint:
        assert self.bucket is not None, "folders have no server"
        return self.bucket.endpoint.at(self.url or self.bucket.endpoint.url)

    # --- access that bypasses the code under test --------------------------------------------------------

    def put(self, place: str, data: bytes) -> None:
        match self.places().spot(place):
            case OnDisk(path=path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            case InBucket(key=key):
                assert self.bucket is not None
                self.bucket.put(key, data)

    def get(self, place: str) -> bytes | None:
        """Returns the bytes at a place, None if absent."""
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
        """Returns the names below a root, sorted. hidden: include names that begin with a dot."""
        if self.bucket is not None:
            names = [key.partition("/")[2] for key in self.bucket.keys(f"{root}/")]
        else:
            folder = self.root / root
            names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return [name for name in names if hidden or not name.rpartition("/")[2].startswith(".")]

    def untouched(self) -> bool:
        """Returns whether the place of the outputs is empty: no file, no folder, no unfinished upload."""
        if self.bucket is not None:
            return not self.bucket.keys("proxies/") and not self.uploads()
        return not any((self.root / "proxies").iterdir())

    def outputs(self) -> dict[str, str]:
        """Returns name and sha256 of every file below `proxies` that is not hidden."""
        return {name: _sha256(self.get(f"proxies:/{name}")) for name in self.names()}

    def facts(self) -> Mapping[str, object]:
        """Returns facts about the outputs that change if one is written again, even with the same bytes."""
        if self.bucket is not None:
            heads = {name: self.bucket.head(f"proxies/{name}") or {} for name in self.names()}
            return {name: (head["LastModified"], head["Metadata"]) for name, head in heads.items()}
        stats = {name: (self.root / "proxies" / name).stat() for name in self.names()}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}

    def uploads(self) -> list[tuple[str, str]]:
        """Returns key and id of every upload that is neither completed nor aborted."""
        return self.bucket.uploads() if self.bucket else []

    # --- jobs --------------------------------------------------------------------------------------------

    def job(self, profile: str = "prores_proxy_half", clips: int = 1, *, name: str = "test") -> JobSpec:
        """Creates a job of half-second clips, the same on every kind, and puts its sources in place."""
        return self._with(_clips(clips), profile, name)

    def noisy_job(self, size: str = "640x360", seconds: str = "0.48") -> JobSpec:
        """Creates a job of one clip with a large proxy: 2 MB; at 1280x720 and 0.72 seconds three parts of 5 MiB."""
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
    """Returns a clip of noise, which no encoder compresses well."""
    return make(
        "clip0.mov",
        *("-f", "lavfi", "-i", f"color=gray:s={size}:r=25:d={seconds},noise=alls=100:allf=t:all_seed=1"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "35", "-threads", "1", "-pix_fmt", "yuv420p"),
    )


@cache
def _spec(profile: str, sources: tuple[Path, ...], name: str) -> JobSpec:
    """Creates the spec from folders. Another test checks that a bucket gives the same spec."""
    with TemporaryDirectory() as folder:
        ground = Ground("file", Path(folder))
        for source in sources:
            ground.put(f"media:/{source.name}", source.read_bytes())
        names = tuple(f"media:/{source.name}" for source in sources)
        return create(names, "proxies:/", profile, name=name, places=ground.places())


def _sha256(data: bytes | None) -> str:
    return f"sha256:{hashlib.sha256(data or b'').hexdigest()}"
