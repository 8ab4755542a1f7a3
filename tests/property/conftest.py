"""What the tests of the protocol share: jobs made of nothing, and worlds for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.property.actors import quick_media
from tests.property.world import Media, World, in_memory


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Media]:
    with quick_media():
        yield Media(tmp_path_factory.mktemp("protocol"))


@pytest.fixture
def new(media: Media) -> Iterator[Callable[[], World]]:
    """Makes a new world with an empty store; what still works in it when the test ends is abandoned."""
    worlds: list[World] = []

    def begin() -> World:
        worlds.append(World(media, in_memory()))
        return worlds[-1]

    yield begin
    for world in worlds:
        world.abandon()
