"""The storage of one test's job files, sources and proxies: a folder, or a bucket of a real object store."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from proxx.store.base import Store
from proxx.store.opening import open_store
from tests.objects.endpoint import Bucket
from tests.objects.moto import Moto
from tests.objects.rgw import Rgw

KINDS: Final = ("file", "moto", "rgw")


@dataclass(frozen=True)
class StorageArea:
    """base: a folder's path or a bucket's URL. environment: the variables that a process needs to reach it."""

    kind: str
    base: str
    bucket: Bucket | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def at(self, name: str) -> str:
        return f"{self.base}/{name}"

    @property
    def store(self) -> Store:
        """A new Store object each time, as another process would have."""
        return open_store(self.at("store"))

    def put(self, source: Path, name: str) -> str:
        """Copies the file into the area and returns its place."""
        if self.bucket is not None:
            with source.open("rb") as file:
                self.bucket.put(name, file)
        else:
            Path(self.at(name)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, self.at(name))
        return self.at(name)

    def replace(self, name: str, data: bytes) -> None:
        if self.bucket is not None:
            self.bucket.put(name, data)
        else:
            Path(self.at(name)).parent.mkdir(parents=True, exist_ok=True)
            Path(self.at(name)).write_bytes(data)

    def files(self, below: str) -> dict[str, bytes]:
        """Returns all files that a user sees below this name, by their path from there."""
        if self.bucket is not None:
            contents = self.bucket.contents(f"{below}/")
            return {key.removeprefix(f"{below}/"): data for key, data in contents.items()}
        root = Path(self.at(below))
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}

    def digests(self, below: str) -> dict[str, str]:
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files(below).items()}

    def clear(self, below: str) -> None:
        if self.bucket is not None:
            self.bucket.delete_all(f"{below}/")
        else:
            shutil.rmtree(self.at(below), ignore_errors=True)


def new_area(kind: str, request: pytest.FixtureRequest, folder: Path) -> StorageArea:
    """Returns a new, empty area of this kind. The object server is shared by the session."""
    if kind == "file":
        return StorageArea(kind, str(folder))
    name = f"area-{secrets.token_hex(6)}"
    if kind == "moto":
        moto: Moto = request.getfixturevalue("moto")
        user = moto.as_user()
    else:
        rgw: Rgw = request.getfixturevalue("rgw")
        user = rgw.as_user(rgw.user(name))
    bucket = user.bucket(name).make()
    return StorageArea(kind, bucket.url, bucket, user.environment)


def use_credentials(area: StorageArea, monkeypatch: pytest.MonkeyPatch) -> StorageArea:
    """Sets the area's variables in this process, so that it reaches the area, and returns the area."""
    for name, value in area.environment.items():
        monkeypatch.setenv(name, value)
    return area
