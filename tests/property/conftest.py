"""Fixtures for the tests of the protocol: jobs without media, and worlds for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.property.actors import quick_media
from tests.property.outputs import InFolder, InObjects, Outputs
from tests.property.world import Media, World, in_memory

KINDS: Final[Mapping[str, Callable[[Path], tuple[Outputs, int | None]]]] = {
    "folder": lambda folder: (InFolder(folder), None),
    "object": lambda _: (InObjects(), 0),
    "object-resent": lambda _: (InObjects(), 1),
    "parts": lambda _: (InObjects(parts=True), 1),
    "parts-ceph": lambda _: (InObjects(parts=True, conditional=False), 0),
}
"""Where outputs are, and how often a request is sent again; the parameters of the fixture `media`."""


@pytest.fixture(scope="module", params=KINDS)
def media(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Media]:
    folder = tmp_path_factory.mktemp("protocol")
    outputs, resends = KINDS[request.param](folder / "out")
    with quick_media():
        yield Media(folder, outputs, resends)


@pytest.fixture
def new(media: Media) -> Iterator[Callable[[], World]]:
    """Makes worlds with an empty store. Actors that still run when the test ends are abandoned."""
    worlds: list[World] = []

    def make() -> World:
        worlds.append(World(media, in_memory()))
        return worlds[-1]

    yield make
    for world in worlds:
        world.abandon()
