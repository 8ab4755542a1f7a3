"""Predicts what another toolchain, or another version of a profile, changes: each clip is made again and compared.

A clip is decided again from its source by the rules of job creation; its old spec is never changed. The proxy is made
in a folder of its own: nothing is registered and nothing is published.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from proxx.contracts.output_names import normalized_name
from proxx.contracts.profile import ProfileSpec
from proxx.create.discover import Candidate
from proxx.create.examine import examine_source, refuse_on_unexpected_error
from proxx.create.local_copy import local_file
from proxx.decide.clip import ClipDecision, decide_clip
from proxx.decide.relink import Difference, differences, relinks
from proxx.ffmpeg.cpu import require_cpu
from proxx.ffmpeg.installed import InstalledToolchain
from proxx.ffmpeg.probe import decoders
from proxx.files.roots import OnDisk
from proxx.files.source import OTHER_BYTES
from proxx.files.transfer import locate_source
from proxx.proof.compare import ReencodeSession, require_source_place, sampled_clip_problem
from proxx.proof.reproduce import BYTES_DIFFER, MACHINE_FAILURES, EncodeSite, ReencodedClip, reproduce
from proxx.proof.sample import SampledClip, SampleItem, UnreadableJob


class PredictedOutcome(StrEnum):
    """What would become of a clip's proxy."""

    SAME = "SAME"
    RELINKS = "CHANGES, RELINKS"
    BREAKS = "WOULD NOT RELINK"
    REFUSED = "WOULD BE REFUSED"
    NOT_JUDGED = "NOT JUDGED"


@dataclass(frozen=True, kw_only=True)
class ClipPrediction:
    """What would become of one clip.

    output: where its new proxy would be. found: sha256 of the new proxy. problem: why there would be none, or why
    the clip could not be judged.
    """

    of: SampleItem
    outlook: PredictedOutcome
    differences: tuple[Difference, ...] = ()
    output: str | None = None
    found: str | None = None
    problem: Problem | None = None


@dataclass(kw_only=True)
class UpgradeChange:
    """The change to predict: a profile, a toolchain as it is installed here, or both. None keeps the job's own."""

    profile: ProfileSpec | None = None
    toolchain: InstalledToolchain | None = None
    _decoders: dict[Path, frozenset[str]] = field(default_factory=dict)

    def decoders(self, ffmpeg: Path) -> frozenset[str]:
        """Returns the codecs that this ffmpeg decodes. Each ffmpeg is run once for this."""
        if ffmpeg not in self._decoders:
            self._decoders[ffmpeg] = decoders(ffmpeg)
        return self._decoders[ffmpeg]


def predict_clip(item: SampleItem, change: UpgradeChange, session: ReencodeSession) -> ClipPrediction:
    """Decides and makes one clip again with the change, and compares it with the job's.

    Raises Interrupted and any other error that stops a job.
    """
    if isinstance(item, UnreadableJob):
        return ClipPrediction(of=item, outlook=PredictedOutcome.NOT_JUDGED, problem=item.problem)
    if session.should_stop():
        raise Interrupted(message="The report was stopped between two clips.", stage="job")
    profile = change.profile or item.spec.profile
    try:
        require_source_place(item, session.places)
        installed = _require_toolchain(item, profile, change, session)
    except (PlaceUnreachable, PreflightRefused, ToolchainMismatch, ToolchainMissing) as error:
        return _no_proxy(item, error.code, error.message)
    with session.encode_site(item.spec, item.index, installed) as site:
        try:
            clip = _decide_again(item, profile, change, site)
            spec = _one_clip_job(item, profile, installed, clip)
        except (ClipFailure, OutputClaimed) as error:
            if session.should_stop():  # a probe that was ended on request has not failed
                raise Interrupted(message="The report was stopped while a clip was decided.", stage="job") from error
            return _no_proxy(item, error.code, error.message)
        (reencoded,) = reproduce(spec, {0: item.expected}, site)
    if reencoded.problem is not None and reencoded.problem.code != BYTES_DIFFER:
        return _no_proxy(item, reencoded.problem.code, reencoded.problem.message)
    return _compare(item, profile, clip, reencoded)


def _require_toolchain(
    item: SampledClip, profile: ProfileSpec, change: UpgradeChange, session: ReencodeSession
) -> InstalledToolchain:
    """Returns the changed toolchain or the job's own.

    Raises ToolchainMismatch or ToolchainMissing if this machine cannot run it, PreflightRefused if the profile is not
    made with it.
    """
    if change.toolchain is None:
        installed = session.require_toolchain(item.spec.toolchain, profile.cpu_flags)
    else:
        installed = change.toolchain
        require_cpu(installed, profile.cpu_flags)
    name = installed.identity.name
    if name not in profile.toolchains:
        raise PreflightRefused(message=f"Profile {profile.name} is not made with the {name} toolchain.")
    return installed


def _decide_again(item: SampledClip, profile: ProfileSpec, change: UpgradeChange, site: EncodeSite) -> Clip:
    """Returns the clip that job creation would decide now.

    Raises Interrupted if stopped, and the ClipFailure that describes why creation would refuse the source.
    """
    old_clip = item.spec.clips[item.index]
    file = old_clip.source.files[0]
    spot = locate_source(site.places, file)
    path = spot.path if isinstance(spot, OnDisk) else Path("/", spot.bucket, spot.key)
    candidate = Candidate(path=path, given=file.uri, folder="", spot=spot)
    codecs = change.decoders(site.installed.ffmpeg)
    accept_damage = old_clip.recipe.decode_errors == "accept"

    def stop_reading(_: int, __: int) -> None:
        if site.should_stop():
            raise Interrupted(message="The report was stopped while a source was read.", stage="examine")

    with local_file(candidate, site.places, site.folder, stop_reading) as local:
        try:
            facts = examine_source(
                local,
                site.installed.ffprobe,
                codecs,
                uri=file.uri,
                accept_damage=accept_damage,
                sound=profile.audio.mode != "none",
                on_read=stop_reading,
            )
        except ClipFailure:
            with suppress(OSError):
                _require_same_source(_digest(local), file.digest)  # a replaced file explains every other problem
            raise
    _require_same_source(facts.digest, file.digest)
    with refuse_on_unexpected_error():
        decided = decide_clip(profile, facts, _output_uri(item, profile), codecs, accept_damage)
    match decided:
        case ClipDecision(clip=clip):
            return clip
        case failure:
            raise failure


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return digest_stream(stream).digest


def _require_same_source(digest: str, expected: str) -> None:
    if digest != expected:
        raise SourceChanged(message=OTHER_BYTES, stage="source")


def _output_uri(item: SampledClip, profile: ProfileSpec) -> str:
    """Returns the old proxy's name with the ending of the new profile's container."""
    old_uri = item.spec.clips[item.index].outputs[0].uri
    return f"{old_uri.removesuffix('.' + item.spec.profile.container)}.{profile.container}"


def _one_clip_job(item: SampledClip, profile: ProfileSpec, installed: InstalledToolchain, clip: Clip) -> JobSpec:
    """Returns a job of this one clip for the engine, which is never written.

    Raises OutputClaimed if the proxy would replace its source.
    """
    source, output = clip.source.files[0].uri, clip.outputs[0].uri
    if normalized_name(source) == normalized_name(output):
        raise OutputClaimed(message=f"The proxy would replace the source {source}.", output=output)
    return seal(
        JobContent(
            schema_="proxx.job/1",
            name=item.spec.name,
            profile=profile,
            toolchain=installed.identity,
            clips=(clip,),
            left_out=(),
        )
    )


def _no_proxy(item: SampledClip, code: str, message: str) -> ClipPrediction:
    outlook = PredictedOutcome.NOT_JUDGED if code in MACHINE_FAILURES else PredictedOutcome.REFUSED
    return ClipPrediction(of=item, outlook=outlook, problem=sampled_clip_problem(item, code, message))


def _compare(item: SampledClip, profile: ProfileSpec, clip: Clip, reencoded: ReencodedClip) -> ClipPrediction:
    changes = (
        *differences(item.spec.clips[item.index], clip),
        *_encoding_differences(item.spec.profile, profile),
    )
    if not relinks(changes):
        outlook = PredictedOutcome.BREAKS
    elif reencoded.problem is None:
        outlook = PredictedOutcome.SAME
    else:
        outlook = PredictedOutcome.RELINKS
    return ClipPrediction(
        of=item, outlook=outlook, differences=changes, output=clip.outputs[0].uri, found=reencoded.found
    )


def _encoding_differences(old: ProfileSpec, new: ProfileSpec) -> tuple[Difference, ...]:
    """Returns how the encoding of the picture differs, which is in the profile and not in a clip's expectation."""
    old_facts, new_facts = _encoding(old), _encoding(new)
    return tuple(
        Difference(name=name, old=old_facts[name], new=new_facts[name], relinks=True)
        for name in old_facts
        if old_facts[name] != new_facts[name]
    )


def _encoding(profile: ProfileSpec) -> Mapping[str, str]:
    video = profile.video
    options = (f"{option.name}={option.value}" for option in video.options)
    return {
        "picture.codec": f"{video.codec} {video.profile}",
        "picture.format": video.pixel_format,
        "picture.encoder": " ".join((video.encoder, *options)),
    }
