"""The plan of a storm, derived from its seed: which blow, in which phase, on which host, for how long. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Blow(StrEnum):
    RUN_KILLED = "run killed"
    WORKER_KILLED = "worker killed"
    HOST_CRASHED = "host crashed"
    CABLE_OUT = "cable out"
    STORAGE_LOST = "way to storage lost"
    STORAGE_KILLED = "storage killed"
    API_KILLED = "API killed"
    CLOCK_WRONG = "clock wrong"


class Phase(StrEnum):
    """What the host does when it is hit."""

    BEGUN = "a run begun"
    ENCODING = "an encoder at work"


EVERYWHERE = frozenset({Blow.STORAGE_KILLED, Blow.API_KILLED})
"""These hit all hosts; the host of the action only decides when."""


@dataclass(frozen=True)
class Action:
    """One blow of a plan. step: from 1. seconds: how long a lasting blow lasts. shift: of a wrong clock."""

    step: int
    blow: Blow
    host: str
    phase: Phase
    seconds: int
    shift: str = ""

    def __str__(self) -> str:
        lasting = f" for {self.seconds} s" if self.seconds else ""
        by = f" by {self.shift}" if self.shift else ""
        where = f"at {self.host}'s" if self.blow in EVERYWHERE else f"on {self.host} at"
        return f"{self.step}. {self.blow}{by}{lasting}, {where} {self.phase}"


LASTING = {Blow.CABLE_OUT, Blow.STORAGE_LOST, Blow.STORAGE_KILLED, Blow.CLOCK_WRONG}
SHIFTS = ("+5h", "-7h", "+3d", "-30d")


def plan(seed: int, hosts: Sequence[str], count: int) -> tuple[Action, ...]:
    """Returns the plan for a seed, always the same. Each kind of blow comes once before any comes again."""
    chance = random.Random(seed)
    actions: list[Action] = []
    left: list[Blow] = []
    for step in range(1, count + 1):
        left = left or chance.sample(list(Blow), len(Blow))
        blow = left.pop()
        seconds = chance.choice((2, 5, 9, 20)) if blow in LASTING else 0
        shift = chance.choice(SHIFTS) if blow is Blow.CLOCK_WRONG else ""
        actions.append(Action(step, blow, chance.choice(list(hosts)), chance.choice(list(Phase)), seconds, shift))
    return tuple(actions)
