"""What the tests on separate hosts share: one fleet, one card, and what the card's jobs come to unscaled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.card import Card, Told, make_card, unscaled
from tests.cluster.fleet import Fleet, running_fleet


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Servers and network; each test makes its hosts, and they end with it."""
    with running_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture(scope="package")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return make_card(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="package")
def reference(card: Card) -> dict[str, Told]:
    """Every job by `proxx run` on this machine: what scaling must not change."""
    return unscaled(card, card.jobs)
