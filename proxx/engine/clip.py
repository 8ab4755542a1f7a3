"""Makes one clip, from source to published proxy: encode while the source is hashed, verify, announce, publish.

Nothing appears under the output's name before the whole file is verified and the ledger has taken the announcement.
The announcement is the fence: a worker whose attempt was closed meanwhile fails there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import ClipFailure, ProxxError
from proxx.contracts.errors import Interrupted, OutputConflict, OutputExists
from proxx.contracts.job import JobSpec
from proxx.contracts.result import Check, ClipCompleted
from proxx.engine.checks import compare_with_expectation, failure_of_checks
from proxx.engine.steps import ClipProgress, ClipStage, Watcher
from proxx.ffmpeg.command import CommandPlan, bind_paths, plan_command
from proxx.ffmpeg.encode_log import EncodeEvidence, encode_failure, read_encode_log
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.ffmpeg.mxf_umid import write_umids
from proxx.ffmpeg.process import run_encoder
from proxx.ffmpeg.progress import EncodeProgress
from proxx.ffmpeg.proxy_probe import probe_proxy
from proxx.ffmpeg.toolchain import require_unchanged
from proxx.files import publish, transfer
from proxx.files.background import in_background
from proxx.files.download import copy_name
from proxx.files.places import Places
from proxx.files.roots import InBucket
from proxx.files.workdir import working_in
from proxx.store.clip_log import store_clip_log
from proxx.store.ledger import Ledger


@dataclass(frozen=True)
class ClipContext:
    """What all clips of an attempt share. work: the attempt's working directory."""

    installed: InstalledToolchain
    work: Path
    ledger: Ledger
    places: Places
    should_stop: Callable[[], bool]
    watch: Watcher


class ClipJob:
    """The work on one clip; `make` does all of it. plan, log and checks stay readable if it fails."""

    def __init__(self, spec: JobSpec, index: int, context: ClipContext) -> None:
        self.spec, self.index, self.context = spec, index, context
        self.clip = spec.clips[index]
        self.source, self.output = self.clip.source.files[0], self.clip.outputs[0].uri
        self.plan: CommandPlan | None = None
        self.log: str | None = None
        self.checks: tuple[Check, ...] = ()
        self._made = context.work / f"{index:05d}.{spec.profile.container}"
        self._copy = context.work / copy_name(f"{index:05d}.source", self.source.uri)
        self._encoder_log = context.work / f"{index:05d}.log"

    def make(self) -> ClipCompleted:
        """Makes and publishes the clip. Raises a ClipFailure, or an error that stops the job."""
        places, stop = self.context.places, self.context.should_stop
        spot = transfer.locate_source(places, self.source)
        self._require_free_output()
        self.plan = plan_command(self.spec.profile, self.clip)
        try:
            with working_in(self.context.work):
                if isinstance(spot, InBucket):
                    self._enter("fetch")
                with transfer.source_for_encoder(places, spot, self.source, self._copy, stop) as (path, settle):
                    encoded = self._encode(self.plan, path, settle)
                content = self._verify(encoded)
            self._publish(content)
        finally:
            with suppress(OSError):  # the whole folder is removed when the attempt ends
                self._made.unlink()
        return ClipCompleted(
            index=self.index,
            source=self.source.uri,
            output=self.output,
            status="COMPLETED",
            output_sha256=content.sha256,
            output_size=content.size,
            frames=self.clip.expect.output_frames,
            checks=self.checks,
            argv=self.plan.argv,
            log=self.log or "",
            failure=None,
        )

    def _enter(self, stage: str) -> None:
        self.context.watch(ClipStage(self.index, stage))

    def _require_free_output(self) -> None:
        """Raises OutputExists, before any work, if the output's name is taken by a file this job never announced."""
        places, ledger = self.context.places, self.context.ledger
        transfer.abort_unfinished(places, self.output, ledger.earlier_uploads(self.output))
        match transfer.existing_output(places, self.output, self.context.should_stop):
            case publish.Present(sha256=existing) if not self._is_own(existing):
                raise self._output_exists()
            case _:
                return

    def _output_exists(self) -> OutputExists:
        """Returns the failure. The path is its detail: the message is part of the result's fingerprint."""
        message = "A file that is not this job's has the output's name."
        return OutputExists(message=message, stage="publish", detail=self.output)

    def _is_own(self, sha256: str | None) -> bool:
        return sha256 is not None and self.context.ledger.has_announced(self.output, sha256)

    def _encode(self, plan: CommandPlan, source: Path, settle: transfer.Settle) -> EncodeEvidence:
        """Runs the encoder and stores its log. settle: waits until the source's identity is confirmed."""

        def progress(step: EncodeProgress) -> None:
            self.context.watch(ClipProgress(self.index, step.frame, step.fps_milli, step.speed_milli))

        self._enter("encode")
        installed, stop = self.context.installed, self.context.should_stop
        argv = bind_paths(plan.argv, installed.ffmpeg, source, self._made)
        try:
            finished = run_encoder(
                (*installed.launcher, *argv),
                cwd=self.context.work,
                log=self._encoder_log,
                on_progress=progress,
                should_stop=stop,
            )
        finally:
            self.log = store_clip_log(self._encoder_log, self.index, self.context.ledger)
        if finished.ending == "stopped":
            raise Interrupted(message="The job was stopped while this clip was encoded.", stage="encode")
        settle(stop)  # before the encoder's result is used: a changed source explains any other problem
        encoded = read_encode_log(self._encoder_log)
        if finished.exit != 0:
            require_unchanged(installed)  # a failure caused by an upgrade during the job is not this clip's
            raise encode_failure(finished.exit, encoded)
        return encoded

    def _verify(self, encoded: EncodeEvidence) -> publish.Content:
        """Compares the proxy with the expectation, while its content is hashed in the background."""
        self._enter("verify")
        installed = self.context.installed
        if self.spec.profile.container == "mxf":
            write_umids(self._made, self.source.digest, self.spec.profile.fingerprint)
        with in_background(self._identify) as reading:
            try:
                actual = probe_proxy(self._made, installed.ffprobe, installed.launcher)
            finally:
                content = reading.result()  # if the toolchain was replaced, that explains any other problem
        self.checks = compare_with_expectation(self.spec.profile, self.clip, encoded, actual)
        failure = failure_of_checks(self.checks)
        if failure is not None:
            raise failure
        return content

    def _identify(self) -> publish.Content:
        require_unchanged(self.context.installed)  # machines may be upgraded during a job of several hours
        return publish.content_of(self._made)

    def _publish(self, content: publish.Content) -> None:
        """Announces the proxy and gives it its name. Raises OutputConflict or OutputExists if the name is taken."""
        self._enter("publish")
        ledger, places, stop = self.context.ledger, self.context.places, self.context.should_stop
        if transfer.goes_up_in_parts(places, self.output, content):
            # A sleeping worker of a retired job that owned the name could still complete its upload later.
            transfer.abort_unfinished(places, self.output, ledger.former_uploads(self.output))
        with transfer.sending_output(places, self.output, self._made, content, stop) as sent:
            announcement: dict[str, Json] = {"clip": self.index, "output": self.output, "sha256": content.sha256}
            ledger.append("clip.publishing", announcement, sent.notes)
            outcome = sent.publish(lambda: ledger.require_held("the publish"))
        match outcome:
            case publish.Present(sha256=existing) if existing != content.sha256:
                if self._is_own(existing):
                    raise OutputConflict(
                        message="An earlier attempt of this job published other bytes here.",
                        stage="publish",
                        detail=self.output,
                    )
                raise self._output_exists()
            case _:
                return


def make_clip(spec: JobSpec, index: int, context: ClipContext) -> ClipCompleted:
    """Makes one clip. An error it raises carries the clip, stage, argv, log and the checks made so far."""
    work = ClipJob(spec, index, context)
    try:
        return work.make()
    except ProxxError as error:
        error.clip = index
        if error.stage != "source":  # a changed source explains the encoder's output, if the encoder ran at all
            error.argv = work.plan.argv if work.plan else ()
            error.log = work.log
        if isinstance(error, ClipFailure):
            error.checks = tuple((check.name, check.expected, check.found) for check in work.checks)
        raise
