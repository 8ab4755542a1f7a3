"""A moto server for the session: it answers like S3, keeps objects in memory and accepts any keys."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.objects.endpoint import Endpoint, Keys
from tests.objects.process import Daemon, free_port, listens

REPO: Final = Path(__file__).parents[2]
KEYS: Final = Keys("moto", "moto")  # moto accepts any


class Moto:
    """One server. `stop` loses all objects: moto keeps them in its process."""

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("moto") is None:
            if "CI" in os.environ:
                pytest.fail("moto is not installed, and CI tests on it: pip install 'moto[server]'")
            pytest.skip("MOTO ABSENT: object stores were not tested on it. pip install 'moto[server]'")
        self.folder = folder
        self.address = "127.0.0.1"
        self.port = free_port()
        self.endpoint = f"http://{self.address}:{self.port}"
        self._server: Daemon | None = None

    def start(self) -> None:
        """Returns when it accepts requests."""
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "tests.objects.motoserver", self.address, str(self.port)]
        environment = {**os.environ, "TMPDIR": str(self.folder), "PYTHONPATH": str(REPO)}
        self._server = Daemon(argv, self.folder / "moto.log", environment)
        self._server.until(lambda: listens(self.address, self.port), "moto listens")

    def stop(self) -> None:
        if self._server is not None:
            self._server.end()
            self._server = None

    def as_user(self, keys: Keys = KEYS) -> Endpoint:
        return Endpoint("moto", self.endpoint, keys)


@contextmanager
def running_moto(folder: Path) -> Iterator[Moto]:
    """Runs a server while the block runs."""
    moto = Moto(folder)
    try:
        moto.start()
        yield moto
    finally:
        moto.stop()
