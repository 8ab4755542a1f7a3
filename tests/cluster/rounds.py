"""The record of one storm, and the report on several."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.cluster.plan import Action, Blow

NOTHING: Final = "nothing"  # how the description of a blow that met no work begins
SHOWN: Final = ("completed", "failed", "interrupted", "held", "never begun")


@dataclass(frozen=True)
class Hit:
    """A blow that was struck. host: None if it hit all hosts. began, ended: UTC."""

    blow: Blow
    host: str | None
    began: datetime
    ended: datetime


@dataclass
class Round:
    """One storm and its outcome, for the report. hit: by step, what the host did when it was hit."""

    seed: int
    plan: tuple[Action, ...]
    hit: dict[int, str] = field(default_factory=dict)
    blows: list[Hit] = field(default_factory=list)
    after: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    untouched: int = 0
    attempts: int = 0
    outputs: int = 0
    operator: list[str] = field(default_factory=list)
    seconds: int = 0

    @property
    def struck(self) -> int:
        """The number of blows that hit a host in the phase they were meant for."""
        return sum(map(self.found_work, self.hit))

    def found_work(self, step: int) -> bool:
        return not self.hit.get(step, NOTHING).startswith(NOTHING)

    def as_data(self) -> dict[str, Any]:
        steps = [{"action": str(action), "found": self.hit.get(action.step, "not reached")} for action in self.plan]
        shown = {name: value for name, value in vars(self).items() if name not in ("plan", "hit", "blows")}
        return {**shown, "steps": steps}


def table(rounds: Sequence[Round]) -> str:
    """Returns a table with one line for each round."""
    head = ("seed", "blows", "at work", "submitted", *SHOWN, "untouched", "attempts", "s")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for storm in rounds:
        after = storm.after
        cells = [storm.seed, len(storm.plan), storm.struck, sum(after.values())]
        cells += [*(after.get(kind, 0) for kind in SHOWN), storm.untouched, storm.attempts, storm.seconds]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def write_report(folder: Path, rounds: Sequence[Round], trouble: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = {"rounds": [storm.as_data() for storm in rounds], "trouble": trouble}
    (folder / "storm.json").write_text(json.dumps(data, indent=1) + "\n")
    verdict = f"**Broken:** {trouble}\n" if trouble else "Every job had its unscaled outcome, in every round.\n"
    (folder / "storm.md").write_text(f"# Storm\n\n{verdict}\n{table(rounds)}\n{landed(rounds)}\n")


def landed(rounds: Sequence[Round]) -> str:
    """Returns how often each kind of blow hit a host in the phase it was meant for, as a sentence."""
    counts = Counter(action.blow for storm in rounds for action in storm.plan if storm.found_work(action.step))
    return "At work when hit: " + ", ".join(f"{blow} {counts[blow]}" for blow in Blow) + "."
