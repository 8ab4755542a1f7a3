"""`proxx run`: makes the proxies of one job on this machine and shows its progress."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.cli.stop_requests import stop_requests
from proxx.console.output import out, out_json
from proxx.console.settings import (
    current_settings,
    json_option,
    places_from_options,
    read_spec_file,
    roots_option,
    store_from_options,
    store_option,
)
from proxx.console.wording import duration, last_part, plural, safe, short_id, size

if TYPE_CHECKING:
    from proxx.cli.progress_lines import Watch
    from proxx.contracts.canonical import Json
    from proxx.contracts.errors import AttemptClosed
    from proxx.contracts.job import JobSpec
    from proxx.contracts.result import ClipResult, ExecutionResult
    from proxx.store.base import Store


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--attempt",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="The number of this attempt. An attempt that has started can never run again: use the next number.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder for unfinished files. Default: the system's temporary folder.",
)
@store_option
@roots_option
@json_option
def run(spec: Path, attempt: int, work: Path | None) -> int:
    """Make the proxies of SPEC, one clip after another.

    If a clip fails, the failure is reported and the other clips are still made. Ctrl-C stops the job cleanly: the
    unfinished proxy is discarded and finished ones stay. The next attempt encodes all clips again; a proxy that is
    already there with the same bytes is kept.
    """
    from proxx.contracts.errors import AttemptClosed
    from proxx.contracts.event import this_worker
    from proxx.contracts.job import read_spec
    from proxx.engine.execute import RunEnvironment, execute

    data = read_spec_file(spec)
    outline = JobOutline.of(read_spec(data))
    store, places = store_from_options(make=True), places_from_options()
    try:
        with stop_requests() as stop, watcher(outline, attempt) as watch:
            environment = RunEnvironment(
                store=store,
                worker=this_worker(),
                run_id=str(uuid.uuid4()),
                attempt=attempt,
                places=places,
                work=work.absolute() if work else None,
                should_stop=stop,
                watch=watch,
            )
            result = execute(data, environment)
    except AttemptClosed as closed:
        closed.remedy = after_closed(closed, store, outline.job_id, spec)
        raise
    except OSError as bug:  # the engine turns expected system errors into its own, so this one needs a traceback
        raise RuntimeError("the engine did not expect this error of the operating system") from bug
    if current_settings().json:
        out_json(result.to_json())
    else:
        print_summary(result, spec)
    return status_of(result)


@dataclass(frozen=True)
class JobOutline:
    """What is shown of a job while it runs. frames: of each proxy. The spec itself is not kept in memory twice."""

    job_id: str
    name: str
    profile: str
    frames: tuple[int, ...]

    @classmethod
    def of(cls, job: JobSpec) -> JobOutline:
        frames = tuple(clip.expect.output_frames for clip in job.clips)
        return cls(job_id=job.job_id, name=job.name, profile=job.profile.name, frames=frames)


@contextmanager
def watcher(job: JobOutline, attempt: int) -> Iterator[Watch]:
    """Yields a watcher that draws bars on a terminal, prints lines elsewhere, or with --json prints nothing."""
    from proxx.cli.progress_lines import ProgressLines
    from proxx.console.terminal import on_a_terminal

    frames = job.frames
    if on_a_terminal():
        from proxx.cli.job_bars import JobBars

        with JobBars(dict(enumerate(frames))) as bars:
            yield bars
    elif current_settings().json:
        yield lambda _: None
    else:
        clips, total = plural(len(frames), "clip"), plural(sum(frames), "frame")
        out(f"{safe(job.name)}: job {short_id(job.job_id)}, attempt {attempt}, {clips}, {total}, {job.profile}")
        yield ProgressLines()


def status_of(result: ExecutionResult) -> int:
    """Returns 0 or 1, or 6 if the machine or the store is not the one the job needs."""
    from proxx.contracts.errors import StoreMismatch, ToolchainMismatch, ToolchainMissing

    environment_codes = {error.code for error in (StoreMismatch, ToolchainMismatch, ToolchainMissing)}
    if result.stopped is not None and result.stopped.code in environment_codes:
        return ToolchainMismatch.status
    return 0 if result.status == "COMPLETED" else 1


def print_summary(result: ExecutionResult, spec: Path) -> None:
    """Prints the counts, then each failure with its code, message and remedy, then the next step."""
    from proxx.contracts.errors import Interrupted

    completed = [clip for clip in result.clips if clip.status == "COMPLETED"]
    frames = sum(clip.frames or 0 for clip in completed)
    space = size(sum(clip.output_size or 0 for clip in completed))
    took = duration(result.envelope.elapsed_ms)
    count = f"{len(completed)} of {plural(len(result.clips), 'clip')}"
    out(
        f"\n{result.status}: {count}, {plural(frames, 'frame')}, {space} in {took}. "
        f"Job {short_id(result.job_id)}, attempt {result.attempt}."
    )
    if result.status == "COMPLETED":
        out(f"  result {result.fingerprint}")
        return
    for clip in result.clips:
        if clip.status == "FAILED":
            print_failure(clip, len(result.clips), result)
    interrupted = result.stopped is not None and result.stopped.code == Interrupted.code
    if result.stopped is not None:
        out(f"  The job stopped: {result.stopped.code}: {safe(result.stopped.message)}")
        if not interrupted:
            out(f"    {safe(result.stopped.remedy)}")
    not_run = sum(clip.status == "NOT_RUN" for clip in result.clips)
    if not_run:
        out(f"  {plural(not_run, 'clip')} not started.")
    if needs_new_job(result):
        return
    begin = Interrupted.remedy.rstrip(".") if interrupted else "Next attempt"
    out(f"  {begin}: proxx run {safe(spec)} --attempt {result.attempt + 1}")


def needs_new_job(result: ExecutionResult) -> bool:
    """Returns whether every failed clip would fail again in another attempt, and nothing else is left to do."""
    from proxx.contracts.errors import DecodeFailed, SourceChanged, SourceTruncated

    of_source = {kind.code for kind in (DecodeFailed, SourceChanged, SourceTruncated)}
    failures = [clip.failure for clip in result.clips if clip.failure is not None]
    return result.stopped is None and all(failure.code in of_source for failure in failures)


def print_failure(clip: ClipResult, clips: int, result: ExecutionResult) -> None:
    """Prints why one clip failed. The remedy is left out if it is that of the whole job, which follows."""
    failure = clip.failure
    if failure is None:
        return
    from proxx.contracts.errors import OutputConflict, OutputExists

    in_the_way = f" ({safe(clip.output)})" if failure.code in (OutputConflict.code, OutputExists.code) else ""
    name = last_part(clip.source)
    out(f"  [{clip.index + 1}/{clips}] {name}: {failure.code}: {safe(failure.message)}{in_the_way}")
    if failure != result.stopped:
        out(f"    {safe(failure.remedy)}")
    for check in clip.checks:
        if not check.equal:
            out(f"    {safe(check.name)}: expected {safe(check.expected)}, found {safe(check.found)}")
    if clip.log:
        out(f"    ffmpeg log, in the store: jobs/{result.job_id}/attempts/{result.attempt:04d}/{clip.log}")


def after_closed(closed: AttemptClosed, store: Store, job_id: str, spec: Path) -> str:
    """Returns how a closed attempt ended and which attempt is next, as the remedy of the refusal."""
    from proxx.contracts.error_bases import ProxxError
    from proxx.contracts.errors import JobRetired
    from proxx.store.status import State, job_status

    recorded: dict[str, Json] = dict(closed.result) if closed.result else {}  # type: ignore[arg-type]  # it is JSON
    ended = f"It ended as {recorded['status']}." if "status" in recorded else "An operator closed it."
    try:
        attempts = job_status(store, job_id).attempts
    except ProxxError:
        return closed.remedy  # the refusal is reported anyway
    match attempts[-1].state if attempts else None:
        case State.RETIRED:
            return JobRetired.remedy
        case State.HELD:
            return f"{ended} Attempt {len(attempts)} is open: see `proxx status`."
        case _:
            return f"{ended} To run the job again: proxx run {spec} --attempt {len(attempts) + 1}"
