"""The record of a test session: which tests showed which clause. Records of several sessions can be merged."""

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

    lead: its mark says that this test describes the clause best.
    """

    test: str
    outcome: str
    how: str
    lead: bool = False


Record: TypeAlias = Mapping[str, tuple[Shown, ...]]
"""The tests of each clause, by name."""


def how_of(test: object, name: str) -> str:
    """Returns the first line of the test's docstring, or its name as a sentence if it has none."""
    return sentence_of(inspect.getdoc(test) or "", name)


def sentence_of(docstring: str, name: str) -> str:
    """Returns the first line of the docstring as a sentence, or the name of the test if it is empty."""
    line = docstring.partition("\n")[0].strip() or name.removeprefix("test_").replace("_", " ").strip().capitalize()
    return line if line.endswith((".", "!", "?")) else f"{line.rstrip(':;,')}."


def write(file: Path, shown: Mapping[str, Iterable[Shown]]) -> None:
    clauses = {
        clause: [asdict(test) for test in sorted(shown[clause], key=lambda test: test.test)]
        for clause in sorted(shown)
    }
    file.write_text(json.dumps({"schema": SCHEMA, "clauses": clauses}, indent=1) + "\n", encoding="utf-8")


def read(file: Path) -> Record:
    """Returns the record in the file. Raises ValueError if the file is no record."""
    raw = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise ValueError(f"{file}: not a record of clauses ({SCHEMA})")
    return {clause: tuple(Shown(**test) for test in tests) for clause, tests in raw["clauses"].items()}


def merge(records: Iterable[Record]) -> Record:
    """Merges records. The last outcome of a test counts, except that a skip never replaces an outcome of a run."""
    merged: defaultdict[str, dict[str, Shown]] = defaultdict(dict)
    for record in records:
        for clause, tests in record.items():
            for test in tests:
                earlier = merged[clause].get(test.test)
                if earlier is None or test.outcome != "skipped" or earlier.outcome == "skipped":
                    merged[clause][test.test] = test
    return {clause: tuple(tests[name] for name in sorted(tests)) for clause, tests in merged.items()}
