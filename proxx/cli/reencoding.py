"""What the verbs that encode clips again share: the folder for it, a bar per clip, text and JSON of rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from proxx.cli.single_bar import gauge
from proxx.console.settings import places_from_options, store_from_options
from proxx.console.wording import last_part, short_id

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.contracts.error_bases import Problem
    from proxx.engine.steps import Step
    from proxx.proof.compare import ReencodeSession
    from proxx.proof.sample import SampleItem, SampleTally

T = TypeVar("T")


def make_reencode_folder(work: Path | None) -> Path:
    """Creates a new folder for second encodes. Raises WorkUnusable."""
    from proxx.contracts.errors import WorkUnusable

    try:
        return Path(tempfile.mkdtemp(prefix="proxx-reproduce-", dir=work.absolute() if work else None))
    except OSError as error:
        raise WorkUnusable(
            message="No folder can be created for the second encodes.", detail=f"{error.filename}: {error.strerror}"
        ) from error


@contextmanager
def reencode_session(work: Path | None) -> Iterator[ReencodeSession]:
    """Yields a session that encodes clips again and can be stopped by a signal.

    Its folder is removed at the end unless a second encode was kept in it.
    """
    from proxx.cli.stop_requests import stop_requests
    from proxx.contracts.event import this_worker
    from proxx.proof.compare import ReencodeSession

    places = places_from_options(store_from_options())
    folder = make_reencode_folder(work)
    try:
        with stop_requests() as stop:
            yield ReencodeSession(folder=folder, worker=this_worker(), places=places, should_stop=stop)
    finally:
        with suppress(OSError):  # not empty
            folder.rmdir()


def with_bar(work: Callable[[SampleItem, ReencodeSession], T], item: SampleItem, session: ReencodeSession) -> T:
    """Calls `work` on one clip under a progress bar, which is removed before this returns."""
    from proxx.engine.steps import ClipProgress, ClipStage
    from proxx.proof.sample import SampledClip

    if not isinstance(item, SampledClip):
        return work(item, session)
    label = item_label(item)
    frames = item.spec.clips[item.index].expect.output_frames

    with gauge() as show:

        def on_step(step: Step) -> None:
            match step:
                case ClipStage(stage=stage):
                    show(f"{label}: {stage}", 0, frames)
                case ClipProgress(frame=frame):
                    show(f"{label}: encode", frame, frames)
                case _:
                    pass

        show(f"{label}: examine", 0, frames)
        session.watch = on_step
        return work(item, session)


def item_label(item: SampleItem) -> str:
    """Returns `1ca667af0663 clip 3 A001C003.mov`, or `1ca667af0663 (whole job)` for a job that cannot be read."""
    from proxx.proof.sample import SampledClip

    if not isinstance(item, SampledClip):
        return f"{short_id(item.job_id)} (whole job)"
    source = item.spec.clips[item.index].source.files[0].uri
    return f"{short_id(item.spec.job_id)} clip {item.index + 1} {last_part(source)}"


def item_json(item: SampleItem) -> dict[str, Json]:
    """Returns the keys of a JSON row that identify the clip and who made it; only the id of an unreadable job."""
    from proxx.proof.sample import SampledClip

    if not isinstance(item, SampledClip):
        return {"job_id": item.job_id, "index": None}
    clip = item.spec.clips[item.index]
    return {
        "job_id": item.spec.job_id,
        "index": item.index,
        "source": clip.source.files[0].uri,
        "output": clip.outputs[0].uri,
        "made_by": item.made_by.to_json() if item.made_by else None,
        "attempt": item.attempt,
        "expected_sha256": item.expected,
    }


def problem_json(problem: Problem | None) -> Json:
    return {"code": problem.code, "message": problem.message} if problem else None


def tally_json(tally: SampleTally) -> dict[str, Json]:
    """Returns the counts of a sample as JSON."""
    return {
        "jobs": tally.jobs,
        "of_clips": tally.clips,
        "jobs_made_here": tally.made_here,
        "jobs_of_other_profiles": tally.other_profile,
        "jobs_not_finished": {state.value: count for state, count in sorted(tally.passed_over.items())},
    }


def skipped_jobs(tally: SampleTally, host: str) -> list[str]:
    """Returns one phrase for each reason why jobs were left out of the sample."""
    from proxx.console.wording import plural, safe

    unfinished = ", ".join(f"{count} {state}" for state, count in sorted(tally.passed_over.items()))
    return [
        *([f"{plural(tally.made_here, 'job')} made on this machine ({safe(host)})"] if tally.made_here else []),
        *([f"{plural(tally.other_profile, 'job')} of other profiles"] if tally.other_profile else []),
        *([f"not finished: {unfinished}"] if unfinished else []),
    ]
