"""Builds what a run records: the results of clips, the envelope of the job's result, a refusal."""

from __future__ import annotations

from proxx.contracts.error_bases import ClipFailure, EnvironmentFailure, JobStopped, ProxxError, Refusal
from proxx.contracts.errors import EngineFault, Interrupted
from proxx.contracts.event import Stamp, Worker
from proxx.contracts.job import JobSpec
from proxx.contracts.result import Check, ClipFailed, ClipNotRun, Envelope, Failure
from proxx.engine.steps import Stopwatch, now
from proxx.store.base import Store
from proxx.store.opening import initialize_store, require_store
from proxx.store.registration import record_refusal


def outputs_of(spec: JobSpec) -> tuple[str, ...]:
    """Returns the URIs of all outputs of the job, in order of its clips."""
    return tuple(output.uri for clip in spec.clips for output in clip.outputs)


def failed_clip(spec: JobSpec, index: int, error: ProxxError) -> ClipFailed:
    """Returns the result of a clip that began and ended with `error`."""
    clip = spec.clips[index]
    checks = error.checks if isinstance(error, ClipFailure) else ()
    return ClipFailed(
        index=index,
        source=clip.source.files[0].uri,
        output=clip.outputs[0].uri,
        status="FAILED",
        output_sha256=None,
        output_size=None,
        frames=None,
        checks=tuple(Check(name=name, expected=expected, found=found) for name, expected, found in checks),
        argv=error.argv,
        log=error.log,
        failure=Failure.of(error),
    )


def clip_not_run(spec: JobSpec, index: int) -> ClipNotRun:
    """Returns the result of a clip that never began."""
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


def envelope(worker: Worker, run_id: str, time: Stopwatch) -> Envelope:
    """Returns the envelope of a result that ends now."""
    return Envelope(worker=worker, run_id=run_id, started=time.started, ended=now(), elapsed_ms=time.elapsed_ms)


def as_stop(bug: BaseException) -> JobStopped:
    """Returns the record of an exception that the engine does not expect. The exception itself is still raised."""
    if isinstance(bug, KeyboardInterrupt | SystemExit):
        return Interrupted(message="The job was stopped.", stage="job")
    return EngineFault(message=f"The engine failed: {type(bug).__name__}.", stage="job")


def note_refusal(
    store: Store,
    job_id: str,
    attempt: int,
    refusal: Refusal | EnvironmentFailure,
    stamped: Stamp,
    store_uuid: str | None = None,
) -> None:
    """Records the refusal where `proxx history` shows it. If the store cannot record it, adds a note to `refusal`.

    store_uuid: the store the job was dispatched from, if known. Nothing is written to another store, nor to a
    store that has jobs but no store.json.
    """
    try:
        if store_uuid is None:
            initialize_store(store)
        else:
            require_store(store, store_uuid)
        record_refusal(store, job_id, refusal, stamped, attempt)
    except ProxxError as error:
        refusal.add_note(f"The refusal could not be recorded: {error}")
