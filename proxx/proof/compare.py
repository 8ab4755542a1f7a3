"""One clip of a finished job encoded again, and what to say of it: the same, different, or not to be told here.

A clip that this machine cannot encode (another toolchain, a source that is gone) says nothing about the job. It is
never taken for the same, nor for different.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from proxx.contracts.error_bases import EnvironmentFailure, Problem
from proxx.contracts.errors import PlaceUnreachable
from proxx.contracts.event import Worker
from proxx.contracts.job import JobSpec, Toolchain
from proxx.engine.steps import Watcher, silent
from proxx.ffmpeg.toolchain import InstalledToolchain, require_toolchain
from proxx.files.places import Places
from proxx.files.roots import OutOfReach
from proxx.proof.reproduce import EncodeSite, reproduce
from proxx.proof.sample import SampledClip, SampleItem, UnreadableJob
from proxx.proof.verify import RECORDS_DIFFER, records_differ


class Comparison(StrEnum):
    SAME = "SAME"
    DIFFERS = "DIFFERS"
    NOT_JUDGED = "NOT JUDGED"


@dataclass(frozen=True, kw_only=True)
class ComparedClip:
    """What came of one clip, or of a job that cannot be read. kept: the second encode, where its bytes differ."""

    of: SampleItem
    verdict: Comparison
    found: str | None = None
    kept: Path | None = None
    problem: Problem | None = None


@dataclass(kw_only=True)
class ReencodeSession:
    """Where clips of many jobs are encoded again, each in a folder of its own. folder: new and empty."""

    folder: Path
    worker: Worker
    places: Places = field(default_factory=Places)
    should_stop: Callable[[], bool] = lambda: False
    watch: Watcher = silent
    _admitted: dict[tuple[Toolchain, tuple[str, ...]], InstalledToolchain | EnvironmentFailure] = field(
        default_factory=dict
    )

    def require_toolchain(self, toolchain: Toolchain, cpu_flags: tuple[str, ...]) -> InstalledToolchain:
        """Looked for once for all jobs; each encode proves the build again. Raises ToolchainMismatch, -Missing."""
        asked = (toolchain, cpu_flags)
        if asked not in self._admitted:
            try:
                self._admitted[asked] = require_toolchain(toolchain, cpu_flags)
            except EnvironmentFailure as why:
                self._admitted[asked] = why
        match self._admitted[asked]:
            case InstalledToolchain() as installed:
                return installed
            case refused:
                raise refused.with_traceback(None)

    @contextmanager
    def workshop(self, spec: JobSpec, index: int, installed: InstalledToolchain) -> Iterator[EncodeSite]:
        """A folder for one clip; gone afterwards, save what was moved out of it."""
        own = self.folder / f"{spec.job_id[:12]}-{index:05d}"
        own.mkdir()
        try:
            yield EncodeSite(
                installed=installed,
                folder=own,
                worker=self.worker,
                places=self.places,
                should_stop=self.should_stop,
                watch=self.watch,
            )
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def keep(self, made: Path) -> Path:
        """Move a second encode out of its clip's folder, under that folder's name."""
        return made.rename(self.folder / f"{made.parent.parent.name}{made.suffix}")


def compare_clip(found: SampleItem, yard: ReencodeSession) -> ComparedClip:
    """Encode one clip again and compare. Raises what would stop a job, Interrupted among it."""
    if isinstance(found, UnreadableJob):
        return ComparedClip(of=found, verdict=Comparison.NOT_JUDGED, problem=found.problem)
    spec, index = found.spec, found.index
    if found.differing:
        said = records_differ(found.attempt, found.differing)
        return ComparedClip(of=found, verdict=Comparison.DIFFERS, problem=clip_problem(found, RECORDS_DIFFER, said))
    try:
        require_source(found, yard.places)
        installed = yard.require_toolchain(spec.toolchain, spec.profile.cpu_flags)
    except (PlaceUnreachable, EnvironmentFailure) as why:
        return ComparedClip(
            of=found, verdict=Comparison.NOT_JUDGED, problem=clip_problem(found, why.code, why.message)
        )
    with yard.workshop(spec, index, installed) as shop:
        (again,) = reproduce(spec, {index: found.expected}, shop)
        if again.problem is None:
            return ComparedClip(of=found, verdict=Comparison.SAME, found=again.found)
        return ComparedClip(
            of=found,
            verdict=Comparison.DIFFERS if again.differs else Comparison.NOT_JUDGED,
            found=again.found,
            kept=yard.keep(again.path) if again.path is not None else None,
            problem=again.problem,
        )


def require_source(pick: SampledClip, places: Places) -> None:
    """Raises PlaceUnreachable where this machine has no such place. Where the proxy is does not matter here."""
    try:
        places.spot(pick.spec.clips[pick.index].source.files[0].uri)
    except OutOfReach as why:
        raise PlaceUnreachable(message=f"{why}.") from why


def clip_problem(pick: SampledClip, code: str, message: str) -> Problem:
    return Problem(f"clips[{pick.index}] {pick.spec.clips[pick.index].source.files[0].uri}", code, message)
