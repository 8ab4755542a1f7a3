"""Makes the table of clauses from records of test sessions: what must hold, how it was shown, which tests.

`pytest --clauses-record FILE` writes a record; `python -m tests.clauses.table FILE... [--write FILE]` makes the
table. It refuses if a test of the records failed, or if a clause that is due has no test.
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
"""Test parameters that name the storage on which the clause was shown, in the order of the table."""
MODULES: Final = 3  # a row names at most this many modules
PART: Final = "In part"
NOT_YET: Final = "Not yet"


class NoTable(ValueError):
    """The records do not show what the table would claim."""


def table(clauses: Clauses, record: Record) -> str:
    """Returns the table in Markdown, one row for each clause in the order of the list. Raises NoTable."""
    bad = sorted({f"{test.test} {test.outcome}" for tests in record.values() for test in tests if _is_bad(test)})
    passed = {clause: [test for test in tests if test.outcome == "passed"] for clause, tests in record.items()}
    missing = judge(clauses, {clause: [test.test for test in tests] for clause, tests in passed.items()}).missing
    unknown = sorted(record.keys() - clauses.texts.keys())
    faults = [
        *(f"no test that passed shows {line}" for line in missing),
        *(f"there is no clause {clause}" for clause in unknown),
        *bad,
    ]
    if faults:
        raise NoTable("\n".join(faults))
    breadth = Counter(test.test for tests in passed.values() for test in tests)
    rows = [["id", "what must hold", "how it was shown", "on", "tests"]]
    for clause, text in clauses.texts.items():
        tests = passed.get(clause, [])
        rows.append([clause, text, _how(tests, breadth, clauses.later.get(clause)), *_by(tests)])
    if not any(row[3] for row in rows[1:]):
        rows = [[*row[:3], row[4]] for row in rows]
    lines = [_line(rows[0]), _line(["---"] * len(rows[0])).replace(" ", ""), *map(_line, rows[1:])]
    return "\n".join(lines) + "\n"


def _is_bad(test: Shown) -> bool:
    return test.outcome not in ("passed", "skipped")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _how(tests: Sequence[Shown], breadth: Counter[str], later: str | None) -> str:
    """Returns what the leading tests do; without a leading test, what the test that shows the most clauses does."""
    if not tests:
        return f"{NOT_YET}, because it {later}."
    sentences = list(dict.fromkeys(test.how for test in tests if test.lead))
    if not sentences:
        sentences = [min(tests, key=lambda test: (-breadth[test.test], test.test)).how]
    return " ".join([*([f"{PART}, because it {later}:"] if later else []), *sentences[:2]])


def _by(tests: Sequence[Shown]) -> tuple[str, str]:
    """Returns the storage on which the clause was shown, and the number of tests with links to the main modules."""
    on = {place for test in tests for place in _parameters(test.test) if place in PLACES}
    count = Counter(module_of(test.test) for test in tests)
    leading = {module_of(test.test) for test in tests if test.lead}
    modules = sorted(count, key=lambda module: (module not in leading, -count[module], module))[:MODULES]
    links = ", ".join(f"[{module.removeprefix('tests/').removesuffix('.py')}](../{module})" for module in modules)
    distinct = len({one.test.partition("[")[0] for one in tests})  # one test with many parameters counts once
    return ", ".join(place for place in PLACES if place in on), f"{distinct}: {links}" if tests else "0"


def module_of(test: str) -> str:
    return test.partition("::")[0]


def _parameters(test: str) -> list[str]:
    return test.partition("[")[2].removesuffix("]").split("-")


def put(text: str, markdown: str) -> str:
    """Returns `text` with the table between its marks. Raises NoTable unless each mark is there once, in order."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise NoTable(f"the file must contain {BEGIN} and {END} once each, in this order")
    return f"{before}{BEGIN}\n{markdown}{END}{after}"


def main(args: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clauses.table", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "record",
        nargs="+",
        type=Path,
        help="a file written by pytest --clauses-record; the last record of a test counts",
    )
    parser.add_argument(
        "--write", type=Path, metavar="docs/evidence.md", help="put the table between its marks in this file"
    )
    options = parser.parse_args(args)
    try:
        markdown = table(load(), merge(map(read, options.record)))
        if options.write is None:
            sys.stdout.write(markdown)
        else:
            options.write.write_text(put(options.write.read_text("utf-8"), markdown), "utf-8")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"no table was made:\n{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
