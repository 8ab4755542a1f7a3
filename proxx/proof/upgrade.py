"""What another toolchain, or another version of a profile, would make of a clip: decided and encoded again, compared.

The clip is decided from its source by creation's own rules, never by changing the spec. What comes of it stands in
a folder of its own: nothing is registered, nothing published.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from proxx.contracts.error_bases import ClipFailure, Problem
from proxx.contracts.errors import (
    Interrupted,
    OutputClaimed,
    PlaceUnreachable,
    PreflightRefused,
    SourceChanged,
    ToolchainMismatch,
    ToolchainMissing,
)
from proxx.contracts.fingerprint import digest_stream
from proxx.contracts.job import Clip, JobContent, JobSpec, seal
from proxx.contracts.naming import normalized_name
from proxx.contracts.profile import ProfileSpec
from proxx.create.discover import Candidate
from proxx.create.examine import examine_source
from proxx.create.local_copy import local_file
from proxx.decide.clip import ClipDecision, decide_clip
from proxx.decide.relink import Difference, differences, relinks
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import InstalledToolchain, require_cpu
from proxx.files.roots import OnDisk
from proxx.files.source import OTHER_BYTES as OTHER_SOURCE
from proxx.files.transfer import locate_source
from proxx.proof.compare import ReencodeSession, clip_problem, require_source
from proxx.proof.reproduce import OF_THIS_MACHINE, OTHER_BYTES, ReencodedClip, reproduce
from proxx.proof.sample import SampledClip, SampleItem, UnreadableJob


class PredictedOutcome(StrEnum):
    SAME = "SAME"
    RELINKS = "CHANGES, RELINKS"
    BREAKS = "WOULD NOT RELINK"
    REFUSED = "WOULD BE REFUSED"
    NOT_JUDGED = "NOT JUDGED"


@dataclass(frozen=True, kw_only=True)
class ClipPrediction:
    """What would become of one clip. output: its new place. found: sha256 of the new proxy. problem: why none."""

    of: SampleItem
    outlook: PredictedOutcome
    differences: tuple[Difference, ...] = ()
    output: str | None = None
    found: str | None = None
    problem: Problem | None = None


@dataclass(kw_only=True)
class UpgradeChange:
    """What would be another: the profile, the toolchain (as installed here), or both. None keeps the job's own."""

    profile: ProfileSpec | None = None
    toolchain: InstalledToolchain | None = None
    _decoders: dict[Path, frozenset[str]] = field(default_factory=dict)

    def decoders(self, ffmpeg: Path) -> frozenset[str]:
        if ffmpeg not in self._decoders:
            self._decoders[ffmpeg] = decoders(ffmpeg)
        return self._decoders[ffmpeg]


def predict_clip(found: SampleItem, change: UpgradeChange, yard: ReencodeSession) -> ClipPrediction:
    """Decide one clip again, make it, compare. Raises what would stop a job, Interrupted among it."""
    if isinstance(found, UnreadableJob):
        return ClipPrediction(of=found, outlook=PredictedOutcome.NOT_JUDGED, problem=found.problem)
    if yard.should_stop():
        raise Interrupted(message="The report was stopped between clips.", stage="job")
    profile = change.profile or found.spec.profile
    try:
        require_source(found, yard.places)
        installed = _toolchain(found, profile, change, yard)
    except (PlaceUnreachable, PreflightRefused, ToolchainMismatch, ToolchainMissing) as why:
        return _without(found, why.code, why.message)
    with yard.workshop(found.spec, found.index, installed) as shop:
        try:
            clip = _decide(found, profile, installed, change, yard, shop.folder)
            spec = _sealed(found, profile, installed, clip)
        except (ClipFailure, OutputClaimed) as why:
            if yard.should_stop():  # what was ended on request has not failed
                raise Interrupted(message="The report was stopped while a clip was decided.", stage="job") from why
            return _without(found, why.code, why.message)
        (again,) = reproduce(spec, {0: found.expected}, shop)
    if again.problem is not None and again.problem.code != OTHER_BYTES:
        return _without(found, again.problem.code, again.problem.message)
    return _compared(found, profile, clip, again)


def _toolchain(
    pick: SampledClip, profile: ProfileSpec, change: UpgradeChange, yard: ReencodeSession
) -> InstalledToolchain:
    if change.toolchain is None:
        installed = yard.require_toolchain(pick.spec.toolchain, profile.cpu_flags)
    else:
        installed = change.toolchain
        require_cpu(installed, profile.cpu_flags)
    name = installed.identity.name
    if name not in profile.toolchains:
        raise PreflightRefused(message=f"profile {profile.name} is not made with the {name} toolchain.")
    return installed


def _decide(
    pick: SampledClip,
    profile: ProfileSpec,
    installed: InstalledToolchain,
    change: UpgradeChange,
    yard: ReencodeSession,
    folder: Path,
) -> Clip:
    """The clip by creation's rules. Raises the ClipFailure that says why there would be none, Interrupted."""
    old = pick.spec.clips[pick.index]
    file = old.source.files[0]
    spot = locate_source(yard.places, file)
    path = spot.path if isinstance(spot, OnDisk) else Path("/", spot.bucket, spot.key)
    candidate = Candidate(path=path, given=file.uri, folder="", spot=spot)
    known, accepted = change.decoders(installed.ffmpeg), old.recipe.decode_errors == "accept"

    def look(_: int, __: int) -> None:
        if yard.should_stop():
            raise Interrupted(message="The report was stopped while a source was read.", stage="examine")

    with local_file(candidate, yard.places, folder, look) as there:
        try:
            facts = examine_source(
                there,
                installed.ffprobe,
                known,
                uri=file.uri,
                accept_damage=accepted,
                sound=profile.audio.mode != "none",
                on_read=look,
            )
        except ClipFailure:
            with suppress(OSError):
                _require_same(_digest(there), file.digest)  # another file explains whatever is wrong with it
            raise
    _require_same(facts.digest, file.digest)
    decided = decide_clip(profile, facts, _output(pick, profile), known, accepted)
    match decided:
        case ClipDecision(clip=clip):
            return clip
        case failure:
            raise failure


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return digest_stream(stream).digest


def _require_same(found: str, expected: str) -> None:
    if found != expected:
        raise SourceChanged(message=OTHER_SOURCE, stage="source")


def _output(pick: SampledClip, profile: ProfileSpec) -> str:
    """The proxy's place: the same, with the ending of the profile's container."""
    old = pick.spec.clips[pick.index].outputs[0].uri
    return f"{old.removesuffix('.' + pick.spec.profile.container)}.{profile.container}"


def _sealed(pick: SampledClip, profile: ProfileSpec, installed: InstalledToolchain, clip: Clip) -> JobSpec:
    """A job of this one clip, for the engine; nobody ever sees it."""
    source, output = clip.source.files[0].uri, clip.outputs[0].uri
    if normalized_name(source) == normalized_name(output):
        raise OutputClaimed(message=f"its proxy would replace the source {source}.", output=output)
    return seal(
        JobContent(
            schema_="proxx.job/1",
            name=pick.spec.name,
            profile=profile,
            toolchain=installed.identity,
            clips=(clip,),
            left_out=(),
        )
    )


def _without(pick: SampledClip, code: str, message: str) -> ClipPrediction:
    outlook = PredictedOutcome.NOT_JUDGED if code in OF_THIS_MACHINE else PredictedOutcome.REFUSED
    return ClipPrediction(of=pick, outlook=outlook, problem=clip_problem(pick, code, message))


def _compared(pick: SampledClip, profile: ProfileSpec, clip: Clip, again: ReencodedClip) -> ClipPrediction:
    found = (*differences(pick.spec.clips[pick.index], clip), *_encoding(pick.spec.profile, profile))
    same = again.problem is None
    outlook = (
        (PredictedOutcome.SAME if same else PredictedOutcome.RELINKS) if relinks(found) else PredictedOutcome.BREAKS
    )
    return ClipPrediction(of=pick, outlook=outlook, differences=found, output=clip.outputs[0].uri, found=again.found)


def _encoding(old: ProfileSpec, new: ProfileSpec) -> tuple[Difference, ...]:
    """How the picture is written is the profile's alone, and in no expectation."""
    facts = [
        {
            "picture.codec": f"{one.video.codec} {one.video.profile}",
            "picture.format": one.video.pixel_format,
            "picture.encoder": " ".join((one.video.encoder, *(f"{o.name}={o.value}" for o in one.video.options))),
        }
        for one in (old, new)
    ]
    return tuple(
        Difference(name=name, old=facts[0][name], new=facts[1][name], relinks=True)
        for name in facts[0]
        if facts[0][name] != facts[1][name]
    )
