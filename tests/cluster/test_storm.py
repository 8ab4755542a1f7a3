"""A short storm on separate hosts: every job is accounted for, nothing ran twice, and an operator recovers the rest.

PROXX_STORM_SEED (default 7) chooses the plan, which is printed. The long form is
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
from tests.cluster.storm import PROFILES, SEED, run_round

CHOSEN: Final = int(os.environ.get("PROXX_STORM_SEED", str(SEED)))
HOSTS: Final = 3
FEW_PROFILES: Final = PROFILES[:4]
BLOWS: Final = len(Blow)
pytestmark = [pytest.mark.hosts, pytest.mark.timeout(1500)]


@pytest.fixture
def stormy(fleet: Fleet) -> Iterator[Fleet]:
    storm_hosts(fleet, HOSTS)
    yield fleet
    fleet.crash_all()


def test_a_seed_gives_one_plan() -> None:
    hosts = ["a", "b", "c"]
    assert plan(CHOSEN, hosts, 40) == plan(CHOSEN, hosts, 40)
    assert plan(CHOSEN, hosts, 40) != plan(CHOSEN + 1, hosts, 40)
    for seed in range(50):
        first = plan(seed, hosts, len(Blow))
        assert {action.blow for action in first} == set(Blow), "a kind of blow is missing"
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
def test_every_job_survives_a_storm(stormy: Fleet, tmp_path: Path) -> None:
    """Runs, workers, hosts, storage and API are killed, cables cut, clocks set wrong: every job is accounted for."""
    card = make_card(tmp_path / "card", FEW_PROFILES, copies=2, long=True)
    reference = unscaled(card, card.jobs)
    card.upload(stormy.bucket)
    record = Round(CHOSEN, plan(CHOSEN, list(stormy.hosts), BLOWS))
    print(f"PROXX_STORM_SEED={CHOSEN}:", *map(str, record.plan), sep="\n")
    try:
        run_round(stormy, card, reference, record)
    finally:
        print(table([record]), *record.operator, sep="\n")
        write_report(tmp_path / "report", [record], "")
    assert set(record.after) and sum(record.after.values()) == len(card.jobs)
    assert len(record.hit) == BLOWS
    assert record.struck >= 3, "a storm that hits no work proves nothing"
