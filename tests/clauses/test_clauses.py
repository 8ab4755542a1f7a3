"""Every clause has a test that ran; and the walk that says so can be believed."""

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
    """Runs last. Marks are `@pytest.mark.clause("I1")`; the list is `tests/clauses.toml`."""
    if why := clause_count.why_not_whole():
        pytest.skip(f"CLAUSES NOT JUDGED: {why}; run `pytest` from the root")
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("judged where the workers' reports come together: see the end of the session")
    missing = clause_count.verdict().missing
    assert not missing, "no test that ran names these clauses:\n" + "\n".join(missing)


def test_the_list_is_the_index() -> None:
    clauses = load()
    ranges = {"I": 7, "A": 7, "F": 5, "T": 7, "N": 4, "P": 6, "V": 6}
    assert set(clauses.texts) == {f"{letter}{n}" for letter, last in ranges.items() for n in range(1, last + 1)}
    assert all(clauses.texts.values())
    assert all(clauses.later.values())


def test_a_clause_is_missing_until_a_test_ran() -> None:
    clauses = Clauses({"I1": "same", "A1": "alone", "V6": "gone"}, {"V6": "needs more"})
    assert judge(clauses, {"I1": {"t"}}).missing == ("A1: alone",)
    assert judge(clauses, {"I1": {"t"}, "A1": {"t"}}).missing == ()
    assert judge(clauses, {}).later == ("V6: gone. Later, because it needs more. Nothing shows it.",)
    assert judge(clauses, {"V6": {"t", "u"}}).later[0].endswith("Tests that show a part of it: 2.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('later = [{ id = "X1", reason = "r" }]\n[clauses]\nI1 = "t"', "X1, which is no clause"),
        ('later = [{ id = "I1", reason = "r" }, { id = "I1", reason = "r" }]\n[clauses]\nI1 = "t"', "twice"),
    ],
)
def test_a_list_that_contradicts_itself(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "clauses.toml").write_text(text)
    with pytest.raises(ValueError, match=said):
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
    """A small project of its own with this walk in it: exit status and output of its pytest."""
    tests = folder / "tests"
    (tests / "clauses").mkdir(parents=True)
    for name in ("__init__.py", "conftest.py", *(f"clauses/{name}" for name in MODULES)):
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


def test_a_whole_session_judges(tmp_path: Path) -> None:
    status, said = session(tmp_path, "pass")
    assert (status, "3 passed" in said) == (0, True), said
    assert "CLAUSES LEFT FOR LATER: 1 of 3" in said
    assert "V6: gone. Later, because it needs more." in said


@pytest.mark.parametrize("body", ["pytest.skip('no service')", "pytest.xfail('not yet')"])
def test_a_skipped_test_shows_nothing(body: str, tmp_path: Path) -> None:
    status, said = session(tmp_path, body)
    assert status == 1, said
    assert "no test that ran names these clauses:" in said
    assert "A1: alone" in said
    assert "I1: same" not in said.replace("A1: alone", "")


@pytest.mark.parametrize(
    "arguments",
    [("-k", "alone or every"), ("tests/test_shown.py", "tests/clauses"), ("-m", "clause"), ("--deselect", "x"),
     ("--ignore", "tests/test_shown.py"), ("--lf",)],
)  # fmt: skip
def test_a_part_of_the_suite_is_not_judged(arguments: tuple[str, ...], tmp_path: Path) -> None:
    status, said = session(tmp_path, "pass", *arguments)
    assert status == 0, said
    assert re.search(r"Clauses not judged: only a part of the suite was asked for \(.+\)", said), said


def test_a_name_that_is_no_clause_is_an_error(tmp_path: Path) -> None:
    status, said = session(tmp_path, "pass\n@pytest.mark.clause('X9')\ndef test_same(): pass")
    assert status == pytest.ExitCode.USAGE_ERROR, said
    assert "test_shown.py::test_same: no clause is called 'X9'" in said
