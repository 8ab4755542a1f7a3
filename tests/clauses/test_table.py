"""The table of clauses agrees with the list and the tests, and its command claims only what was shown."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clauses.record import SCHEMA, Record, Shown, how_of, merge, read, sentence_of, write
from tests.clauses.table import BEGIN, END, NOT_YET, PART, NoTable, main, put, table
from tests.clauses.test_clauses import session
from tests.clauses.walk import Clauses, load

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "docs" / "evidence.md"
LINK = re.compile(r"\[([^]]+)\]\(([^)]+)\)")
REMAKE = (
    "make it again: `pytest --clauses-record FILE`, "
    "then `python -m tests.clauses.table FILE --write docs/evidence.md`"
)


def rows() -> list[list[str]]:
    text = EVIDENCE.read_text("utf-8").split(BEGIN)[1].split(END)[0]
    head, _, *lines = [re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in text.strip().splitlines()]
    assert (head[:3], head[-1]) == (["id", "what must hold", "how it was shown"], "tests")
    return lines


# --- docs/evidence.md --------------------------------------------------------------------------------------


def test_the_table_has_every_clause_with_its_current_text() -> None:
    texts = [(row[0], row[1].replace("\\|", "|")) for row in rows()]
    assert texts == list(load().texts.items()), REMAKE


def test_the_table_names_existing_test_modules() -> None:
    for row in rows():
        modules = LINK.findall(row[-1])
        assert len(modules) <= 3
        for name, target in modules:
            assert target == f"../tests/{name}.py"
            if target.startswith(("../tests/flows/", "../tests/cluster/")) and not (ROOT / "tests/flows").exists():
                continue  # this checkout is without the scaling code (clause V6)
            assert (EVIDENCE.parent / target).is_file(), f"{row[0]}: {target} is not there: {REMAKE}"


def sentences() -> dict[str, set[str]]:
    """Returns the sentences of the tests in their current files, by the clause they name."""
    sentences: dict[str, set[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                sentence = sentence_of(ast.get_docstring(node) or "", node.name)
                for clause in clauses_of(node):
                    sentences.setdefault(clause, set()).add(sentence)
    return sentences


def clauses_of(node: ast.FunctionDef) -> set[str]:
    calls = [decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    marks = [call for call in calls if ast.unparse(call.func) == "pytest.mark.clause"]
    return {str(value.value) for mark in marks for value in mark.args if isinstance(value, ast.Constant)}


def test_the_table_quotes_current_sentences_of_tests() -> None:
    if not (ROOT / "tests/flows").exists():
        pytest.skip("this checkout is without the scaling code (clause V6), and without its tests")
    current = sentences()
    for row in rows():
        quoted, known = row[2].replace("\\|", "|"), current[row[0]]
        assert quoted in known or any(
            quoted == f"{first} {second}" for first in known if quoted.startswith(first) for second in known
        ), f"{row[0]}: no test says {quoted!r}: {REMAKE}"


def test_the_table_marks_exactly_the_clauses_left_for_later() -> None:
    later = load().later
    for row in rows():
        shown = row[2].partition(",")[0]
        assert (shown in (PART, NOT_YET)) == (row[0] in later), f"{row[0]}: {REMAKE}"
        assert int(row[-1].partition(":")[0]) > 0 or shown == NOT_YET


# --- the table ---------------------------------------------------------------------------------------------

CLAUSES = Clauses({"I1": "same | bytes", "A1": "alone", "V6": "gone"}, {"V6": "needs more"})


def shown(test: str, how: str = "It is.", *, outcome: str = "passed", lead: bool = False) -> Shown:
    return Shown(test, outcome, how, lead)


def lines(record: Record) -> list[str]:
    return table(CLAUSES, record).splitlines()


def test_a_row_for_each_clause_in_the_lists_order() -> None:
    one, two = shown("tests/a/test_x.py::test_one"), shown("tests/test_y.py::test_two", "By | two.")
    assert lines({"V6": (one,), "A1": (one, two), "I1": (two,)}) == [
        "| id | what must hold | how it was shown | tests |",
        "|---|---|---|---|",
        "| I1 | same \\| bytes | By \\| two. | 1: [test_y](../tests/test_y.py) |",
        "| A1 | alone | It is. | 2: [a/test_x](../tests/a/test_x.py), [test_y](../tests/test_y.py) |",
        "| V6 | gone | In part, because it needs more: It is. | 1: [a/test_x](../tests/a/test_x.py) |",
    ]
    assert lines({"A1": (one,), "I1": (two,)})[-1] == "| V6 | gone | Not yet, because it needs more. | 0 |"


def test_the_leading_tests_are_quoted_or_else_the_broadest() -> None:
    narrow, broad = shown("tests/a.py::test_a", "Narrow."), shown("tests/z.py::test_z", "Broad.")
    assert "| Broad. |" in lines({"A1": (narrow, broad), "I1": (broad,)})[3]
    leading = tuple(shown(f"tests/m.py::test_l[{n}]", f"Lead {n // 2}.", lead=True) for n in range(6))
    row = lines({"A1": (narrow, broad, *leading), "I1": (broad,)})[3]
    assert "| Lead 0. Lead 1. |" in row
    assert row.endswith("| 3: [m](../tests/m.py), [a](../tests/a.py), [z](../tests/z.py) |")


def test_a_row_names_the_three_modules_with_most_tests() -> None:
    tests = tuple(
        shown(f"tests/{name}.py::test_{n}")
        for name, count in zip("abcd", (1, 3, 1, 2), strict=True)
        for n in range(count)
    )
    row = lines({"A1": tests, "I1": tests})[2]
    assert row.endswith("| 7: [b](../tests/b.py), [d](../tests/d.py), [a](../tests/a.py) |")


def test_the_storage_is_named_if_tests_have_it_as_a_parameter() -> None:
    tests = tuple(shown(f"tests/a.py::test_a[{words}]") for words in ("x-rgw", "file", "cluster-file-2", "profile"))
    table_lines = lines({"A1": tests, "I1": (shown("tests/a.py::test_b"),)})
    assert table_lines[0] == "| id | what must hold | how it was shown | on | tests |"
    assert "| It is. | file, rgw, cluster | 1: " in table_lines[3]
    assert "| It is. |  | 1: " in table_lines[2]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"I1": (shown("t::a"),)}, "no test that passed shows A1: alone"),
        ({"I1": (shown("t::a"),), "A1": (shown("t::b", outcome="skipped"),)}, "no test that passed shows A1: alone"),
        ({"I1": (shown("t::a"),), "A1": (shown("t::a"), shown("t::b", outcome="failed"))}, "t::b failed"),
        ({"I1": (shown("t::a"),), "A1": (shown("t::a"), shown("t::b", outcome="error"))}, "t::b error"),
        ({"I1": (shown("t::a"),), "A1": (shown("t::a"),), "X9": (shown("t::a"),)}, "there is no clause X9"),
    ],
)
def test_records_that_do_not_show_every_clause_make_no_table(record: Record, message: str) -> None:
    with pytest.raises(NoTable, match=re.escape(message)):
        table(CLAUSES, record)


@pytest.mark.parametrize(
    "text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{END}", f"{BEGIN}{BEGIN}{END}{BEGIN}"]
)
def test_a_file_without_the_marks_is_not_changed(text: str) -> None:
    with pytest.raises(NoTable, match=r"must contain .* once each, in this order"):
        put(text, "x\n")


def test_the_table_is_put_between_the_marks() -> None:
    once = put(f"a\n{BEGIN}\nold\n{END}\nb\n", "new\n")
    assert once == f"a\n{BEGIN}\nnew\n{END}\nb\n" == put(once, "new\n")


# --- the record --------------------------------------------------------------------------------------------


def test_a_test_is_described_by_its_docstring_or_its_name() -> None:
    def test_one_two() -> None:
        """Does a thing:

        More of it.
        """

    assert how_of(test_one_two, "test_one_two") == "Does a thing."
    assert how_of(None, "test_one_two") == "One two."


@pytest.mark.parametrize(
    ("outcomes", "left"),
    [
        (("passed", "skipped"), "passed"),
        (("skipped", "passed"), "passed"),
        (("failed", "passed"), "passed"),
        (("passed", "failed"), "failed"),
        (("failed", "skipped"), "failed"),
    ],
)
def test_the_last_outcome_of_a_run_counts(outcomes: tuple[str, ...], left: str) -> None:
    merged = merge({"I1": (shown("t", outcome=outcome),)} for outcome in outcomes)
    assert merged == {"I1": (shown("t", outcome=left),)}


def test_records_of_different_tests_are_merged(tmp_path: Path) -> None:
    b: Mapping[str, list[Shown]] = {"I1": [shown("b"), shown("a2")], "A1": [shown("b")]}
    write(tmp_path / "b.json", b)
    write(tmp_path / "a.json", {"I1": [shown("a", lead=True)]})
    merged = merge([read(tmp_path / "b.json"), read(tmp_path / "a.json")])
    assert merged == {"I1": (shown("a", lead=True), shown("a2"), shown("b")), "A1": (shown("b"),)}


@pytest.mark.parametrize("text", ["[]", '{"clauses": {}}', '{"schema": "proxx.clauses/2", "clauses": {}}', "{"])
def test_a_file_that_is_not_a_record_makes_no_table(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text(text)
    (tmp_path / "README.md").write_text(f"{BEGIN}{END}")
    assert main([str(tmp_path / "r.json"), "--write", str(tmp_path / "README.md")]) == 1
    assert "no table was made" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == f"{BEGIN}{END}"


def test_a_session_writes_its_record_and_the_command_makes_the_table(tmp_path: Path) -> None:
    """Sessions in a small project: one with a failure, then a part of it that passes, then the command."""
    body = "assert pytest is None\n@pytest.mark.clause('A1', lead=True)\n"
    body += "@pytest.mark.parametrize('x', ['file', 'moto'])\n"
    body += 'def test_alone_too(x):\n    """Each by itself."""'
    only = ("-o", "python_functions=test_same test_alone")
    status, output = session(tmp_path, body, *only, "--clauses-record", "one.json")
    assert status == 1, output
    record = json.loads((tmp_path / "one.json").read_text())
    place = "tests/test_shown.py::"
    assert record == {
        "schema": SCHEMA,
        "clauses": {
            "A1": [
                {"test": f"{place}test_alone", "outcome": "failed", "how": "Alone.", "lead": False},
                {"test": f"{place}test_alone_too[file]", "outcome": "passed", "how": "Each by itself.", "lead": True},
                {"test": f"{place}test_alone_too[moto]", "outcome": "passed", "how": "Each by itself.", "lead": True},
            ],
            "I1": [
                {"test": f"{place}test_alone", "outcome": "failed", "how": "Alone.", "lead": False},
                {"test": f"{place}test_same", "outcome": "passed", "how": "Same.", "lead": False},
            ],
        },
    }
    file = tmp_path / "tests/test_shown.py"
    file.write_text(file.read_text().replace("assert pytest is None", "pass"))
    (tmp_path / "tests/clauses/table.py").write_bytes((ROOT / "tests/clauses/table.py").read_bytes())
    (tmp_path / "README.md").write_text(f"# x\n{BEGIN}\n{END}\n")

    def make(*records: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tests.clauses.table", *records, "--write", "README.md"]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    refused = make("one.json")
    assert (refused.returncode, f"{place}test_alone failed" in refused.stderr) == (1, True), refused
    again = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:tests.objects.fixtures",
        "-p",
        "no:tests.tiers",
        f"{place}test_alone",
        "--clauses-record",
        "two.json",
    ]
    subprocess.run(again, cwd=tmp_path, capture_output=True, check=True)
    done = make("one.json", "two.json")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert "| A1 | alone | Each by itself. | file, moto | 2: [test_shown](../tests/test_shown.py) |" in text
    assert "| I1 | same | Alone. |  | 2: [test_shown](../tests/test_shown.py) |" in text


def test_without_the_option_no_record_is_written(tmp_path: Path) -> None:
    session(tmp_path, "pass")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "pyproject.toml", "tests"]
