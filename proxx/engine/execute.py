"""Runs one job on one machine, from its spec to its result.

Check the spec and the toolchain → register → take the attempt → clip after clip → release with the result.
A refusal before the lock uses up no attempt. The failure of a clip concerns that clip only; a failure that would make
every later clip wrong stops the job. Nothing here retries, chooses or looks anything up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import ClipFailure, EnvironmentFailure, JobStopped, Refusal
from proxx.contracts.errors import Interrupted, LedgerFailed, LockLost
from proxx.contracts.event import Worker, stamp
from proxx.contracts.job import JobSpec, read_spec
from proxx.contracts.result import ClipCompleted, ClipFailed, ClipNotRun, ExecutionResult, Failure, make_result
from proxx.engine.clip import ClipContext, make_clip
from proxx.engine.records import as_stop, clip_not_run, envelope, failed_clip, note_refusal, outputs_of
from proxx.engine.steps import ClipEnded, ClipStarted, Stopwatch, Watcher, silent
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.ffmpeg.toolchain import require_toolchain
from proxx.files.places import Places
from proxx.files.preflight import require_storage
from proxx.files.roots import require_places_here
from proxx.files.workdir import work_directory
from proxx.store.base import Store
from proxx.store.ledger import Ledger
from proxx.store.lock import acquire, release
from proxx.store.opening import initialize_store, require_store
from proxx.store.registration import register

Made: TypeAlias = ClipCompleted | ClipFailed | ClipNotRun
Systemic: TypeAlias = JobStopped | EnvironmentFailure


@dataclass(frozen=True, kw_only=True)
class RunEnvironment:
    """Where and how a job runs: what may differ from machine to machine without changing the proxies.

    store_uuid: the store the job was dispatched from, or None if a person chose the store. places: this machine's
    roots and its connection to object storage. work: the folder in which working directories are made. launcher: put
    before the encoder's argv, for emulators in tests.
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


def execute(data: bytes, environment: RunEnvironment) -> ExecutionResult:
    """Runs the job in the spec file `data`. Returns a result however the job ends after the lock was taken.

    Raises a Refusal or an EnvironmentFailure if nothing was begun. Any other exception is a bug: it is recorded,
    then raised.
    """
    spec = read_spec(data)
    installed, ledger, places = begin(spec, data, environment)
    time = Stopwatch()
    made: list[Made] = []
    stopped: Systemic | None = None
    bug: BaseException | None = None
    try:
        with work_directory(environment.work, spec.job_id, environment.attempt) as work:
            context = ClipContext(installed, work, ledger, places, environment.should_stop, environment.watch)
            for index in range(len(spec.clips)):
                stopped = one_clip(spec, index, context, made)
                if stopped is not None:
                    break
    except JobStopped as error:
        stopped = error
    except BaseException as error:
        bug, stopped = error, as_stop(error)
    made += [clip_not_run(spec, index) for index in range(len(made), len(spec.clips))]
    del spec, data  # the spec of 1,000 clips is as large as their results, which are built next
    result = end(environment, ledger, made, stopped, time)
    if bug is not None:
        raise bug
    return result


def begin(spec: JobSpec, data: bytes, environment: RunEnvironment) -> tuple[InstalledToolchain, Ledger, Places]:
    """Makes every check that can refuse the job, then takes the attempt.

    The places returned resend as often as the store allows. Raises a Refusal or an EnvironmentFailure, which is
    recorded.
    """
    store, worker, run_id = environment.store, environment.worker, environment.run_id
    try:
        require_places_here(spec, environment.places.roots)
        installed = require_toolchain(spec.toolchain, spec.profile.cpu_flags, environment.launcher)
        if environment.store_uuid is not None:
            require_store(store, environment.store_uuid)
        places = environment.places.with_resends(initialize_store(store).resends)
        require_storage(spec, places)
        register(store, data, spec.job_id, outputs_of(spec), stamp(worker, run_id))
        journals = (places.wire.journal,)
        ledger = acquire(store, spec.job_id, environment.attempt, worker, run_id, journals=journals)
        return installed, ledger, places
    except (Refusal, EnvironmentFailure) as refusal:
        stamped = stamp(worker, run_id)
        note_refusal(store, spec.job_id, environment.attempt, refusal, stamped, environment.store_uuid)
        raise


def register_job(spec: JobSpec, data: bytes, store: Store, worker: Worker, run_id: str) -> None:
    """Registers a job without running it: initializes the store if new, puts the spec there, claims its outputs."""
    initialize_store(store)
    register(store, data, spec.job_id, outputs_of(spec), stamp(worker, run_id))


def one_clip(spec: JobSpec, index: int, context: ClipContext, made: list[Made]) -> Systemic | None:
    """Makes one clip and appends its result to `made`. Returns what stops the job, or None to continue."""
    if context.should_stop():
        return Interrupted(message="The job was stopped between clips.", stage="job")
    source, ledger = spec.clips[index].source.files[0].uri, context.ledger
    try:
        ledger.append("clip.started", {"clip": index, "source": source})
        context.watch(ClipStarted(index, len(spec.clips), source, spec.clips[index].expect.output_frames))
        completed = make_clip(spec, index, context)
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
        context.watch(ClipEnded(index, completed))
    except (LockLost, LedgerFailed) as error:  # nothing more can be logged, so nothing more is done
        made.append(failed_clip(spec, index, error))
        return error
    except (ClipFailure, JobStopped, EnvironmentFailure) as error:
        result = failed_clip(spec, index, error)
        try:
            notes: dict[str, Json] = {"detail": error.detail} if error.detail else {}
            ledger.append("clip.failed", {"clip": index, "failure": result.failure.to_json()}, notes)
        except (LockLost, LedgerFailed) as worse:
            made.append(failed_clip(spec, index, worse))
            return worse
        made.append(result)
        context.watch(ClipEnded(index, result))
        return None if isinstance(error, ClipFailure) else error
    except BaseException as bug:  # the clip began, so it is not NOT_RUN
        if len(made) == index:
            made.append(failed_clip(spec, index, as_stop(bug)))
        raise
    return None


def end(
    environment: RunEnvironment, ledger: Ledger, made: list[Made], stopped: Systemic | None, time: Stopwatch
) -> ExecutionResult:
    """Closes the attempt with its result. If the ledger fails here, the result reports that and is not recorded."""

    def result_with(stop: Failure | None) -> ExecutionResult:
        ended = envelope(environment.worker, environment.run_id, time)
        return make_result(ledger.job_id, environment.attempt, tuple(made), stop, ended)

    stop = Failure.of(stopped) if stopped else None
    result = result_with(stop)
    try:
        release(ledger, result.to_json())
    except (LockLost, LedgerFailed) as error:
        return result_with(stop if isinstance(stopped, LockLost | LedgerFailed) else Failure.of(error))
    return result
