"""What verbs that encode clips again share: a folder for it, requests to stop, one bar a clip, the rows' words."""

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


def second_encodes(work: Path | None) -> Path:
    """A new folder. Raises WorkUnusable."""
    from proxx.contracts.errors import WorkUnusable

    try:
        return Path(tempfile.mkdtemp(prefix="proxx-reproduce-", dir=work.absolute() if work else None))
    except OSError as why:
        raise WorkUnusable(
            message="No folder can be made for the second encodes.", detail=f"{why.filename}: {why.strerror}"
        ) from why


@contextmanager
def the_yard(work: Path | None) -> Iterator[ReencodeSession]:
    """Where clips are encoded again while requests to stop are heard. Its folder stays where something was kept."""
    from proxx.cli.stop_requests import stop_requests
    from proxx.contracts.event import this_worker
    from proxx.proof.compare import ReencodeSession

    places = places_from_options(store_from_options())
    folder = second_encodes(work)
    try:
        with stop_requests() as asked:
            yield ReencodeSession(folder=folder, worker=this_worker(), places=places, should_stop=asked)
    finally:
        with suppress(OSError):  # not empty
            folder.rmdir()


def watched(work: Callable[[SampleItem, ReencodeSession], T], found: SampleItem, yard: ReencodeSession) -> T:
    """Do `work` on one clip under a bar. It is gone before anything is printed."""
    from proxx.engine.steps import ClipProgress, ClipStage
    from proxx.proof.sample import SampledClip

    if not isinstance(found, SampledClip):
        return work(found, yard)
    label = which(found)
    frames = found.spec.clips[found.index].expect.output_frames

    with gauge() as show:

        def tell(step: Step) -> None:
            match step:
                case ClipStage(stage=stage):
                    show(f"{label}: {stage}", 0, frames)
                case ClipProgress(frame=frame):
                    show(f"{label}: encode", frame, frames)
                case _:
                    pass

        show(f"{label}: look", 0, frames)
        yard.watch = tell
        return work(found, yard)


def which(found: SampleItem) -> str:
    """`1ca667af0663 clip 3 A001C003.mov`, or the job alone."""
    from proxx.proof.sample import SampledClip

    if not isinstance(found, SampledClip):
        return f"{short_id(found.job_id)} (whole job)"
    source = found.spec.clips[found.index].source.files[0].uri
    return f"{short_id(found.spec.job_id)} clip {found.index + 1} {last_part(source)}"


def place_of(found: SampleItem) -> dict[str, Json]:
    """Which clip a row of JSON is about, and by whom it was made; of a job that cannot be read only its id."""
    from proxx.proof.sample import SampledClip

    if not isinstance(found, SampledClip):
        return {"job_id": found.job_id, "index": None}
    clip = found.spec.clips[found.index]
    return {
        "job_id": found.spec.job_id,
        "index": found.index,
        "source": clip.source.files[0].uri,
        "output": clip.outputs[0].uri,
        "made_by": found.made_by.to_json() if found.made_by else None,
        "attempt": found.attempt,
        "expected_sha256": found.expected,
    }


def problem_of(problem: Problem | None) -> Json:
    return {"code": problem.code, "message": problem.message} if problem else None


def tally_of(tally: SampleTally) -> dict[str, Json]:
    return {
        "jobs": tally.jobs,
        "of_clips": tally.clips,
        "jobs_made_here": tally.made_here,
        "jobs_of_other_profiles": tally.other_profile,
        "jobs_not_finished": {state.value: count for state, count in sorted(tally.passed_over.items())},
    }


def left_out(tally: SampleTally, host: str) -> list[str]:
    """Which jobs no clip was chosen of, in words."""
    from proxx.console.wording import plural, safe

    unfinished = ", ".join(f"{count} {state}" for state, count in sorted(tally.passed_over.items()))
    return [
        *([f"{plural(tally.made_here, 'job')} made on this machine ({safe(host)})"] if tally.made_here else []),
        *([f"{plural(tally.other_profile, 'job')} of other profiles"] if tally.other_profile else []),
        *([f"not finished: {unfinished}"] if unfinished else []),
    ]
