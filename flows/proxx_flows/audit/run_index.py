"""The flow runs by job, kept on disk during an audit, so that memory does not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, Self

from proxx_flows.audit.prefect_run import SeenRun

_COLUMNS: Final = "id, attempt, state_type, state_name, message, created, since, submitted, inline"


class RunIndex:
    """All flow runs by job, in a temporary SQLite database that is deleted when it is closed."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # a temporary file that SQLite deletes itself
        self._db.execute(f"CREATE TABLE run (job, foreign_to, {_COLUMNS}, PRIMARY KEY (id))")
        self._db.execute("CREATE INDEX by_job ON run (job, foreign_to)")
        self._db.execute("CREATE TABLE known (job TEXT PRIMARY KEY)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, job_id: str, run: SeenRun, foreign_to: str = "") -> None:
        """Adds a run, or replaces it. foreign_to: uuid of the store that the run names, if it is another store."""
        values = (run.id, run.attempt, run.state_type, run.state_name, run.message, run.created, run.since)
        self._db.execute(
            "INSERT OR REPLACE INTO run VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (job_id, foreign_to, *values, run.submitted, run.inline),
        )

    def of(self, job_id: str) -> tuple[SeenRun, ...]:
        """Returns the runs of this job in this store, oldest first. `unseen` leaves out the job afterwards."""
        self._db.execute("INSERT OR IGNORE INTO known VALUES (?)", (job_id,))
        return self._runs(job_id, "")

    def unseen(self) -> Iterator[tuple[str, str, tuple[SeenRun, ...]]]:
        """Yields each job that `of` was not called for: its id, the uuid of the foreign store or "", and its runs."""
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
