"""Fixtures for the tests on separate hosts: a fleet, a card, and the unscaled outcomes of the card's jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.card import Card, JobOutcome, make_card, unscaled
from tests.cluster.fleet import Fleet, running_fleet


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Servers and network. Each test creates its own hosts, which end with it."""
    with running_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture(scope="package")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return make_card(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="package")
def reference(card: Card) -> dict[str, JobOutcome]:
    """The outcome of every job by `proxx run` on this machine, which scaling must not change."""
    return unscaled(card, card.jobs)
