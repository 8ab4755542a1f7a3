"""`proxx run`: one job, here and now, watched."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxx.cli.stop_requests import stop_requests
from proxx.console.output import err, out, out_json
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
    help="Which try this is. One that has begun is never run again: ask for the next.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where unfinished files are kept while they are made; else the system's place for temporary files.",
)
@store_option
@roots_option
@json_option
def run(spec: Path, attempt: int, work: Path | None) -> int:
    """Make the proxies of SPEC, clip after clip.

    A clip that fails is reported and the others are made. Ctrl-C ends it cleanly: the clip in work is thrown away,
    what is finished stays, and the next attempt makes the rest.
    """
    from proxx.contracts.errors import AttemptClosed
    from proxx.contracts.event import this_worker
    from proxx.contracts.job import read_spec
    from proxx.engine.execute import RunEnvironment, execute

    data = read_spec_file(spec)
    about = JobOutline.of(read_spec(data))
    store, places = store_from_options(make=True), places_from_options()
    try:
        with stop_requests() as asked, watcher(about, attempt) as watch:
            site = RunEnvironment(
                store=store,
                worker=this_worker(),
                run_id=str(uuid.uuid4()),
                attempt=attempt,
                places=places,
                work=work.absolute() if work else None,
                should_stop=asked,
                watch=watch,
            )
            result = execute(data, site)
    except AttemptClosed as closed:
        say_closed(closed, store, about.job_id, spec)
        raise
    except OSError as bug:  # whatever the system refuses a job has a name of its own, so this needs its traceback
        raise RuntimeError("the engine did not expect what the system said") from bug
    if current_settings().json:
        out_json(result.to_json())
    else:
        summary(result, spec)
    return status_of(result)


@dataclass(frozen=True)
class JobOutline:
    """What is shown of a job while it runs. The engine reads the spec itself; a second one is not kept."""

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
    """Bars where standard error is a terminal, else lines; with --json and no terminal, nothing."""
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
    """0, 1, or 6 where the machine or the store turned out to be the wrong one."""
    from proxx.contracts.errors import StoreMismatch, ToolchainMismatch, ToolchainMissing

    wrong_place = {error.code for error in (StoreMismatch, ToolchainMismatch, ToolchainMissing)}
    if result.stopped is not None and result.stopped.code in wrong_place:
        return ToolchainMismatch.status
    return 0 if result.status == "COMPLETED" else 1


def summary(result: ExecutionResult, spec: Path) -> None:
    """What came of it: counts, then each failure with code, sentence and what to do."""
    made = [clip for clip in result.clips if clip.status == "COMPLETED"]
    frames = sum(clip.frames or 0 for clip in made)
    space = size(sum(clip.output_size or 0 for clip in made))
    took = duration(result.envelope.elapsed_ms)
    of = f"{len(made)} of {plural(len(result.clips), 'clip')}"
    out(
        f"\n{result.status}: {of}, {plural(frames, 'frame')}, {space} in {took}. "
        f"Job {short_id(result.job_id)}, attempt {result.attempt}."
    )
    if result.status == "COMPLETED":
        out(f"  result {result.fingerprint}")
        return
    for clip in result.clips:
        if clip.status == "FAILED":
            say_failure(clip, len(result.clips), result)
    if result.stopped is not None:
        out(f"  The job stopped: {result.stopped.code}: {safe(result.stopped.message)}")
        out(f"    {safe(result.stopped.remedy)}")
    rest = sum(clip.status == "NOT_RUN" for clip in result.clips)
    if rest:
        out(f"  {plural(rest, 'clip')} not begun.")
    out(f"  When that is mended: proxx run {safe(spec)} --attempt {result.attempt + 1}")


def say_failure(clip: ClipResult, clips: int, result: ExecutionResult) -> None:
    failure = clip.failure
    if failure is None:
        return
    out(f"  [{clip.index + 1}/{clips}] {last_part(clip.source)}: {failure.code}: {safe(failure.message)}")
    if failure != result.stopped:
        out(f"    {safe(failure.remedy)}")
    for check in clip.checks:
        if not check.equal:
            out(f"    {safe(check.name)}: {safe(check.expected)} expected, {safe(check.found)} found")
    if clip.log:
        out(f"    ffmpeg's words: jobs/{result.job_id}/attempts/{result.attempt:04d}/{clip.log} in the store")


def say_closed(closed: AttemptClosed, store: Store, job_id: str, spec: Path) -> None:
    """What the attempt that was asked for again had come to, and which one is next; the refusal itself follows."""
    if current_settings().json:
        return
    from proxx.contracts.error_bases import ProxxError
    from proxx.store.status import job_status

    recorded: dict[str, Json] = dict(closed.result) if closed.result else {}  # type: ignore[arg-type]  # JSON it is
    ended = str(recorded["status"]) if "status" in recorded else "closed by an operator"
    try:
        known = job_status(store, job_id).attempts
    except ProxxError:
        return  # the refusal that follows says enough
    err(f"This attempt has ended: {ended}. Next: proxx run {safe(spec)} --attempt {len(known) + 1}")
