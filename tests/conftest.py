"""What every test session does: counts which clauses are shown, and searches for the same examples every time."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

from tests.clauses.record import Shown, how_of, write
from tests.clauses.walk import Verdict, judge, load
from tests.support.session import close_session, open_session

pytest_plugins = ["tests.objects.fixtures", "tests.tiers"]

WALK: Final = "tests/clauses/test_clauses.py::test_every_clause_has_a_test_that_ran"
NARROWING: Final = ("keyword", "deselect", "ignore", "ignore_glob", "lf", "stepwise", "collectonly")
WHOLE: Final = ("", "not bench", "not bench and not hosts")  # benchmarks show no clause

settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("search", database=None, deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


class ClauseCount:
    """Counts, for each clause, the tests of this session that ran and name it."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.clauses = load()
        self.ran: defaultdict[str, set[str]] = defaultdict(set)
        self.shown: defaultdict[str, dict[str, Shown]] = defaultdict(dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Moves the check of all clauses to the end. Raises UsageError if a test names no clause."""
        items.sort(key=lambda item: item.nodeid == WALK)
        for item in items:
            for mark in item.iter_markers("clause"):
                for clause in mark.args:
                    if clause not in self.clauses.texts:
                        raise pytest.UsageError(f"{item.nodeid}: no clause is called {clause!r}")
                    item.user_properties.append(("clause", clause))
                    if mark.kwargs.get("lead"):
                        item.user_properties.append(("lead", clause))
            if any(name == "clause" for name, _ in item.user_properties):
                name = getattr(item, "originalname", item.name)
                item.user_properties.append(("how", how_of(getattr(item, "function", None), name)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes the outcome for each clause of the test, from the report: xdist passes reports to the controller."""
        properties = report.user_properties
        clauses = {str(value) for name, value in properties if name == "clause"}
        if report.when == "call" and report.outcome != "skipped":
            for clause in clauses:
                self.ran[clause].add(report.nodeid)
        if report.when == "call" or report.outcome != "passed":
            outcome = "error" if report.when != "call" and report.outcome == "failed" else report.outcome
            how = next((str(value) for name, value in properties if name == "how"), "")
            for clause in clauses:
                self.shown[clause][report.nodeid] = Shown(report.nodeid, outcome, how, ("lead", clause) in properties)

    def why_not_whole(self) -> str | None:
        """Returns why this session cannot tell which clauses lack a test, or None if it runs the whole suite."""
        option = self.config.option
        narrowed = [f"--{name}" for name in NARROWING if getattr(option, name, None)]
        if option.markexpr not in WHOLE:
            narrowed.append("-m")
        given = {(self.config.invocation_params.dir / arg).resolve() for arg in self.config.args}
        if given - {self.config.rootpath, self.config.rootpath / "tests"}:
            narrowed.append("some paths")
        return f"only a part of the suite was selected ({', '.join(narrowed)})" if narrowed else None

    def verdict(self) -> Verdict:
        return judge(self.clauses, self.ran)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Writes the record and judges the clauses. With xdist the controller does: no worker sees all tests."""
        file = self.config.option.clauses_record
        if file is not None and not hasattr(self.config, "workerinput"):
            write(
                self.config.invocation_params.dir / file,
                {clause: shown.values() for clause, shown in self.shown.items()},
            )
        if getattr(self.config.option, "numprocesses", None) and not self.why_not_whole() and self.verdict().missing:
            session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if reason := self.why_not_whole():
            terminalreporter.write_line(f"Clauses not judged: {reason}.")
            return
        verdict = self.verdict()
        for title, lines in (("CLAUSES WITHOUT A TEST", verdict.missing), ("CLAUSES LEFT FOR LATER", verdict.later)):
            if lines:
                count = f"{len(lines)} of {len(self.clauses.texts)}"
                terminalreporter.section(f"{title}: {count}", bold=True, yellow=True)
                for line in lines:
                    terminalreporter.write_line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clauses-record",
        type=Path,
        metavar="FILE",
        help="write down which tests showed which clause, for `python -m tests.clauses.table`",
    )


SESSION: Final = pytest.StashKey[Path | None]()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(ClauseCount(config), "clause-count")
    config.stash[SESSION] = open_session()


def pytest_unconfigure(config: pytest.Config) -> None:
    if (folder := config.stash.get(SESSION, None)) is not None:
        close_session(folder)


@pytest.fixture(scope="session")
def clause_count(pytestconfig: pytest.Config) -> ClauseCount:
    """The count of this session, of the tests that have run so far."""
    count = pytestconfig.pluginmanager.get_plugin("clause-count")
    assert isinstance(count, ClauseCount)
    return count
