"""The progress artifact of a run, which counts frames, and the keys of a job's artifacts.

A thread of its own sends the progress, so that a slow or missing API does not delay the job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Final, cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from proxx.engine.steps import ClipEnded, ClipProgress, ClipStarted, Step
from proxx_flows.common.reference import SHORT
from proxx_flows.job.registered_job import JobFacts

UPDATE_INTERVAL: Final = 2.0  # seconds
LAST_UPDATE_TIMEOUT: Final = 10.0  # seconds that the end of a job waits for its last update


def artifact_key(job: JobFacts, kind: str) -> str:
    """Returns a key that all attempts of the job share, so that Prefect shows them as versions of one artifact.

    Prefect allows lower-case letters, digits and dashes.
    """
    return f"proxx-{job.job_id[:SHORT]}-{kind}"


class FrameCount:
    """Counts the frames that are finished, including those of failed clips, out of all frames of the job."""

    def __init__(self, job: JobFacts) -> None:
        self._clips = [clip.frames for clip in job.clips]
        self._finished = 0
        self._current = 0

    def note(self, step: Step) -> None:
        match step:
            case ClipStarted():
                self._current = 0
            case ClipProgress(index=index, frame=frame):
                self._current = min(frame, self._clips[index])
            case ClipEnded(index=index):
                self._finished, self._current = self._finished + self._clips[index], 0

    @property
    def percent(self) -> float:
        """Rounded down to one decimal, so that it is 100 only at the end."""
        return (self._finished + self._current) * 1000 // sum(self._clips) / 10


class ProgressArtifact:
    """The progress artifact of one job, updated every two seconds from `start` to `end`.

    on_error: called once, with the first error that keeps it from being updated.
    """

    def __init__(self, key: str, description: str, on_error: Callable[[Exception], None]) -> None:
        self._key, self._description, self._on_error = key, description, on_error
        self._percent, self._sent = 0.0, -1.0
        self._id: UUID | None = None
        self._ended = threading.Event()
        # A daemon: a request that hangs must not keep the process alive. The context names the run it belongs to.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._update,), name="proxx-progress", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def show(self, percent: float) -> None:
        self._percent = percent

    def end(self) -> None:
        """Sends the last value, and waits at most ten seconds for that."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(LAST_UPDATE_TIMEOUT)

    def _update(self) -> None:
        reported = False
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # no retries: the next update comes soon enough
            while True:
                last = self._ended.is_set()  # read first: a value shown after this is sent in the next round
                try:
                    self._send(self._percent)
                except Exception as error:  # of any kind: reporting must not change the job
                    if not reported:
                        reported = True
                        self._on_error(error)
                if last:
                    return
                self._ended.wait(UPDATE_INTERVAL)

    def _send(self, percent: float) -> None:
        if percent == self._sent:
            return
        if self._id is None:
            self._id = cast("UUID", create_progress_artifact(percent, self._key, self._description))
        else:
            update_progress_artifact(self._id, percent)
        self._sent = percent
