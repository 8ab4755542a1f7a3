"""The story of one job on one machine, from its spec to its result. Everything else is told by other modules.

admit toolchain → check the spec → register → take the attempt → clip after clip → release with the result.
A refusal before the lock uses up no attempt. A clip's failure is that clip's; what would make every later clip
wrong stops the job. Nothing here retries, chooses or looks anything up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import ClipFailure, EnvironmentFailure, JobStopped, ProxxError, Refusal
from proxx.contracts.errors import EngineFault, Interrupted, LedgerFailed, LockLost
from proxx.contracts.event import Worker, stamp
from proxx.contracts.job import JobSpec, read_spec
from proxx.contracts.result import (
    Check,
    ClipCompleted,
    ClipFailed,
    ClipNotRun,
    Envelope,
    ExecutionResult,
    Failure,
    make_result,
)
from proxx.engine.clip import ClipContext, make_clip
from proxx.engine.steps import ClipEnded, ClipStarted, Stopwatch, Watcher, now, silent
from proxx.ffmpeg.toolchain import InstalledToolchain, require_toolchain
from proxx.files.places import Places
from proxx.files.preflight import require_storage
from proxx.files.roots import require_places_here
from proxx.files.workdir import work_directory
from proxx.store import opening as stores
from proxx.store.base import Store
from proxx.store.ledger import Ledger
from proxx.store.lock import acquire, release
from proxx.store.registration import record_refusal, register

Made: TypeAlias = ClipCompleted | ClipFailed | ClipNotRun
Systemic: TypeAlias = JobStopped | EnvironmentFailure


@dataclass(frozen=True, kw_only=True)
class RunEnvironment:
    """Where a job runs: what may differ from machine to machine and changes nothing of what is made.

    store_uuid: the store the job was dispatched from, or None where a person names the store. places: this machine's
    roots and its way to object storage. work: the folder that working directories are made in. launcher: put before
    the encoder's argv, for emulators in tests.
    """

    store: Store
    worker: Worker
    run_id: str
    attempt: int = 1
    store_uuid: str | None = None
    places: Places = field(default_factory=Places)
    work: Path | None = None
    should_stop: Callable[[], bool] = field(default=lambda: False)
    watch: Watcher = silent
    launcher: tuple[str, ...] = ()


def execute(data: bytes, site: RunEnvironment) -> ExecutionResult:
    """Run the job whose spec file is `data`. Gives a result for every ending after the lock was taken.

    Raises a Refusal or an EnvironmentFailure if nothing was begun. Any other exception is a bug: it is recorded,
    then raised on.
    """
    spec = read_spec(data)
    installed, ledger, places = begin(spec, data, site)
    time = Stopwatch()
    made: list[Made] = []
    stopped: Systemic | None = None
    bug: BaseException | None = None
    try:
        with work_directory(site.work, spec.job_id, site.attempt) as work:
            bench = ClipContext(installed, work, ledger, places, site.should_stop, site.watch)
            for index in range(len(spec.clips)):
                stopped = one_clip(spec, index, bench, made)
                if stopped is not None:
                    break
    except JobStopped as why:
        stopped = why
    except BaseException as why:
        bug, stopped = why, as_stop(why)
    made += [clip_not_run(spec, index) for index in range(len(made), len(spec.clips))]
    del spec, data  # of 1,000 clips it is as large as their results, which come now
    result = end(site, ledger, made, stopped, time)
    if bug is not None:
        raise bug
    return result


def begin(spec: JobSpec, data: bytes, site: RunEnvironment) -> tuple[InstalledToolchain, Ledger, Places]:
    """Everything that can refuse the job; when it returns, this worker alone has the attempt."""
    try:
        require_places_here(spec, site.places.roots)
        installed = require_toolchain(spec.toolchain, spec.profile.cpu_flags, site.launcher)
        if site.store_uuid is not None:
            stores.require_store(site.store, site.store_uuid)
        places = site.places.with_resends(stores.initialize_store(site.store).resends)
        require_storage(spec, places)
        register(site.store, data, spec.job_id, outputs_of(spec), stamp(site.worker, site.run_id))
        journals = (places.wire.journal,)
        ledger = acquire(site.store, spec.job_id, site.attempt, site.worker, site.run_id, journals=journals)
        return installed, ledger, places
    except (Refusal, EnvironmentFailure) as refusal:
        note_refusal(site, spec.job_id, refusal)
        raise


def register_job(spec: JobSpec, data: bytes, store: Store, worker: Worker, run_id: str) -> None:
    """Put a job that is not to run here into the store, made where there is none, and claim its outputs."""
    stores.initialize_store(store)
    register(store, data, spec.job_id, outputs_of(spec), stamp(worker, run_id))


def one_clip(spec: JobSpec, index: int, bench: ClipContext, made: list[Made]) -> Systemic | None:
    """Make a clip and note its result in `made`; returns what stops the job, None to go on."""
    if bench.should_stop():
        return Interrupted(message="The job was stopped between clips.", stage="job")
    source, ledger = spec.clips[index].source.files[0].uri, bench.ledger
    try:
        ledger.append("clip.started", {"clip": index, "source": source})
        bench.watch(ClipStarted(index, len(spec.clips), source, spec.clips[index].expect.output_frames))
        completed = make_clip(spec, index, bench)
        ledger.append(
            "clip.completed",
            {
                "clip": index,
                "output": completed.output,
                "sha256": completed.output_sha256,
                "frames": completed.frames,
            },
        )
        made.append(completed)
        bench.watch(ClipEnded(index, completed))
    except (LockLost, LedgerFailed) as why:  # nothing more can be logged, so nothing more is done
        made.append(failed_clip(spec, index, why))
        return why
    except (ClipFailure, JobStopped, EnvironmentFailure) as why:
        result = failed_clip(spec, index, why)
        try:
            notes: dict[str, Json] = {"detail": why.detail} if why.detail else {}
            ledger.append("clip.failed", {"clip": index, "failure": result.failure.to_json()}, notes)
        except (LockLost, LedgerFailed) as worse:
            made.append(failed_clip(spec, index, worse))
            return worse
        made.append(result)
        bench.watch(ClipEnded(index, result))
        return None if isinstance(why, ClipFailure) else why
    except BaseException as bug:  # it was begun, so it is not NOT_RUN
        if len(made) == index:
            made.append(failed_clip(spec, index, as_stop(bug)))
        raise
    return None


def end(
    site: RunEnvironment, ledger: Ledger, made: list[Made], stopped: Systemic | None, time: Stopwatch
) -> ExecutionResult:
    """Close the attempt with its result. Where the ledger is lost the result says so and is recorded nowhere."""
    stop = Failure.of(stopped) if stopped else None
    result = make_result(ledger.job_id, site.attempt, tuple(made), stop, envelope(site, time))
    try:
        release(ledger, result.to_json())
    except (LockLost, LedgerFailed) as why:
        if not isinstance(stopped, (LockLost, LedgerFailed)):
            stop = Failure.of(why)
        return make_result(ledger.job_id, site.attempt, tuple(made), stop, envelope(site, time))
    return result


def outputs_of(spec: JobSpec) -> tuple[str, ...]:
    return tuple(output.uri for clip in spec.clips for output in clip.outputs)


def failed_clip(spec: JobSpec, index: int, why: ProxxError) -> ClipFailed:
    clip = spec.clips[index]
    checks = why.checks if isinstance(why, ClipFailure) else ()
    return ClipFailed(
        index=index,
        source=clip.source.files[0].uri,
        output=clip.outputs[0].uri,
        status="FAILED",
        output_sha256=None,
        output_size=None,
        frames=None,
        checks=tuple(Check(name=name, expected=expected, found=found) for name, expected, found in checks),
        argv=why.argv,
        log=why.log,
        failure=Failure.of(why),
    )


def clip_not_run(spec: JobSpec, index: int) -> ClipNotRun:
    clip = spec.clips[index]
    return ClipNotRun(
        index=index,
        source=clip.source.files[0].uri,
        output=clip.outputs[0].uri,
        status="NOT_RUN",
        output_sha256=None,
        output_size=None,
        frames=None,
        checks=(),
        argv=(),
        log=None,
        failure=None,
    )


def envelope(site: RunEnvironment, time: Stopwatch) -> Envelope:
    return Envelope(
        worker=site.worker, run_id=site.run_id, started=time.started, ended=now(), elapsed_ms=time.elapsed_ms
    )


def as_stop(bug: BaseException) -> JobStopped:
    """What the record says of an exception the engine does not know; it is raised on after that."""
    if isinstance(bug, KeyboardInterrupt | SystemExit):
        return Interrupted(message="The job was stopped.", stage="job")
    return EngineFault(message=f"The engine failed: {type(bug).__name__}.", stage="job")


def note_refusal(site: RunEnvironment, job_id: str, refusal: Refusal | EnvironmentFailure) -> None:
    """Write the refusal where `proxx history` finds it; a store that cannot take it does not hide the refusal.

    Nothing is written to another store than the one meant, nor beside a missing store.json: that would be damage.
    """
    try:
        if site.store_uuid is None:
            stores.initialize_store(site.store)
        else:
            stores.require_store(site.store, site.store_uuid)
        record_refusal(site.store, job_id, refusal, stamp(site.worker, site.run_id), site.attempt)
    except ProxxError as why:
        refusal.add_note(f"The refusal could not be recorded: {why}")
