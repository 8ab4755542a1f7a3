"""JobSpec: everything about one job, decided at creation. `job_id` is derived from it. `recipe.py` has the parts.

A spec has only one file form (`spec_bytes`), so any changed byte is detected: a value that is no longer valid is
SPEC_INVALID with its path, a valid one that differs from what was sealed is SPEC_ALTERED with its path.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from proxx.contracts.canonical import pretty_bytes
from proxx.contracts.consistency import inconsistencies
from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import SpecAltered, SpecInvalid
from proxx.contracts.fingerprint import fingerprint
from proxx.contracts.model import Contract, Digest, Hex64, Name, load_contract
from proxx.contracts.output_names import colliding_uris, normalized_name
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import Expect, Output, Recipe, Source

JOB_SCHEMA: Final = "proxx.job/1"
CLIP_SCHEMA: Final = "proxx.clip/1"
TOOLCHAIN_SCHEMA: Final = "proxx.toolchain/1"
NAME_SCHEMA: Final = "proxx.name/1"
LEFT_OUT_SCHEMA: Final = "proxx.left_out/1"


class Toolchain(Contract):
    """The only encoder build that may make this job's bytes.

    libc: name and version if the build is not static, because its arithmetic then uses the host's libm; else None.
    """

    name: Literal["static", "full"]
    platform: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+-[a-z0-9_]+$")]
    ffmpeg_version: Name
    ffmpeg_sha256: Digest
    ffprobe_version: Name
    ffprobe_sha256: Digest
    libc: Name | None

    @property
    def fingerprint(self) -> str:
        return fingerprint(TOOLCHAIN_SCHEMA, self.to_json())


class Clip(Contract):
    """One source and all decisions about its proxy. `argv = f(profile, source, recipe, outputs)`."""

    source: Source
    recipe: Recipe
    expect: Expect
    outputs: tuple[Output, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        tracks = len(self.recipe.audio)
        if len(self.expect.samples) != tracks:
            raise ValueError(f"expect.samples names {len(self.expect.samples)} tracks, recipe.audio has {tracks}")
        for output in self.outputs:
            if any(track not in range(tracks) for track in output.tracks):
                raise ValueError("outputs name a track that recipe.audio does not have")
        if len(self.outputs) != 1:
            raise ValueError("outputs: this version makes one file per clip")
        if self.recipe.video.file >= len(self.source.files):
            raise ValueError("recipe.video.file is not one of source.files")
        return self

    @property
    def fingerprint(self) -> str:
        return fingerprint(CLIP_SCHEMA, self.to_json())


class LeftOut(Contract):
    """A refused file that was left out of the job (`--leave-out-refused`), with the reason."""

    source: str
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z_]+$")]
    message: str


class Seals(Contract):
    """Fingerprints of the parts, so that a changed part can be named."""

    name: Hex64
    profile: Hex64
    toolchain: Hex64
    clips: tuple[Hex64, ...]
    left_out: Hex64


class JobContent(Contract):
    """The content that `job_id` is derived from. Time, host and user are not in it but in the registration record."""

    schema_: Literal["proxx.job/1"] = Field(alias="schema")
    name: Name
    profile: ProfileSpec
    toolchain: Toolchain
    clips: tuple[Clip, ...] = Field(min_length=1)
    left_out: tuple[LeftOut, ...]

    @model_validator(mode="after")
    def _one_file_one_clip(self) -> Self:
        clash = colliding_uris([output.uri for clip in self.clips for output in clip.outputs])
        if clash:
            raise ValueError(f"clips: two outputs would be one file: {', '.join(clash)}")
        sources = {normalized_name(file.uri) for clip in self.clips for file in clip.source.files}
        outputs = (output.uri for clip in self.clips for output in clip.outputs)
        both = [uri for uri in outputs if normalized_name(uri) in sources]
        if both:
            raise ValueError(f"clips: an output would replace a source: {', '.join(both)}")
        if self.toolchain.name not in self.profile.toolchains:
            raise ValueError(f"toolchain: profile {self.profile.name} is not made with {self.toolchain.name}")
        return self


class JobSpec(JobContent):
    """A job as it is stored, dispatched and executed. It is never modified after creation."""

    job_id: Hex64
    seals: Seals


def seal(content: JobContent) -> JobSpec:
    """Returns the spec of `content`, with its id and the fingerprints of its parts."""
    return JobSpec(
        schema_=content.schema_,
        name=content.name,
        profile=content.profile,
        toolchain=content.toolchain,
        clips=content.clips,
        left_out=content.left_out,
        job_id=_id_of(content),
        seals=_seals_of(content),
    )


def _id_of(content: JobContent) -> str:
    """Returns the id of the content; of a whole spec too, because id and seals are not part of the content."""
    plain = content.to_json()
    return fingerprint(JOB_SCHEMA, {key: plain[key] for key in plain if key not in ("job_id", "seals")})


def _seals_of(content: JobContent) -> Seals:
    return Seals(
        name=fingerprint(NAME_SCHEMA, content.name),
        profile=content.profile.fingerprint,
        toolchain=content.toolchain.fingerprint,
        clips=tuple(clip.fingerprint for clip in content.clips),
        left_out=fingerprint(LEFT_OUT_SCHEMA, [left.to_json() for left in content.left_out]),
    )


def spec_bytes(spec: JobSpec) -> bytes:
    """Returns the only file form of a spec."""
    return pretty_bytes(spec.to_json())


def read_spec(data: bytes) -> JobSpec:
    """Returns the spec in a file. Raises SpecInvalid or SpecAltered with every path at fault."""
    loaded = load_contract(JobSpec, data, JOB_SCHEMA, SpecInvalid.code)
    if isinstance(loaded, tuple):
        raise SpecInvalid(message="The spec cannot be used.", problems=loaded)
    changed = tuple(
        Problem(path, SpecAltered.code, "differs from what was sealed at creation.") for path in altered_paths(loaded)
    )
    if not changed and spec_bytes(loaded) != data:
        changed = (Problem("(the whole file)", SpecAltered.code, "its layout or key order was changed."),)
    if changed:
        raise SpecAltered(message="The spec was edited.", problems=changed)
    unfit = tuple(  # the seals match, but no version of `proxx create` sealed such a spec
        Problem(f"clips[{index}].{field}", SpecInvalid.code, f"{fault}.")
        for index, clip in enumerate(loaded.clips)
        for field, fault in inconsistencies(loaded.profile, clip.recipe, clip.expect, clip.outputs[0])
    )
    if unfit:
        raise SpecInvalid(message="The spec contradicts itself.", problems=unfit)
    return loaded


def altered_paths(spec: JobSpec) -> tuple[str, ...]:
    """Returns the paths whose content and seal differ; none for a spec as it was created."""
    actual, sealed = _seals_of(spec), spec.seals
    parts = ("name", "profile", "toolchain", "left_out")
    paths = [part for part in parts if getattr(actual, part) != getattr(sealed, part)]
    if len(actual.clips) != len(sealed.clips):
        paths.append("clips")
    pairs = enumerate(zip(actual.clips, sealed.clips, strict=False))
    paths += [f"clips[{index}]" for index, (content, seal) in pairs if content != seal]
    if _id_of(spec) == spec.job_id:  # the content matches its id, so the seals were changed
        return tuple(f"seals.{path}" for path in paths)
    return tuple(paths) or ("job_id",)
