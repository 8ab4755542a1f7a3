"""Reports a job in Prefect while it runs and when it ends. An error in reporting never fails the job."""

from __future__ import annotations

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
from proxx_flows.job.events import emit_asset, emit_job
from proxx_flows.job.final_state import recorded_result
from proxx_flows.job.page_texts import (
    LogLine,
    clip_table,
    ended_line,
    headline,
    lock_line,
    markdown_report,
    step_line,
)
from proxx_flows.job.progress_artifact import FrameCount, ProgressArtifact, artifact_key
from proxx_flows.job.registered_job import JobFacts


class RunReporter:
    """Receives the engine's steps and reports them as log lines, progress and assets; then a table and a report."""

    def __init__(self, job: JobFacts, worker: Worker) -> None:
        self._job, self._worker = job, worker
        self._log = get_run_logger()
        self._frames = FrameCount(job)
        self._progress = ProgressArtifact(artifact_key(job, "progress"), headline(job), self._warn)
        self._begun = False

    @classmethod
    @contextmanager
    def of(cls, job: JobFacts, worker: Worker) -> Iterator[Self]:
        """Yields a reporter, and ends its progress artifact when the block ends, also after an exception."""
        reporter = cls(job, worker)
        try:
            yield reporter
        finally:
            reporter._guarded(reporter._progress.end)

    def __call__(self, step: Step) -> None:
        self._guarded(lambda: self._report_step(step))

    def report_end(self, result: ExecutionResult) -> None:
        """Reports the end of the job: log line, event, table and report."""
        self._guarded(lambda: self._report_end(result))

    def report_recorded_end(self, store: Store) -> None:
        """Reports the end that the engine recorded before it raised a bug's exception."""
        self._guarded(lambda: self._report_recorded_end(store))

    def _report_recorded_end(self, store: Store) -> None:
        attempts = read_attempts(store, self._job.job_id)[: self._job.attempt]
        match attempts[-1].state if len(attempts) == self._job.attempt else None:
            case Closed(result=dict(record)) if (
                result := recorded_result(record)
            ) and result.envelope.worker == self._worker:
                self._report_end(result)

    def _report_step(self, step: Step) -> None:
        if not self._begun:
            self._begin()
        if (line := step_line(step, self._job, self._worker)) is not None:
            self._write(line)
        self._frames.note(step)
        self._progress.show(self._frames.percent)
        if isinstance(step, ClipEnded):
            emit_asset(step.result, self._job)

    def _begin(self) -> None:
        """Reports that the attempt began. Called at the engine's first step, when the engine holds the lock."""
        self._begun = True
        self._write(lock_line(self._job, self._worker))
        self._progress.start()

    def _report_end(self, result: ExecutionResult) -> None:
        if not self._begun:  # the job was stopped before its first clip
            self._begin()
        self._write(ended_line(result))
        emit_job(result, self._job)
        self._progress.end()
        description = headline(self._job)
        create_markdown_artifact(markdown_report(result, self._job), artifact_key(self._job, "report"), description)
        create_table_artifact(clip_table(result, self._job), artifact_key(self._job, "clips"), description)

    def _write(self, line: LogLine) -> None:
        self._log.log(line.level, "%s", line.text)

    def _guarded(self, report: Callable[[], None]) -> None:
        try:
            report()
        except Exception as error:  # of any kind: reporting must not change the job
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        self._log.warning(
            "Part of this run's report could not be sent to Prefect (%s). This does not affect the job itself.",
            type(error).__name__,
        )
