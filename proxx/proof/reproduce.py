"""Encodes clips of a job again and compares the bytes: a proof that anyone can repeat.

The second encode runs the same code as the clips of a job. It has a ledger in memory and publishes into a folder of
its own, so the job, its store and its outputs are not touched.
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
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.files.places import Places
from proxx.files.publish import Present
from proxx.files.roots import require_places_here
from proxx.files.transfer import existing_output
from proxx.proof.verify import RECORDS_DIFFER, RecordedProxy, clip_problem, records_differ
from proxx.store.base import MemoryStore
from proxx.store.ledger import Ledger

BYTES_DIFFER: Final = "OTHER_BYTES"
"""The code of a problem that is not a failure to encode: the second encode has other bytes."""

MACHINE_FAILURES: Final = frozenset(
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
"""Codes of failures of a second encode that say nothing about the first one."""


@dataclass(frozen=True, kw_only=True)
class ReencodedClip:
    """One clip that was encoded again.

    expected: sha256 of the job's record, or of the published file if there is no record. found: sha256 of the second
    encode. path: where the second encode is, if one was made. problem: None if the bytes are the same.
    """

    index: int
    expected: str
    found: str | None
    path: Path | None
    problem: Problem | None

    @property
    def differs(self) -> bool:
        """Whether the clip is proved to differ; False also if it could not be judged on this machine."""
        return self.problem is not None and self.problem.code not in MACHINE_FAILURES


def choose_clips(clips: Sequence[Clip], share: Fraction) -> tuple[int, ...]:
    """Returns the indices of the clips to encode, in the job's order: the share of them, at least one.

    They are the clips whose fingerprints come first. Fingerprints are as good as random and nobody can choose them,
    so the sample is fair and the same for everyone.
    """
    count = min(len(clips), max(1, ceil(share * len(clips))))
    ranked = sorted(range(len(clips)), key=lambda index: (clips[index].fingerprint, index))
    return tuple(sorted(ranked[:count]))


def expected_bytes(
    spec: JobSpec, chosen: Sequence[int], known: Mapping[int, RecordedProxy], places: Places
) -> Mapping[int, str]:
    """Returns the sha256 that each chosen clip must have, by index: of the record, else of the published file.

    Raises JobUnknown if a clip has neither, PlaceUnreachable if this machine does not have a place of the spec.
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
                    "and there is no published file.",
                    clip=index,
                )
    return expected


@dataclass(frozen=True, kw_only=True)
class EncodeSite:
    """The toolchain, the folder and the places that clips are encoded again with. folder: new and empty."""

    installed: InstalledToolchain
    folder: Path
    worker: Worker
    places: Places = field(default_factory=Places)
    should_stop: Callable[[], bool] = lambda: False
    watch: Watcher = silent

    @property
    def proxies(self) -> Path:
        """Where the second encodes are published."""
        return self.folder / "made"

    @property
    def work(self) -> Path:
        """The working directory of the encodes."""
        return self.folder / "work"


def reproduce(spec: JobSpec, expected: Mapping[int, str], site: EncodeSite) -> tuple[ReencodedClip, ...]:
    """Encodes the clips of `expected` again, in order. Raises Interrupted and any other error that stops a job."""
    for folder in (site.proxies, site.work):
        folder.mkdir()
    return tuple(_encode_again(spec, index, expected[index], site) for index in sorted(expected))


def reproduction_failure(clips: Sequence[ReencodedClip]) -> ReproduceMismatch | ReproduceIncomplete | None:
    """Returns the failure that lists every problem of a reproduction, or None if all bytes are the same.

    It is ReproduceIncomplete if no clip is proved to differ, but some could not be judged on this machine.
    """
    problems = tuple(clip.problem for clip in clips if clip.problem is not None)
    differing = sum(clip.differs for clip in clips)
    if differing:
        message = f"{differing} of {len(clips)} clips did not come out the same."
        return ReproduceMismatch(message=message, problems=problems)
    if problems:
        message = f"{len(problems)} of {len(clips)} clips could not be judged on this machine."
        return ReproduceIncomplete(message=message, problems=problems)
    return None


def recorded_differently(
    spec: JobSpec, expected: Mapping[int, str], known: Mapping[int, RecordedProxy]
) -> tuple[ReencodedClip, ...]:
    """Returns the clips of `expected` for which the job's attempts recorded different bytes.

    That is a difference already, without a second encode.
    """
    return tuple(
        ReencodedClip(
            index=index,
            expected=expected[index],
            found=None,
            path=None,
            problem=_clip_problem(
                spec, index, RECORDS_DIFFER, records_differ(known[index].attempt, known[index].differing)
            ),
        )
        for index in expected
        if index in known and known[index].differing
    )


def _encode_again(spec: JobSpec, index: int, expected: str, site: EncodeSite) -> ReencodedClip:
    if site.should_stop():
        raise Interrupted(message="The reproduction was stopped between two clips.", stage="job")
    clip = spec.clips[index]
    proxy = site.proxies / f"{index:05d}.{spec.profile.container}"
    ledger = Ledger(MemoryStore(), spec.job_id, 1, site.worker, "reproduce")
    ledger.append("lock.acquired", {"attempt": 1, "job_id": spec.job_id})
    places = site.places.allowing(site.folder)
    context = ClipContext(site.installed, site.work, ledger, places, site.should_stop, site.watch)
    site.watch(ClipStarted(index, len(spec.clips), clip.source.files[0].uri, clip.expect.output_frames))
    try:
        completed = make_clip(_with_output(spec, index, proxy), index, context)
    except ClipFailure as failure:
        site.watch(ClipEnded(index, failed_clip(spec, index, failure)))
        problem = _clip_problem(spec, index, failure.code, failure.message)
        return ReencodedClip(index=index, expected=expected, found=None, path=None, problem=problem)
    site.watch(ClipEnded(index, completed))
    found = completed.output_sha256
    message = f"The digest of the second encode is {found}, not {expected}."
    return ReencodedClip(
        index=index,
        expected=expected,
        found=found,
        path=proxy,
        problem=None if found == expected else _clip_problem(spec, index, BYTES_DIFFER, message),
    )


def _with_output(spec: JobSpec, index: int, path: Path) -> JobSpec:
    """Returns the spec with another output for one clip. No byte of a proxy depends on its output's name."""
    clip = spec.clips[index]
    output = clip.outputs[0].model_copy(update={"uri": str(path)})
    clips = (*spec.clips[:index], clip.model_copy(update={"outputs": (output,)}), *spec.clips[index + 1 :])
    return spec.model_copy(update={"clips": clips})


def _clip_problem(spec: JobSpec, index: int, code: str, message: str) -> Problem:
    return clip_problem(index, spec.clips[index].source.files[0].uri, code, message)
