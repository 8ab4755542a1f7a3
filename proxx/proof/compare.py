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

from proxx.contracts.error_bases import Problem, Refusal
from proxx.contracts.errors import PlaceUnreachable, ToolchainMismatch, ToolchainMissing
from proxx.contracts.event import Worker
from proxx.contracts.job import JobSpec, Toolchain
from proxx.engine.steps import Watcher, silent
from proxx.ffmpeg.toolchain import Installed, admit
from proxx.files.places import Places
from proxx.files.roots import OutOfReach
from proxx.proof.reproduce import Workshop, reproduce
from proxx.proof.sample import Found, Pick, Unreadable
from proxx.proof.verify import RECORDS_DIFFER, records_differ


class Verdict(StrEnum):
    SAME = "SAME"
    DIFFERS = "DIFFERS"
    NOT_JUDGED = "NOT JUDGED"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came of one clip, or of a job that cannot be read. kept: the second encode, where its bytes differ."""

    of: Found
    verdict: Verdict
    found: str | None = None
    kept: Path | None = None
    problem: Problem | None = None


@dataclass(kw_only=True)
class Yard:
    """Where clips of many jobs are encoded again, each in a folder of its own. folder: new and empty."""

    folder: Path
    worker: Worker
    places: Places = field(default_factory=Places)
    should_stop: Callable[[], bool] = lambda: False
    watch: Watcher = silent
    _admitted: dict[tuple[Toolchain, tuple[str, ...]], Installed | Refusal] = field(default_factory=dict)

    def admit(self, toolchain: Toolchain, cpu_flags: tuple[str, ...]) -> Installed:
        """Looked for once for all jobs; each encode proves the build again. Raises ToolchainMismatch, -Missing."""
        asked = (toolchain, cpu_flags)
        if asked not in self._admitted:
            try:
                self._admitted[asked] = admit(toolchain, cpu_flags)
            except (ToolchainMismatch, ToolchainMissing) as why:
                self._admitted[asked] = why
        match self._admitted[asked]:
            case Installed() as installed:
                return installed
            case refused:
                raise refused.with_traceback(None)

    @contextmanager
    def workshop(self, spec: JobSpec, index: int, installed: Installed) -> Iterator[Workshop]:
        """A folder for one clip; gone afterwards, save what was moved out of it."""
        own = self.folder / f"{spec.job_id[:12]}-{index:05d}"
        own.mkdir()
        try:
            yield Workshop(
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


def judge(found: Found, yard: Yard) -> Judged:
    """Encode one clip again and compare. Raises what would stop a job, Interrupted among it."""
    if isinstance(found, Unreadable):
        return Judged(of=found, verdict=Verdict.NOT_JUDGED, problem=found.problem)
    spec, index = found.spec, found.index
    if found.differing:
        said = records_differ(found.attempt, found.differing)
        return Judged(of=found, verdict=Verdict.DIFFERS, problem=problem(found, RECORDS_DIFFER, said))
    try:
        require_source(found, yard.places)
        installed = yard.admit(spec.toolchain, spec.profile.cpu_flags)
    except (PlaceUnreachable, ToolchainMismatch, ToolchainMissing) as why:
        return Judged(of=found, verdict=Verdict.NOT_JUDGED, problem=problem(found, why.code, why.message))
    with yard.workshop(spec, index, installed) as shop:
        (again,) = reproduce(spec, {index: found.expected}, shop)
        if again.problem is None:
            return Judged(of=found, verdict=Verdict.SAME, found=again.found)
        return Judged(
            of=found,
            verdict=Verdict.DIFFERS if again.differs else Verdict.NOT_JUDGED,
            found=again.found,
            kept=yard.keep(again.path) if again.path is not None else None,
            problem=again.problem,
        )


def require_source(pick: Pick, places: Places) -> None:
    """Raises PlaceUnreachable where this machine has no such place. Where the proxy is does not matter here."""
    try:
        places.spot(pick.spec.clips[pick.index].source.files[0].uri)
    except OutOfReach as why:
        raise PlaceUnreachable(message=f"{why}.") from why


def problem(pick: Pick, code: str, message: str) -> Problem:
    return Problem(f"clips[{pick.index}] {pick.spec.clips[pick.index].source.files[0].uri}", code, message)
