"""Encodes clips of a job again, elsewhere, and compares the bytes: the proof that anyone can repeat.

The second encode goes through the very code that makes a clip of a job. It has a ledger in memory and publishes
into a folder of its own, so the job, its store and its outputs are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Final

from proxx.contracts.error_bases import ClipFailure, Problem
from proxx.contracts.errors import (
    EncoderCrashed,
    Interrupted,
    JobUnknown,
    OutputUnwritable,
    PlaceUnreachable,
    ReproduceIncomplete,
    ReproduceMismatch,
    SourceChanged,
    SourceMissing,
    SourceUnreadable,
    ToolchainMismatch,
    ToolchainMissing,
)
from proxx.contracts.event import Worker
from proxx.contracts.job import Clip, JobSpec
from proxx.engine.clip import ClipContext, make_clip
from proxx.engine.records import failed_clip
from proxx.engine.steps import ClipEnded, ClipStarted, Watcher, silent
from proxx.ffmpeg.toolchain import InstalledToolchain
from proxx.files.places import Places
from proxx.files.publish import Present
from proxx.files.roots import require_places_here
from proxx.files.transfer import existing_output
from proxx.proof.verify import RECORDS_DIFFER, RecordedProxy, records_differ
from proxx.store.base import MemoryStore
from proxx.store.ledger import Ledger

OTHER_BYTES: Final = "OTHER_BYTES"
"""The one problem that is not a failure to encode."""

OF_THIS_MACHINE: Final = frozenset(
    kind.code
    for kind in (
        SourceMissing,
        SourceChanged,
        SourceUnreadable,
        PlaceUnreachable,
        OutputUnwritable,
        EncoderCrashed,
        ToolchainMismatch,
        ToolchainMissing,
    )
)
"""What a second encode can fail with that says nothing about the first."""


@dataclass(frozen=True, kw_only=True)
class ReencodedClip:
    """One clip encoded again. expected: sha256 by the job's record, or of the published file where there is none.

    path: where the second encode is kept, if it was made. problem: None where the bytes are the same.
    """

    index: int
    expected: str
    found: str | None
    path: Path | None
    problem: Problem | None

    @property
    def differs(self) -> bool:
        """False too where it could not be judged on this machine."""
        return self.problem is not None and self.problem.code not in OF_THIS_MACHINE


def choose_clips(clips: Sequence[Clip], share: Fraction) -> tuple[int, ...]:
    """Which clips to encode: the share of them, at least one, whose fingerprints come first; in the job's order.

    Fingerprints are as good as random and nobody can pick them, so the sample is fair and the same for everyone.
    """
    count = min(len(clips), max(1, ceil(share * len(clips))))
    ranked = sorted(range(len(clips)), key=lambda index: (clips[index].fingerprint, index))
    return tuple(sorted(ranked[:count]))


def expected_bytes(
    spec: JobSpec, chosen: Sequence[int], known: Mapping[int, RecordedProxy], places: Places
) -> Mapping[int, str]:
    """What each clip must come to.

    Raises JobUnknown where a clip has neither record nor published file, PlaceUnreachable.
    """
    require_places_here(spec, places.roots)
    expected: dict[int, str] = {}
    for index in chosen:
        if index in known:
            expected[index] = known[index].sha256
            continue
        match existing_output(places, spec.clips[index].outputs[0].uri):
            case Present(sha256=str(sha256)):
                expected[index] = sha256
            case _:
                raise JobUnknown(
                    message="There is nothing to compare with: the store has no record of this clip's proxy, "
                    "and no file is where it would be.",
                    clip=index,
                )
    return expected


@dataclass(frozen=True, kw_only=True)
class EncodeSite:
    """Where clips are encoded again. folder: new and empty, for the second encodes."""

    installed: InstalledToolchain
    folder: Path
    worker: Worker
    places: Places = field(default_factory=Places)
    should_stop: Callable[[], bool] = lambda: False
    watch: Watcher = silent


def reproduce(spec: JobSpec, expected: Mapping[int, str], shop: EncodeSite) -> tuple[ReencodedClip, ...]:
    """Encode the clips of `expected` again, in order. Raises what would stop a job, Interrupted among it."""
    made = shop.folder / "made"
    work = shop.folder / "work"
    for folder in (made, work):
        folder.mkdir()
    return tuple(_again(spec, index, expected[index], shop) for index in sorted(expected))


def reproduction_failure(again: Sequence[ReencodedClip]) -> ReproduceMismatch | ReproduceIncomplete | None:
    """The failure of a reproduction that found problems, all of them. Where none differs, some were not judged."""
    problems = tuple(one.problem for one in again if one.problem is not None)
    differ = sum(one.differs for one in again)
    if differ:
        message = f"{differ} of {len(again)} clips did not come out the same."
        return ReproduceMismatch(message=message, problems=problems)
    if problems:
        message = f"{len(problems)} of {len(again)} clips could not be judged on this machine."
        return ReproduceIncomplete(message=message, problems=problems)
    return None


def recorded_differently(
    spec: JobSpec, expected: Mapping[int, str], known: Mapping[int, RecordedProxy]
) -> tuple[ReencodedClip, ...]:
    """Clips of `expected` of which the job's own attempts recorded different bytes: that needs no second encode."""
    told = {
        index: records_differ(known[index].attempt, known[index].differing)
        for index in expected
        if index in known and known[index].differing
    }
    return tuple(
        ReencodedClip(
            index=index,
            expected=expected[index],
            found=None,
            path=None,
            problem=_problem(spec.clips[index], index, RECORDS_DIFFER, said),
        )
        for index, said in told.items()
    )


def _again(spec: JobSpec, index: int, expected: str, shop: EncodeSite) -> ReencodedClip:
    if shop.should_stop():
        raise Interrupted(message="The reproduction was stopped between clips.", stage="job")
    clip = spec.clips[index]
    there = shop.folder / "made" / f"{index:05d}.{spec.profile.container}"
    ledger = Ledger(MemoryStore(), spec.job_id, 1, shop.worker, "reproduce")
    ledger.append("lock.acquired", {"attempt": 1, "job_id": spec.job_id})
    places = shop.places.allowing(shop.folder)
    bench = ClipContext(shop.installed, shop.folder / "work", ledger, places, shop.should_stop, shop.watch)
    shop.watch(ClipStarted(index, len(spec.clips), clip.source.files[0].uri, clip.expect.output_frames))
    try:
        done = make_clip(_elsewhere(spec, index, there), index, bench)
    except ClipFailure as why:
        shop.watch(ClipEnded(index, failed_clip(spec, index, why)))
        problem = _problem(clip, index, why.code, why.message)
        return ReencodedClip(index=index, expected=expected, found=None, path=None, problem=problem)
    shop.watch(ClipEnded(index, done))
    same = done.output_sha256 == expected
    told = f"a second encode gave {done.output_sha256}, the job has {expected}."
    return ReencodedClip(
        index=index,
        expected=expected,
        found=done.output_sha256,
        path=there,
        problem=None if same else _problem(clip, index, OTHER_BYTES, told),
    )


def _elsewhere(spec: JobSpec, index: int, place: Path) -> JobSpec:
    """The spec with one clip's proxy at another place, which no byte of it depends on."""
    clip = spec.clips[index]
    moved = clip.outputs[0].model_copy(update={"uri": str(place)})
    clips = (*spec.clips[:index], clip.model_copy(update={"outputs": (moved,)}), *spec.clips[index + 1 :])
    return spec.model_copy(update={"clips": clips})


def _problem(clip: Clip, index: int, code: str, message: str) -> Problem:
    return Problem(f"clips[{index}] {clip.source.files[0].uri}", code, message)
