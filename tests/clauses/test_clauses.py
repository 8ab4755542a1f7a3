"""Every clause has a test that ran, and the check itself works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clauses.walk import Clauses, judge, load
from tests.conftest import ClauseCount

TESTS = Path(__file__).parents[1]
MODULES = ("__init__.py", "record.py", "walk.py", "test_clauses.py")


def test_every_clause_has_a_test_that_ran(clause_count: ClauseCount) -> None:
    """Runs last. A test names a clause with `@pytest.mark.clause("I1")`; the list is `tests/clauses.toml`."""
    if reason := clause_count.why_not_whole():
        pytest.skip(f"CLAUSES NOT JUDGED: {reason}; run `pytest` from the root")
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("judged by the process that collects the workers' reports: see the end of the session")
    missing = clause_count.verdict().missing
    assert not missing, "no test that ran names these clauses:\n" + "\n".join(missing)


def test_the_list_has_every_clause() -> None:
    clauses = load()
    ranges = {"I": 7, "A": 7, "F": 5, "T": 7, "N": 4, "P": 6, "V": 6}
    assert set(clauses.texts) == {f"{letter}{n}" for letter, last in ranges.items() for n in range(1, last + 1)}
    assert all(clauses.texts.values())
    assert all(clauses.later.values())


def test_a_clause_is_missing_until_a_test_ran() -> None:
    clauses = Clauses({"I1": "same", "A1": "alone", "V6": "gone"}, {"V6": "needs more"})
    assert judge(clauses, {"I1": {"t"}}).missing == ("A1: alone",)
    assert judge(clauses, {"I1": {"t"}, "A1": {"t"}}).missing == ()
    assert judge(clauses, {}).later == ("V6: gone. Later, because it needs more. No test shows it.",)
    assert judge(clauses, {"V6": {"t", "u"}}).later[0].endswith("Tests that show a part of it: 2.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('later = [{ id = "X1", reason = "r" }]\n[clauses]\nI1 = "t"', "X1, which is not a clause"),
        ('later = [{ id = "I1", reason = "r" }, { id = "I1", reason = "r" }]\n[clauses]\nI1 = "t"', "twice"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "clauses.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "clauses.toml")


LIST = 'later = [{ id = "V6", reason = "needs more" }]\n[clauses]\nI1 = "same"\nA1 = "alone"\nV6 = "gone"\n'
SHOWN = """
import pytest
@pytest.mark.clause("I1")
def test_same(): pass
@pytest.mark.clause("I1", "A1")
def test_alone(): {body}
"""


def session(folder: Path, body: str, *arguments: str) -> tuple[int, str]:
    """Runs pytest in a small project with this check. Returns its exit status and output."""
    tests = folder / "tests"
    (tests / "clauses").mkdir(parents=True)
    (tests / "support").mkdir()
    support = ("support/__init__.py", "support/session.py")
    for name in ("__init__.py", "conftest.py", *support, *(f"clauses/{name}" for name in MODULES)):
        shutil.copy(TESTS / name, tests / name)
    (tests / "clauses.toml").write_text(LIST)
    (tests / "test_shown.py").write_text(SHOWN.format(body=body))
    (folder / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\ntestpaths = ["tests"]\naddopts = "-ra"\nmarkers = ["clause(id): shows"]\n'
    )
    only = ["-o", "python_functions=test_every_clause* test_same test_alone", "-o", f"cache_dir={folder}/cache"]
    without = ["-p", "no:tests.objects.fixtures", "-p", "no:tests.tiers"]  # conftest.py names them; not copied
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *only, *without, *arguments],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")} | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_whole_session_is_judged(tmp_path: Path) -> None:
    status, output = session(tmp_path, "pass")
    assert (status, "3 passed" in output) == (0, True), output
    assert "CLAUSES LEFT FOR LATER: 1 of 3" in output
    assert "V6: gone. Later, because it needs more." in output


@pytest.mark.parametrize("body", ["pytest.skip('no service')", "pytest.xfail('not yet')"])
def test_a_skipped_test_shows_nothing(body: str, tmp_path: Path) -> None:
    status, output = session(tmp_path, body)
    assert status == 1, output
    assert "no test that ran names these clauses:" in output
    assert "A1: alone" in output
    assert "I1: same" not in output.replace("A1: alone", "")


@pytest.mark.parametrize(
    "arguments",
    [("-k", "alone or every"), ("tests/test_shown.py", "tests/clauses"), ("-m", "clause"), ("--deselect", "x"),
     ("--ignore", "tests/test_shown.py"), ("--lf",)],
)  # fmt: skip
def test_a_part_of_the_suite_is_not_judged(arguments: tuple[str, ...], tmp_path: Path) -> None:
    status, output = session(tmp_path, "pass", *arguments)
    assert status == 0, output
    assert re.search(r"Clauses not judged: only a part of the suite was selected \(.+\)", output), output


def test_a_mark_with_an_unknown_clause_is_an_error(tmp_path: Path) -> None:
    status, output = session(tmp_path, "pass\n@pytest.mark.clause('X9')\ndef test_same(): pass")
    assert status == pytest.ExitCode.USAGE_ERROR, output
    assert "test_shown.py::test_same: no clause is called 'X9'" in output
