"""A model of lock, claims, events and publish: any interleaving of workers and operators, with faults between.

The real engine runs, one store request at a time (`actors.py`); `promises.py` checks after each. By default the
examples are the same on every machine and take less than a minute. To search for new ones for a long time:

    HYPOTHESIS_PROFILE=search python -m pytest tests/property/test_protocol.py

`test_protocol_stops.py` describes and tests what an unlock promises. Outputs are in a folder, and in a bucket whose
server is a stand-in (`shelf.py`): sent in one request that contains the fence, or in parts that are completed last,
on servers that apply a condition there and on one that does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from proxx.store.base import Store
from tests.property.actors import Actor, Order
from tests.property.world import Far, Media, World, in_folder, in_memory

FAR: Final[tuple[Far, ...]] = ("look", "look", "announcement", "event", "stop", "create", "claim", "end")
SOON: Final[tuple[Far, ...]] = ("end", "end", "end", "end", "event", "stop", "create")
FAULTS: Final[tuple[Order, ...]] = ("crash", "lose", "refuse", "signal")
JOBS: Final = (*[0] * 10, 1, 2)
AHEAD: Final = (1, 1, 1, 1, 1, 1, 0, 2)
ACTS: Final = ("look", "look", "take away", "take away", "put")
SELDOM: Final = (*[False] * 9, True)
LENGTHS: Final = (2, 6, 12, 20, 20, 20, 20, 20)
TURNS: Final = (*["worker"] * 10, *["operator"] * 6, *["overtake"] * 3, *["disturb"] * 3, "else")


class Protocol(RuleBasedStateMachine):
    """Random choices: who moves, how far, and what fails. An actor that has ended is replaced by a new one.

    Each run begins with a number of turns from one seed, so that no run is too short to show anything.
    """

    def __init__(self, media: Media, open_store: Callable[[], Store], met: Counter[str]) -> None:
        super().__init__()
        self.world = World(media, open_store)
        self.met = met
        self.calm = True
        self.workers = [self.world.worker(media.jobs[0], attempt) for attempt in (1, 2)]
        self.operator: Actor | None = None

    @initialize(chance=st.randoms(use_true_random=True), turns=st.sampled_from(LENGTHS), calm=st.booleans())
    def first_turns(self, chance: Random, turns: int, calm: bool) -> None:
        self.calm = calm  # True: at the end the living actors finish; False: they all crash
        for _ in range(turns):
            pick = chance.choice
            match pick(TURNS):
                case "worker":
                    self.worker_moves(pick((0, 1)), pick(FAR), pick(JOBS), pick(AHEAD), pick((0, 0, 1)))
                case "operator":
                    self.operator_moves(pick(SOON), pick((0, 1, 2)), pick(SELDOM))
                case "overtake":
                    self.holder_is_unlocked(pick((0, 1)), pick(FAR))
                case "disturb":
                    self.fault_occurs(pick((0, 1, 2)), pick(FAULTS), pick(FAR))
                case "else":
                    self.outsider_acts(pick((0, 1, 2, 3)), pick(ACTS))

    @rule(
        who=st.integers(0, 1),
        far=st.sampled_from(FAR),
        job=st.sampled_from(JOBS),
        ahead=st.sampled_from(AHEAD),
        shade=st.integers(0, 1),
    )
    def worker_moves(self, who: int, far: Far, job: int, ahead: int, shade: int) -> None:
        if self.workers[who].at is None:
            spec = self.world.media.jobs[job]
            attempt = max(1, self.world.promises.attempts(spec.job_id) + ahead)
            self.workers[who] = self.world.worker(spec, attempt, shade)
        self.world.go(self.workers[who], far)

    @rule(far=st.sampled_from(SOON), job=st.integers(0, 2), retire=st.sampled_from(SELDOM))
    def operator_moves(self, far: Far, job: int, retire: bool) -> None:
        if self.operator is None or self.operator.at is None:
            choice = self.world.known if retire else self.world.open
            if not choice:
                return
            self.operator = self.world.operator(choice[job % len(choice)], "retire" if retire else "unlock")
        self.world.go(self.operator, far)

    @rule(who=st.integers(0, 1), far=st.sampled_from(FAR))
    def holder_is_unlocked(self, who: int, far: Far) -> None:
        """A complete unlock while a living worker is `far` in its attempt."""
        worker = self.workers[who]
        if worker.at is not None:
            self.world.go(worker, far)
        for job in self.world.open:
            if (job.job_id, self.world.promises.attempts(job.job_id)) == (worker.job_id, worker.attempt):
                self.world.go(self.world.operator(job, "unlock"), "end")

    @rule(who=st.integers(0, 2), fault=st.sampled_from(FAULTS), far=st.sampled_from(FAR))
    def fault_occurs(self, who: int, fault: Order, far: Far) -> None:
        living = self.world.living
        if living:
            self.world.go(living[who % len(living)], far, fault)

    @rule(place=st.integers(0, 3), act=st.sampled_from(ACTS))
    def outsider_acts(self, place: int, act: str) -> None:
        match act:
            case "look":
                self.world.readers_agree()
            case "take away":
                self.world.take_away(self.world.media.places[place])
            case "put":
                self.world.put(self.world.media.places[place])

    def teardown(self) -> None:
        promises = self.world.promises
        if promises.broken:
            self.world.abandon()
            return
        for actor in self.world.living if self.calm else ():
            self.world.go(actor, "end")
        self.met.update(promises.code(actor) for actor in self.world.actors if actor.at is None)
        self.met["published in the window"] += sum(promises.late.values())
        self.world.crash_all()
        self.world.readers_agree()
        for job in self.world.known:
            self.world.an_operator_finishes(job)
        self.world.readers_agree()


def search(
    media: Media, stores: Callable[[], Callable[[], Store]], examples: int, like: settings | None = None
) -> Counter[str]:
    """Runs the model and returns how often each ending occurred. stores: returns an opener of a new store."""
    met: Counter[str] = Counter()
    run_state_machine_as_test(
        lambda: Protocol(media, stores(), met),  # type: ignore[arg-type]  # its documentation allows any factory
        settings=settings(
            like or settings(),
            max_examples=examples,
            stateful_step_count=6,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
    return met


@pytest.mark.clause("A2", "F4", "I7", "P3", "P5", "T2", "V2", "V3", "V5")
def test_any_interleaving_keeps_the_promises_of_the_protocol(media: Media) -> None:
    met = search(media, in_memory, settings().max_examples * 3 // 5)
    required = {
        "COMPLETED",
        "LOCK_LOST",
        "Crashed",
        "ATTEMPT_OUT_OF_ORDER",
        "OUTPUT_CLAIMED",
        "published in the window",
    }
    assert not required - {ending for ending, count in met.items() if count}, met  # else the model is too weak


@pytest.mark.clause("A6", "P3", "T2", "T7")
@pytest.mark.parametrize("media", ["folder"], indirect=True)
def test_the_promises_hold_for_a_store_in_a_folder(media: Media, tmp_path: Path) -> None:
    folders = iter(range(1_000_000))
    search(media, lambda: in_folder(tmp_path / f"store{next(folders)}"), settings().max_examples // 20)
