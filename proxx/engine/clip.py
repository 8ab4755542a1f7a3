"""One clip, from source to published proxy: encode beside the source's reader, verify, announce, publish.

Nothing appears under the output's name before the file is verified whole and the ledger has taken the
announcement. That is the fence: a worker whose attempt was closed meanwhile fails there.
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
from proxx.ffmpeg.process import run_encoder
from proxx.ffmpeg.progress import EncodeProgress
from proxx.ffmpeg.proxy_probe import probe_proxy
from proxx.ffmpeg.toolchain import InstalledToolchain, require_unchanged
from proxx.ffmpeg.umid import write_umids
from proxx.files import publish
from proxx.files import transfer as deliver
from proxx.files.background import in_background
from proxx.files.download import copy_name
from proxx.files.places import Places
from proxx.files.roots import InBucket
from proxx.files.workdir import working_in
from proxx.store.clip_log import store_clip_log
from proxx.store.ledger import Ledger


@dataclass(frozen=True)
class ClipContext:
    """What every clip of an attempt is made with."""

    installed: InstalledToolchain
    work: Path
    ledger: Ledger
    places: Places
    should_stop: Callable[[], bool]
    watch: Watcher


class ClipJob:
    """One clip on the bench; `make` tells its story. argv, log and checks stay readable when it fails."""

    def __init__(self, spec: JobSpec, index: int, bench: ClipContext) -> None:
        self.spec, self.index, self.bench = spec, index, bench
        self.clip = spec.clips[index]
        self.source, self.output = self.clip.source.files[0], self.clip.outputs[0].uri
        self.plan: CommandPlan | None = None
        self.log: str | None = None
        self.checks: tuple[Check, ...] = ()
        self._made = bench.work / f"{index:05d}.{spec.profile.container}"
        self._copy = bench.work / copy_name(f"{index:05d}.source", self.source.uri)
        self._words = bench.work / f"{index:05d}.log"

    def make(self) -> ClipCompleted:
        """Make and publish the clip. Raises ClipFailure, or what stops the job."""
        places, stop = self.bench.places, self.bench.should_stop
        spot = deliver.locate_source(places, self.source)
        self._refuse_foreign()
        self.plan = plan_command(self.spec.profile, self.clip)
        try:
            with working_in(self.bench.work):
                if isinstance(spot, InBucket):
                    self.bench.watch(ClipStage(self.index, "fetch"))
                with deliver.source_for_encoder(places, spot, self.source, self._copy, stop) as (path, settle):
                    encoded = self._encode(self.plan, path, settle)
                content = self._verify(encoded)
            self._publish(content)
        finally:
            with suppress(OSError):  # the whole folder goes when the attempt ends
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

    def _refuse_foreign(self) -> None:
        """Before any work: a file in the way that this job never announced is somebody's."""
        deliver.abort_unfinished(self.bench.places, self.output, self.bench.ledger.earlier_uploads(self.output))
        match deliver.existing_output(self.bench.places, self.output, self.bench.should_stop):
            case publish.Present(sha256=found) if not self._ours(found):
                raise OutputExists(message="A file that is not this job's has the output's name.", stage="publish")
            case _:
                return

    def _ours(self, found: str | None) -> bool:
        return found is not None and self.bench.ledger.ours(self.output, found)

    def _encode(self, todo: CommandPlan, path: Path, settle: deliver.Settle) -> EncodeEvidence:
        def progress(step: EncodeProgress) -> None:
            self.bench.watch(ClipProgress(self.index, step.frame, step.fps_milli, step.speed_milli))

        self.bench.watch(ClipStage(self.index, "encode"))
        installed, stop = self.bench.installed, self.bench.should_stop
        argv = bind_paths(todo.argv, installed.ffmpeg, path, self._made)
        try:
            finished = run_encoder(
                (*installed.launcher, *argv),
                cwd=self.bench.work,
                log=self._words,
                on_progress=progress,
                should_stop=stop,
            )
        finally:
            self.log = store_clip_log(self._words, self.index, self.bench.ledger)
        if finished.ending == "stopped":
            raise Interrupted(message="The job was stopped while this clip was encoded.", stage="encode")
        settle(stop)  # before the encoder is believed: a changed source explains everything else
        encoded = read_encode_log(self._words)
        if finished.exit != 0:
            require_unchanged(installed)  # what an upgrade in mid-job broke is not this clip's failure
            raise encode_failure(finished.exit, encoded)
        return encoded

    def _verify(self, encoded: EncodeEvidence) -> publish.Content:
        """Compare what was made with what was expected; its content is read meanwhile."""
        self.bench.watch(ClipStage(self.index, "verify"))
        installed = self.bench.installed
        if self.spec.profile.container == "mxf":
            write_umids(self._made, self.source.digest, self.spec.profile.fingerprint)
        with in_background(self._identify) as reading:
            try:
                found = probe_proxy(self._made, installed.ffprobe, installed.launcher)
            finally:
                content = reading.result()  # another build than the job's explains whatever else is wrong
        self.checks = compare_with_expectation(self.spec.profile, self.clip, encoded, found)
        failure = failure_of_checks(self.checks)
        if failure is not None:
            raise failure
        return content

    def _identify(self) -> publish.Content:
        require_unchanged(self.bench.installed)  # a fleet is upgraded while jobs run for hours
        return publish.content_of(self._made)

    def _publish(self, content: publish.Content) -> None:
        self.bench.watch(ClipStage(self.index, "publish"))
        ledger, places, stop = self.bench.ledger, self.bench.places, self.bench.should_stop
        if deliver.goes_up_in_parts(places, self.output, content):
            # Of a retired job that had the name a worker may sleep since its look, and complete its own later.
            deliver.abort_unfinished(places, self.output, ledger.former_uploads(self.output))
        with deliver.sending_output(places, self.output, self._made, content, stop) as sent:
            told: dict[str, Json] = {"clip": self.index, "output": self.output, "sha256": content.sha256}
            ledger.append("clip.publishing", told, sent.notes)
            there = sent.publish(lambda: ledger.require_held("the publish"))
        match there:
            case publish.Present(sha256=found) if found != content.sha256:
                if self._ours(found):
                    raise OutputConflict(
                        message="An earlier attempt of this job published other bytes here.", stage="publish"
                    )
                raise OutputExists(message="A file that is not this job's has the output's name.", stage="publish")
            case _:
                return


def make_clip(spec: JobSpec, index: int, bench: ClipContext) -> ClipCompleted:
    """Make one clip. What it raises carries clip, stage, argv, log and the checks made so far."""
    work = ClipJob(spec, index, bench)
    try:
        return work.make()
    except ProxxError as why:
        why.clip = index
        if why.stage != "source":  # another source explains all that the encoder did and said, if it was begun at all
            why.argv = work.plan.argv if work.plan else ()
            why.log = work.log
        if isinstance(why, ClipFailure):
            why.checks = tuple((check.name, check.expected, check.found) for check in work.checks)
        raise
