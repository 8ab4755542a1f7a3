"""Which tests of a session showed which clause, as a small file; several sessions can be put together."""

from __future__ import annotations

import inspect
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeAlias

SCHEMA: Final = "proxx.clauses/1"


@dataclass(frozen=True)
class Shown:
    """One test that names a clause. outcome: passed, failed, error or skipped. how: what it does, in one line.

    lead: its mark says that the clause is best told by this test.
    """

    test: str
    outcome: str
    how: str
    lead: bool = False


Record: TypeAlias = Mapping[str, tuple[Shown, ...]]
"""Clause to its tests, in the order of their names."""


def how_of(test: object, name: str) -> str:
    """The first line of the test's docstring, else its name in words."""
    return sentence_of(inspect.getdoc(test) or "", name)


def sentence_of(told: str, name: str) -> str:
    """The same of a docstring."""
    line = told.partition("\n")[0].strip() or name.removeprefix("test_").replace("_", " ").strip().capitalize()
    return line if line.endswith((".", "!", "?")) else f"{line.rstrip(':;,')}."


def write(file: Path, shown: Mapping[str, Iterable[Shown]]) -> None:
    clauses = {
        clause: [asdict(one) for one in sorted(shown[clause], key=lambda one: one.test)] for clause in sorted(shown)
    }
    file.write_text(json.dumps({"schema": SCHEMA, "clauses": clauses}, indent=1) + "\n", encoding="utf-8")


def read(file: Path) -> Record:
    """Raises ValueError where it is no record."""
    raw = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise ValueError(f"{file}: not a record of clauses ({SCHEMA})")
    return {clause: tuple(Shown(**one) for one in tests) for clause, tests in raw["clauses"].items()}


def merge(records: Iterable[Record]) -> Record:
    """Of a test that is in several, the last counts; that it was skipped never outweighs that it ran."""
    merged: defaultdict[str, dict[str, Shown]] = defaultdict(dict)
    for record in records:
        for clause, tests in record.items():
            for one in tests:
                before = merged[clause].get(one.test)
                if before is None or one.outcome != "skipped" or before.outcome == "skipped":
                    merged[clause][one.test] = one
    return {clause: tuple(tests[name] for name in sorted(tests)) for clause, tests in merged.items()}
