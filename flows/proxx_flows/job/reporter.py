"""All that a run tells of its job in Prefect while it works and when it ends. Nothing here can fail a job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from proxx.contracts.event import Worker
from proxx.contracts.result import ExecutionResult
from proxx.engine.steps import ClipEnded, Step
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx_flows.job.artifacts import FrameCount, ProgressArtifact, artifact_key
from proxx_flows.job.events import emit_asset, emit_job
from proxx_flows.job.final_state import recorded_state
from proxx_flows.job.registered_job import JobFacts
from proxx_flows.job.report import LogLine, clip_table, ended_line, headline, markdown, step_line, taken


class RunReporter:
    """Watches the engine: log lines like the ledger's, progress, an asset a clip; at the end table and report."""

    def __init__(self, about: JobFacts, worker: Worker) -> None:
        self._about, self._worker = about, worker
        self._log = get_run_logger()
        self._frames = FrameCount(about)
        self._progress = ProgressArtifact(artifact_key(about, "progress"), headline(about), self._cannot)
        self._begun = False

    @classmethod
    @contextmanager
    def of(cls, about: JobFacts, worker: Worker) -> Iterator[Self]:
        """Told until the block ends, however it does."""
        telling = cls(about, worker)
        try:
            yield telling
        finally:
            telling._guarded(telling._progress.end)

    def __call__(self, step: Step) -> None:
        self._guarded(lambda: self._step(step))

    def ended(self, result: ExecutionResult) -> None:
        """The job's end: its line, its event, its table and its report."""
        self._guarded(lambda: self._end(result))

    def broken(self, store: Store) -> None:
        """A bug ended the engine: what it wrote down before it raised is told as any other end."""
        self._guarded(lambda: self._broken(store))

    def _broken(self, store: Store) -> None:
        attempts = read_attempts(store, self._about.job_id)[: self._about.attempt]
        match attempts[-1].state if len(attempts) == self._about.attempt else None:
            case Closed(result=dict(kept)) if (
                result := recorded_state(kept)
            ) and result.envelope.worker == self._worker:
                self._end(result)

    def _step(self, step: Step) -> None:
        if not self._begun:
            self._begin()
        if (line := step_line(step, self._about, self._worker)) is not None:
            self._say(line)
        self._frames.note(step)
        self._progress.show(self._frames.percent)
        if isinstance(step, ClipEnded):
            emit_asset(step.result, self._about)

    def _begin(self) -> None:
        """The first that is heard of the engine: it holds the lock now."""
        self._begun = True
        self._say(taken(self._about, self._worker))
        self._progress.start()

    def _end(self, result: ExecutionResult) -> None:
        if not self._begun:  # stopped before its first clip
            self._begin()
        self._say(ended_line(result))
        emit_job(result, self._about)
        self._progress.end()
        said = headline(self._about)
        create_markdown_artifact(markdown(result, self._about), artifact_key(self._about, "report"), said)
        create_table_artifact(clip_table(result, self._about), artifact_key(self._about, "clips"), said)

    def _say(self, line: LogLine) -> None:
        self._log.log(line.level, "%s", line.text)

    def _guarded(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception as why:  # whatever it is: watching never changes what is made
            self._cannot(why)

    def _cannot(self, why: Exception) -> None:
        said = f"Prefect could not be told everything ({type(why).__name__}); the job itself is not touched by this."
        self._log.log(logging.WARNING, "%s", said)
