"""Encodes one clip of a finished job again and judges it: the same bytes, different bytes, or not judged.

A clip that this machine cannot encode, because the toolchain is another one or the source is gone, says nothing about
the job. It counts neither as the same nor as different.
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
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.ffmpeg.toolchain import require_toolchain
from proxx.files.places import Places
from proxx.files.roots import OutOfReach
from proxx.proof.reproduce import EncodeSite, reproduce
from proxx.proof.sample import SampledClip, SampleItem, UnreadableJob
from proxx.proof.verify import RECORDS_DIFFER, clip_problem, records_differ


class Comparison(StrEnum):
    """The verdict on one clip."""

    SAME = "SAME"
    DIFFERS = "DIFFERS"
    NOT_JUDGED = "NOT JUDGED"


@dataclass(frozen=True, kw_only=True)
class ComparedClip:
    """The verdict on one clip, or on a job that cannot be read.

    found: sha256 of the second encode, if one was made. kept: the second encode itself, if its bytes differ.
    """

    of: SampleItem
    verdict: Comparison
    found: str | None = None
    kept: Path | None = None
    problem: Problem | None = None


@dataclass(kw_only=True)
class ReencodeSession:
    """Encodes clips of many jobs again, each in its own folder below `folder`, which is new and empty."""

    folder: Path
    worker: Worker
    places: Places = field(default_factory=Places)
    should_stop: Callable[[], bool] = lambda: False
    watch: Watcher = silent
    _toolchains: dict[tuple[Toolchain, tuple[str, ...]], InstalledToolchain | EnvironmentFailure] = field(
        default_factory=dict
    )

    def require_toolchain(self, toolchain: Toolchain, cpu_flags: tuple[str, ...]) -> InstalledToolchain:
        """Returns the installed toolchain, which is looked up once for all jobs; each encode checks the build again.

        Raises ToolchainMismatch or ToolchainMissing if this machine does not have it.
        """
        key = (toolchain, cpu_flags)
        if key not in self._toolchains:
            try:
                self._toolchains[key] = require_toolchain(toolchain, cpu_flags)
            except EnvironmentFailure as error:
                self._toolchains[key] = error
        match self._toolchains[key]:
            case InstalledToolchain() as installed:
                return installed
            case refusal:
                raise refusal.with_traceback(None)

    @contextmanager
    def encode_site(self, spec: JobSpec, index: int, installed: InstalledToolchain) -> Iterator[EncodeSite]:
        """Yields a site with a folder of its own for one clip; the folder is removed afterwards."""
        folder = self.folder / f"{spec.job_id[:12]}-{index:05d}"
        folder.mkdir()
        try:
            yield EncodeSite(
                installed=installed,
                folder=folder,
                worker=self.worker,
                places=self.places,
                should_stop=self.should_stop,
                watch=self.watch,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, proxy: Path) -> Path:
        """Moves a second encode out of its clip's folder, so that it stays; returns its new path."""
        return proxy.rename(self.folder / f"{proxy.parent.parent.name}{proxy.suffix}")


def compare_clip(item: SampleItem, session: ReencodeSession) -> ComparedClip:
    """Encodes one clip again and compares it with the record.

    Raises Interrupted and any other error that stops a job.
    """
    if isinstance(item, UnreadableJob):
        return ComparedClip(of=item, verdict=Comparison.NOT_JUDGED, problem=item.problem)
    if item.differing:
        message = records_differ(item.attempt, item.differing)
        problem = sampled_clip_problem(item, RECORDS_DIFFER, message)
        return ComparedClip(of=item, verdict=Comparison.DIFFERS, problem=problem)
    try:
        require_source_place(item, session.places)
        installed = session.require_toolchain(item.spec.toolchain, item.spec.profile.cpu_flags)
    except (PlaceUnreachable, EnvironmentFailure) as error:
        problem = sampled_clip_problem(item, error.code, error.message)
        return ComparedClip(of=item, verdict=Comparison.NOT_JUDGED, problem=problem)
    with session.encode_site(item.spec, item.index, installed) as site:
        (reencoded,) = reproduce(item.spec, {item.index: item.expected}, site)
        if reencoded.problem is None:
            return ComparedClip(of=item, verdict=Comparison.SAME, found=reencoded.found)
        return ComparedClip(
            of=item,
            verdict=Comparison.DIFFERS if reencoded.differs else Comparison.NOT_JUDGED,
            found=reencoded.found,
            kept=session.keep(reencoded.path) if reencoded.path is not None else None,
            problem=reencoded.problem,
        )


def require_source_place(clip: SampledClip, places: Places) -> None:
    """Raises PlaceUnreachable if this machine cannot name the source's place. The proxy's place is not needed."""
    try:
        places.spot(_source_uri(clip))
    except OutOfReach as error:
        raise PlaceUnreachable(message=f"{error}.") from error


def sampled_clip_problem(clip: SampledClip, code: str, message: str) -> Problem:
    """Returns a problem of a sampled clip, named by its source."""
    return clip_problem(clip.index, _source_uri(clip), code, message)


def _source_uri(clip: SampledClip) -> str:
    return clip.spec.clips[clip.index].source.files[0].uri
