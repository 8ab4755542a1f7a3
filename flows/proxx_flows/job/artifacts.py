"""How far a job is, by frames, as a progress artifact of its run; and what its artifacts are called.

The progress is sent from a thread of its own, so that an API which is slow or gone takes nothing from the job.
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

EVERY: Final = 2.0  # seconds between two updates
PATIENCE: Final = 10.0  # seconds the end of a job waits for its last update


def artifact_key(about: JobFacts, what: str) -> str:
    """One key a job, so that its attempts are found below each other: lower-case letters, digits and dashes."""
    return f"proxx-{about.job_id[:SHORT]}-{what}"


class FrameCount:
    """How far a job is: frames that are done, those of clips that failed included, of all it has."""

    def __init__(self, about: JobFacts) -> None:
        self._clips = [clip.frames for clip in about.clips]
        self._done = 0
        self._now = 0

    def note(self, step: Step) -> None:
        match step:
            case ClipStarted():
                self._now = 0
            case ClipProgress(index=index, frame=frame):
                self._now = min(frame, self._clips[index])
            case ClipEnded(index=index):
                self._done, self._now = self._done + self._clips[index], 0

    @property
    def percent(self) -> float:
        """With one decimal; 100 only at the end."""
        return (self._done + self._now) * 1000 // sum(self._clips) / 10


class ProgressArtifact:
    """The progress artifact of one job, brought up to date every two seconds from `start` to `end`.

    told: is called once, with the first reason why it cannot be shown.
    """

    def __init__(self, key: str, description: str, told: Callable[[Exception], None]) -> None:
        self._key, self._description, self._told = key, description, told
        self._percent, self._shown = 0.0, -1.0
        self._id: UUID | None = None
        self._over = threading.Event()
        # A daemon: a request that hangs must not keep the process. The context names the run it belongs to.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._keep,), name="proxx-progress", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def show(self, percent: float) -> None:
        self._percent = percent

    def end(self) -> None:
        """Send what was shown last. Waits for that no longer than ten seconds."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)

    def _keep(self) -> None:
        complained = False
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # the next update comes soon enough
            while True:
                last = self._over.is_set()  # asked first: what is shown after this is sent in the next turn
                try:
                    self._send(self._percent)
                except Exception as why:  # whatever it is: watching never changes what is made
                    if not complained:
                        complained = True
                        self._told(why)
                if last:
                    return
                self._over.wait(EVERY)

    def _send(self, percent: float) -> None:
        if percent == self._shown:
            return
        if self._id is None:
            self._id = cast("UUID", create_progress_artifact(percent, self._key, self._description))
        else:
            update_progress_artifact(self._id, percent)
        self._shown = percent
