"""Faults around a job: its store, working directory, encoder and places."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from proxx.contracts.errors import PlaceUnreachable, SourceUnreadable, SpecInvalid, StoreMismatch, ToolchainMismatch
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobContent, JobSpec, Toolchain, seal, spec_bytes
from proxx.contracts.recipe import SourceFile
from proxx.contracts.result import ExecutionResult
from proxx.engine.execute import RunEnvironment, execute
from proxx.engine.steps import ClipStage, Step, Watcher, silent
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.ffmpeg.toolchain import find_toolchain, require_toolchain
from proxx.files.places import Places
from proxx.files.roots import OnDisk
from proxx.files.source import require_source_file
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import refusals_folder
from proxx.store.lock import unlock
from proxx.store.opening import initialize_store, store_identity
from tests.objects.around import Around
from tests.objects.ground import Ground
from tests.objects.kinds import Kind
from tests.support import specs
from tests.support.jobs import make_job


def run(
    job: JobSpec,
    store: Store,
    store_uuid: str | None = None,
    watch: Watcher = silent,
    work: Path | None = None,
    ground: Ground | None = None,
) -> ExecutionResult:
    """Runs the job. ground: the storage of its places, or None for plain paths."""
    places = ground.places() if ground else Places()
    environment = RunEnvironment(
        store=store,
        worker=this_worker(),
        run_id="r",
        store_uuid=store_uuid,
        watch=watch,
        work=work,
        places=places,
    )
    return execute(spec_bytes(job), environment)


def at_stage(stage: str, act: Callable[[], None]) -> Watcher:
    """Returns a watcher that calls `act` when a clip enters the stage."""

    def watch(step: Step) -> None:
        if isinstance(step, ClipStage) and step.stage == stage:
            act()

    return watch


# --- before the lock -------------------------------------------------------------------------------------


@pytest.mark.clause("V3")
def test_a_refusal_in_a_new_store_is_recorded_and_initializes_the_store(kind: Kind) -> None:
    store, job = kind.bare(), specs.job()
    with pytest.raises(ToolchainMismatch):
        run(job, store)
    assert len(store.list(refusals_folder(job.job_id))) == 1
    assert initialize_store(store) == store_identity(store)


@pytest.mark.clause("T3")
def test_nothing_is_written_to_a_store_with_another_uuid(kind: Kind, tmp_path: Path) -> None:
    empty, other = kind.bare(), kind.new()
    before = other.list("")
    job = make_job(tmp_path / "out", "prores_proxy")
    for store in (empty, other):
        with pytest.raises(StoreMismatch):
            run(job, store, store_uuid="another")
    assert empty.list("") == ()
    assert empty.children("") == ()
    assert other.list("") == before


@pytest.mark.clause("I5")
@pytest.mark.parametrize("place", ["http://bucket/a.mov", "a.mov", "pipe:1", "s3:/bucket/a.mov"])
def test_an_unusable_place_never_becomes_a_file_in_the_working_directory(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make_job(tmp_path / "out", "prores_proxy")
    (output,) = made.clips[0].outputs
    away = made.clips[0].model_copy(update={"outputs": (output.model_copy(update={"uri": place}),)})
    content = JobContent(
        schema_="proxx.job/1",
        name=made.name,
        profile=made.profile,
        toolchain=made.toolchain,
        clips=(away,),
        left_out=(),
    )
    with pytest.raises((SpecInvalid, PlaceUnreachable), match=r"clips\[0\]\.outputs\[0\]\.uri"):
        run(seal(content), MemoryStore())
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_is_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mov")
    file = SourceFile(uri=str(tmp_path / "a.mov"), size=0, digest="sha256:" + "0" * 64, role="picture")
    with pytest.raises(SourceUnreadable, match="not a regular file"):
        require_source_file(OnDisk(Path(file.uri)), file)


# --- while it runs ---------------------------------------------------------------------------------------


@pytest.mark.clause("V2")
@pytest.mark.parametrize("stage", ["encode", "verify"])
def test_a_removed_working_directory_stops_the_job(ground: Ground, tmp_path: Path, stage: str) -> None:
    work = tmp_path / "work"
    work.mkdir()

    def remove_work() -> None:
        for folder in work.iterdir():
            shutil.rmtree(folder)

    job = ground.job("dnxhr_lb_mxf", 2)
    result = run(job, ground.store(), watch=at_stage(stage, remove_work), work=work, ground=ground)
    assert result.stopped is not None
    assert result.stopped.code == "WORK_UNUSABLE"
    assert [clip.status for clip in result.clips] == ["FAILED", "NOT_RUN"]
    assert ground.untouched()


CHANGED = {"replace": "TOOLCHAIN_MISMATCH", "break": "TOOLCHAIN_MISMATCH", "remove": "TOOLCHAIN_MISSING"}


@pytest.mark.clause("V2")
@pytest.mark.parametrize(
    ("ground", "stage", "change"),
    [
        *(("file", stage, change) for stage in ("encode", "verify") for change in CHANGED),
        *((kind, "verify", "replace") for kind in ("moto", "rgw")),  # the last check before the upload
    ],
    indirect=["ground"],
)
def test_an_encoder_changed_during_the_job_publishes_nothing(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, change: str
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()

    def copied(expected: Toolchain, cpu_flags: tuple[str, ...], launcher: tuple[str, ...] = ()) -> InstalledToolchain:
        installed = require_toolchain(expected, cpu_flags, launcher)
        ffmpeg, ffprobe = (Path(shutil.copy2(program, programs)) for program in (installed.ffmpeg, installed.ffprobe))
        return InstalledToolchain(identity=installed.identity, ffmpeg=ffmpeg, ffprobe=ffprobe)

    def upgrade() -> None:
        for program in programs.iterdir():
            program.unlink()
            if change == "replace":
                program.write_bytes((find_toolchain("static").ffmpeg.parent / program.name).read_bytes() + b"\0")
                program.chmod(0o755)
            if change == "break":
                program.write_text("#!/bin/sh\nexit 1\n")
                program.chmod(0o755)

    monkeypatch.setattr("proxx.engine.execute.require_toolchain", copied)
    result = run(ground.job("prores_proxy", 2), ground.store(), watch=at_stage(stage, upgrade), ground=ground)
    assert result.stopped is not None
    assert result.stopped.code == CHANGED[change]
    assert [clip.status for clip in result.clips] == ["FAILED", "NOT_RUN"]
    assert ground.untouched()


@pytest.mark.clause("P3")
def test_a_worker_unlocked_between_announcing_and_publishing_publishes_nothing(ground: Ground) -> None:
    job = ground.job("prores_proxy", 2)

    class Slow(Around):
        def create(self, key: str, data: bytes) -> bytes | None:
            existing = super().create(key, data)
            if b'"clip.publishing"' in data:
                unlock(self, job.job_id, "it seemed dead", this_worker())
            return existing

    result = run(job, Slow(ground.store()), ground=ground)
    assert result.stopped is not None
    assert result.stopped.code == "LOCK_LOST"
    assert [clip.status for clip in result.clips] == ["FAILED", "NOT_RUN"]
    assert ground.untouched()
