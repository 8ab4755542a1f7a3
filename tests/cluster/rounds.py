"""What a storm was and what it came to, and the report of several."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.cluster.plan import Action, Blow

NOTHING: Final = "nothing"  # what the words for such a find begin with
SHOWN: Final = ("completed", "failed", "interrupted", "held", "never begun")


@dataclass(frozen=True)
class Struck:
    """One blow as it was: on one host, or on all where that is None, from and to (UTC)."""

    blow: Blow
    host: str | None
    began: datetime
    ended: datetime


@dataclass
class Round:
    """What one storm was and what it came to, for its report."""

    seed: int
    plan: tuple[Action, ...]
    hit: dict[int, str] = field(default_factory=dict)
    blows: list[Struck] = field(default_factory=list)
    after: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    untouched: int = 0
    attempts: int = 0
    outputs: int = 0
    operator: list[str] = field(default_factory=list)
    seconds: int = 0

    @property
    def struck(self) -> int:
        """Blows that found the host at the work they were meant for."""
        return sum(map(self.found_work, self.hit))

    def found_work(self, step: int) -> bool:
        return not self.hit.get(step, NOTHING).startswith(NOTHING)

    def as_data(self) -> dict[str, Any]:
        steps = [{"action": str(one), "found": self.hit.get(one.step, "not reached")} for one in self.plan]
        shown = {name: value for name, value in vars(self).items() if name not in ("plan", "hit", "blows")}
        return {**shown, "steps": steps}


def table(rounds: Sequence[Round]) -> str:
    """One line a round."""
    head = ("seed", "blows", "at work", "submitted", *SHOWN, "untouched", "attempts", "s")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in rounds:
        after = one.after
        cells = [one.seed, len(one.plan), one.struck, sum(after.values()), *(after.get(kind, 0) for kind in SHOWN)]
        lines.append("| " + " | ".join(map(str, [*cells, one.untouched, one.attempts, one.seconds])) + " |")
    return "\n".join(lines) + "\n"


def write_report(folder: Path, rounds: Sequence[Round], trouble: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = {"rounds": [one.as_data() for one in rounds], "trouble": trouble}
    (folder / "storm.json").write_text(json.dumps(data, indent=1) + "\n")
    verdict = f"**Broken:** {trouble}\n" if trouble else "Every job came to what it is unscaled, in every round.\n"
    (folder / "storm.md").write_text(f"# Storm\n\n{verdict}\n{table(rounds)}\n{landed(rounds)}\n")


def landed(rounds: Sequence[Round]) -> str:
    """How often each kind of blow found the host at the work it was meant for."""
    counts = Counter(step.blow for one in rounds for step in one.plan if one.found_work(step.step))
    return "At work when hit: " + ", ".join(f"{blow} {counts[blow]}" for blow in Blow) + "."
