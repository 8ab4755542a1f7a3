"""The table of clauses, from records of sessions: what must hold, how it was shown, by which tests.

`pytest --clauses-record FILE` writes a record; `python -m tests.clauses.table FILE... [--write FILE]` makes the
table. It is made only where all tests of the records passed and every clause that is due has one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.clauses.record import Record, Shown, merge, read
from tests.clauses.walk import Clauses, judge, load

BEGIN: Final = "<!-- clauses -->"
END: Final = "<!-- end of clauses -->"
PLACES: Final = ("file", "moto", "rgw", "cluster")
"""Parameters of tests that say what the clause was shown on, in this order."""
MODULES: Final = 3  # a row names the most telling ones only
PART: Final = "In part"
NOT_YET: Final = "Not yet"


class NoTable(ValueError):
    """The records do not show what the table would say."""


def table(clauses: Clauses, record: Record) -> str:
    """Markdown, one row a clause in the order of the list. Raises NoTable."""
    bad = sorted({f"{one.test} {one.outcome}" for tests in record.values() for one in tests if _is_bad(one)})
    passed = {clause: [one for one in tests if one.outcome == "passed"] for clause, tests in record.items()}
    missing = judge(clauses, {clause: [one.test for one in tests] for clause, tests in passed.items()}).missing
    unknown = sorted(record.keys() - clauses.texts.keys())
    faults = [
        *(f"no test passed that shows {line}" for line in missing),
        *(f"no clause is called {clause}" for clause in unknown),
        *bad,
    ]
    if faults:
        raise NoTable("\n".join(faults))
    breadth = Counter(one.test for tests in passed.values() for one in tests)
    rows = [["id", "what must hold", "how it was shown", "on", "tests"]]
    for clause, text in clauses.texts.items():
        tests = passed.get(clause, [])
        rows.append([clause, text, _how(tests, breadth, clauses.later.get(clause)), *_by(tests)])
    if not any(row[3] for row in rows[1:]):
        rows = [[*row[:3], row[4]] for row in rows]
    lines = [_line(rows[0]), _line(["---"] * len(rows[0])).replace(" ", ""), *map(_line, rows[1:])]
    return "\n".join(lines) + "\n"


def _is_bad(one: Shown) -> bool:
    return one.outcome not in ("passed", "skipped")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _how(tests: Sequence[Shown], breadth: Counter[str], later: str | None) -> str:
    """What its leading tests do; where none leads, the one that shows the most clauses."""
    if not tests:
        return f"{NOT_YET}, because it {later}."
    told = list(dict.fromkeys(one.how for one in tests if one.lead))
    if not told:
        told = [min(tests, key=lambda one: (-breadth[one.test], one.test)).how]
    return " ".join([*([f"{PART}, because it {later}:"] if later else []), *told[:2]])


def _by(tests: Sequence[Shown]) -> tuple[str, str]:
    """On what the clause was shown; the number of tests and the most telling modules, as links."""
    on = {place for one in tests for place in _parameters(one.test) if place in PLACES}
    count = Counter(module_of(one.test) for one in tests)
    leading = {module_of(one.test) for one in tests if one.lead}
    modules = sorted(count, key=lambda module: (module not in leading, -count[module], module))[:MODULES]
    links = ", ".join(f"[{module.removeprefix('tests/').removesuffix('.py')}](../{module})" for module in modules)
    distinct = len({one.test.partition("[")[0] for one in tests})  # one test with many parameters counts once
    return ", ".join(place for place in PLACES if place in on), f"{distinct}: {links}" if tests else "0"


def module_of(test: str) -> str:
    return test.partition("::")[0]


def _parameters(test: str) -> list[str]:
    return test.partition("[")[2].removesuffix("]").split("-")


def put(text: str, made: str) -> str:
    """`text` with the table between its marks. Raises NoTable where they are not there once each, in order."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise NoTable(f"{BEGIN} and {END} have to stand there once, in this order")
    return f"{before}{BEGIN}\n{made}{END}{after}"


def main(args: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clauses.table", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "record", nargs="+", type=Path, help="written by pytest --clauses-record; the last one counts"
    )
    parser.add_argument(
        "--write", type=Path, metavar="docs/evidence.md", help="put the table between its marks in this file"
    )
    asked = parser.parse_args(args)
    try:
        made = table(load(), merge(map(read, asked.record)))
        if asked.write is None:
            sys.stdout.write(made)
        else:
            asked.write.write_text(put(asked.write.read_text("utf-8"), made), "utf-8")
    except (ValueError, OSError) as why:
        sys.stderr.write(f"no table was made:\n{why}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
