"""A bounded storm on separate hosts, and what is left of it: counted, whole, nothing twice, mended by an operator.

PROXX_STORM_SEED (default 7) chooses the schedule, which is printed. The long form is
`python -m tests.cluster.storm --seed N --minutes 60 --report FOLDER`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.card import make_card, unscaled
from tests.cluster.fleet import Fleet, storm_hosts
from tests.cluster.plan import Blow, plan
from tests.cluster.rounds import Round, table, write_report
from tests.cluster.storm import PROFILES, SEED, one_round

CHOSEN: Final = int(os.environ.get("PROXX_STORM_SEED", str(SEED)))
HOSTS: Final = 3
SOME: Final = PROFILES[:4]
BLOWS: Final = len(Blow)
pytestmark = [pytest.mark.hosts, pytest.mark.timeout(1500)]


@pytest.fixture
def stormy(fleet: Fleet) -> Iterator[Fleet]:
    storm_hosts(fleet, HOSTS)
    yield fleet
    fleet.crash_all()


def test_a_seed_is_a_schedule() -> None:
    hosts = ["a", "b", "c"]
    assert plan(CHOSEN, hosts, 40) == plan(CHOSEN, hosts, 40)
    assert plan(CHOSEN, hosts, 40) != plan(CHOSEN + 1, hosts, 40)
    for seed in range(50):
        first = plan(seed, hosts, len(Blow))
        assert {action.blow for action in first} == set(Blow), "a kind of blow is left out"
        assert [action.step for action in first] == list(range(1, len(Blow) + 1))
        assert {action.host for action in plan(seed, hosts, 40)} == set(hosts)


@pytest.mark.clause("I7")
@pytest.mark.clause("A4")
@pytest.mark.clause("A6")
@pytest.mark.clause("F4")
@pytest.mark.clause("T1")
@pytest.mark.clause("T2")
@pytest.mark.clause("T4", lead=True)
@pytest.mark.clause("N2")
@pytest.mark.clause("P3")
@pytest.mark.clause("V2")
@pytest.mark.clause("V3", lead=True)
def test_a_storm(stormy: Fleet, tmp_path: Path) -> None:
    """Runs, workers, hosts, storage and API killed, cables cut, clocks put wrong; then the accounting."""
    card = make_card(tmp_path / "card", SOME, copies=2, long=True)
    reference = unscaled(card, card.jobs)
    card.upload(stormy.bucket)
    doing = Round(CHOSEN, plan(CHOSEN, list(stormy.hosts), BLOWS))
    print(f"PROXX_STORM_SEED={CHOSEN}:", *map(str, doing.plan), sep="\n")
    try:
        one_round(stormy, card, reference, CHOSEN, BLOWS, doing)
    finally:
        print(table([doing]), *doing.operator, sep="\n")
        write_report(tmp_path / "report", [doing], "")
    assert set(doing.after) and sum(doing.after.values()) == len(card.jobs)
    assert len(doing.hit) == BLOWS
    assert doing.struck >= 3, "a storm that hits nothing at work shows nothing"
