"""The list of clauses, and which of them have a test that ran. Pure, except for `load`."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CLAUSES: Final = Path(__file__).parent.parent / "clauses.toml"


@dataclass(frozen=True)
class Clauses:
    """texts: short text by id. later: by id, the reason why only a later part of the project can show the clause."""

    texts: Mapping[str, str]
    later: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """missing: a line for each clause without a test that ran. later: a line for each clause that is not due yet."""

    missing: tuple[str, ...]
    later: tuple[str, ...]


def load(file: Path = CLAUSES) -> Clauses:
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    later = {entry["id"]: entry["reason"] for entry in raw["later"]}
    if unknown := later.keys() - raw["clauses"].keys():
        raise ValueError(f"{file.name}: later names {', '.join(sorted(unknown))}, which is not a clause")
    if len(later) != len(raw["later"]):
        raise ValueError(f"{file.name}: later names a clause twice")
    return Clauses(raw["clauses"], later)


def judge(clauses: Clauses, ran: Mapping[str, Collection[str]]) -> Verdict:
    """Returns the verdict on a session. ran: by clause id, the tests that passed or failed; a skip shows nothing."""
    unshown = [clause for clause in clauses.texts if clause not in clauses.later and not ran.get(clause)]
    later = []
    for clause, reason in clauses.later.items():
        count = len(ran.get(clause, ()))
        so_far = f"Tests that show a part of it: {count}." if count else "No test shows it."
        later.append(f"{clause}: {clauses.texts[clause]}. Later, because it {reason}. {so_far}")
    return Verdict(tuple(f"{clause}: {clauses.texts[clause]}" for clause in unshown), tuple(later))
