"""The runs of Prefect by job, kept on disk while an audit reads the store: its memory does not grow with either."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from proxx_flows.audit.prefect_run import SeenRun

_COLUMNS: Final = "id, attempt, state_type, state_name, message, created, since, submitted, inline"


class RunIndex:
    """What was seen of all runs, by job. A temporary database of SQLite's, gone with its end."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # a private file that SQLite removes itself
        self._db.execute(f"CREATE TABLE run (job, foreign_to, {_COLUMNS}, PRIMARY KEY (id))")
        self._db.execute("CREATE INDEX by_job ON run (job, foreign_to)")
        self._db.execute("CREATE TABLE known (job TEXT PRIMARY KEY)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self._db.close()

    def add(self, job_id: str, run: SeenRun, foreign_to: str = "") -> None:
        """A run that comes twice is kept as it came last. foreign_to: the uuid of the store it names, if another."""
        what = (run.id, run.attempt, run.state_type, run.state_name, run.message, run.created, run.since)
        self._db.execute(
            "INSERT OR REPLACE INTO run VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (job_id, foreign_to, *what, run.submitted, run.inline),
        )

    def of(self, job_id: str) -> tuple[SeenRun, ...]:
        """The runs for this job in this store, oldest first; from now on the job is not among the `unseen`."""
        self._db.execute("INSERT OR IGNORE INTO known VALUES (?)", (job_id,))
        return self._runs(job_id, "")

    def unseen(self) -> Iterator[tuple[str, str, tuple[SeenRun, ...]]]:
        """Each job that only runs name: its id, the uuid of the store they name or "", the runs."""
        query = (
            "SELECT DISTINCT job, foreign_to FROM run "
            "WHERE foreign_to != '' OR job NOT IN (SELECT job FROM known) ORDER BY job, foreign_to"
        )
        rows: Iterable[tuple[str, str]] = self._db.execute(query)
        for job_id, foreign_to in rows:
            yield job_id, foreign_to, self._runs(job_id, foreign_to)

    def _runs(self, job_id: str, foreign_to: str) -> tuple[SeenRun, ...]:
        query = f"SELECT {_COLUMNS} FROM run WHERE job = ? AND foreign_to = ? ORDER BY created, id"  # noqa: S608
        return tuple(_run(*row) for row in self._db.execute(query, (job_id, foreign_to)))


def _run(
    run_id: str,
    attempt: int,
    state_type: str,
    state_name: str,
    message: str,
    created: str,
    since: str,
    submitted: int,
    inline: int,
) -> SeenRun:
    return SeenRun(
        id=run_id,
        attempt=attempt,
        state_type=state_type,
        state_name=state_name,
        message=message,
        created=created,
        since=since,
        submitted=bool(submitted),
        inline=bool(inline),
    )
