"""ProfileSpec: all rules of one kind of proxy. No field leaves a choice to ffmpeg.

A profile has only rules; `create` applies them to each source and writes the decisions into the job. The catalogue
(`catalogue/*.toml`) and a user's own file have the same form.
"""

from __future__ import annotations

import tomllib
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import ProfileInvalid
from proxx.contracts.fingerprint import fingerprint
from proxx.contracts.model import Contract, problems_of
from proxx.contracts.options import CONTAINER_OPTIONS, ENCODER_OPTIONS, Option, option_problem

PROFILE_SCHEMA: Final = "proxx.profile/1"

Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+-]+$")]
ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")]


def _lowest_terms(rate: str) -> str:
    num, _, den = rate.partition("/")
    exact = Fraction(int(num), int(den or 1)) if int(den or 1) else Fraction(0)
    if rate != str(exact) or not exact:
        raise ValueError(f"{rate!r} is not a rate in lowest terms, for instance `25` or `30000/1001`")
    return rate


FrameRate = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}(/[0-9]{1,9})?$"), AfterValidator(_lowest_terms)]

CODEC_OF: Final = {"prores_aw": "prores", "prores_ks": "prores", "dnxhd": "dnxhd", "libx264": "h264"}
BITS_OF: Final = {"yuv422p10le": 10, "yuv422p": 8, "yuv420p": 8, "pcm_s16le": 16, "pcm_s24le": 24}


class VideoRule(Contract):
    """How the picture is encoded. codec, profile: what a probe of the proxy must find."""

    encoder: Literal["prores_aw", "prores_ks", "dnxhd", "libx264"]
    codec: Literal["prores", "dnxhd", "h264"]
    profile: str = Field(min_length=1, max_length=60)
    pixel_format: Literal["yuv422p10le", "yuv422p", "yuv420p"]
    options: tuple[Option, ...]
    scaler: Token = "bicubic+accurate_rnd+full_chroma_int+bitexact"
    bits: Literal[8, 10]
    smallest_width: int = Field(default=2, gt=0)
    smallest_height: int = Field(default=2, gt=0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.codec != CODEC_OF[self.encoder]:
            raise ValueError(f"codec: {self.encoder} writes {CODEC_OF[self.encoder]}")
        if self.bits != BITS_OF[self.pixel_format]:
            raise ValueError(f"bits: {self.pixel_format} has {BITS_OF[self.pixel_format]}")
        if missing := {"accurate_rnd", "bitexact"} - set(self.scaler.split("+")):
            raise ValueError(
                f"scaler: without {' and '.join(sorted(missing))} the bytes depend on the CPU (measured)"
            )
        stated = [option.value for option in self.options if option.stem == "x264-params"]
        if self.encoder == "libx264" and not any("asm=avx2" in value.split(":") for value in stated):
            raise ValueError("options: libx264 needs `asm=avx2` in x264-params, else the bytes depend on the CPU")
        if fault := option_problem(self.options, ENCODER_OPTIONS[self.encoder], "v"):
            raise ValueError(f"options: {self.encoder}: {fault}")
        return self


class SizeRule(Contract):
    """The output size, from the source's size after crop and rotation. In pixels.

    mode: `same`; `divide` by `n`; `fit` inside width×height without enlarging; `pad` to exactly width×height. The
    width is rounded down to even, the height to even, or to a multiple of 4 if the proxy stays interlaced.
    """

    mode: Literal["same", "divide", "fit", "pad"]
    n: int | None = Field(default=None, ge=1, le=16)
    width: int | None = Field(default=None, ge=16, le=16384)
    height: int | None = Field(default=None, ge=16, le=16384)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.n is not None) != (self.mode == "divide"):
            raise ValueError("`n` goes with mode `divide`, and only with it")
        box = self.mode in ("fit", "pad")
        if (self.width is not None) != box or (self.height is not None) != box:
            raise ValueError("`width` and `height` go with modes `fit` and `pad`, and only with them")
        if box and (int(self.width or 0) % 2 or int(self.height or 0) % 4):
            raise ValueError("`width` must be even and `height` a multiple of 4")
        return self


class ColourRule(Contract):
    """range: of the proxy. hdr: what happens to HDR transfers and to mastering and light-level side data."""

    range: Literal["tv"]
    hdr: Literal["keep", "drop", "refuse"]


class AudioRule(Contract):
    """mode: `tracks` keeps the source's tracks, `mono` makes each channel a track, `none` makes no sound.

    rate: Hz, or `source` for each track's own. bits: of each sample.
    """

    mode: Literal["tracks", "mono", "none"]
    encoder: Literal["pcm_s16le", "pcm_s24le", "aac"]
    codec: Literal["pcm_s16le", "pcm_s24le", "aac"]
    rate: Literal["source", 48000]
    bits: Literal[16, 24]
    options: tuple[Option, ...]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.encoder != self.codec:
            raise ValueError("`encoder` and `codec` must be equal")
        if self.bits != BITS_OF.get(self.encoder, self.bits):
            raise ValueError(f"bits: {self.encoder} has {BITS_OF[self.encoder]}")
        if fault := option_problem(self.options, ENCODER_OPTIONS[self.encoder], "a"):
            raise ValueError(f"options: {self.encoder}: {fault}")
        return self


class TimecodeRule(Contract):
    """missing: what a source without timecode gives: `absent` no timecode, `zero` 00:00:00:00."""

    missing: Literal["absent", "zero"]


class ReelRule(Contract):
    """How the container carries the reel: on the video stream (MOV), as the tape package (MXF), or not at all."""

    carried: Literal["stream", "global", "none"]


class Threads(Contract):
    """Pinned numbers of threads: decoding, they change what a damaged stream gives; encoding, what x264 writes."""

    decode: int = Field(ge=1, le=16)
    filter: int = Field(ge=1, le=16)
    encode: int = Field(ge=1, le=16)


# Decoders that pass a picture on while another thread still decodes it, so whether its damage is seen is chance.
# Measured: a cut H.264 stream passed in 3 of 10 decodes by two threads; MPEG-4 gave 22 different pictures in 25.
_RACING: Final = frozenset({"h264", "mpeg4", "rv30", "rv40", "theora", "vp3", "vp4", "vp8"})


def pinned_threads(rule: Threads, decoder: str, decode_errors: str) -> Threads:
    """Returns a clip's threads: the profile's, but one decoder thread if damage would otherwise be seen by chance."""
    alone = decode_errors == "accept" or decoder in _RACING
    return Threads(decode=1 if alone else rule.decode, filter=rule.filter, encode=rule.encode)


class MeasuredRate(Contract):
    """Measured kilobits (1000 bits) a second of the easiest and hardest picture at 1920×1080, 25 frames/s."""

    low_kbps: int = Field(gt=0, le=10**7)
    high_kbps: int = Field(gt=0, le=10**7)
    bounded: bool

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_kbps > self.high_kbps:
            raise ValueError("`low_kbps` is more than `high_kbps`")
        return self


class ProfileSpec(Contract):
    """One kind of proxy. cpu_flags: the only instruction sets that ffmpeg may use, the same on every machine."""

    schema_: Literal["proxx.profile/1"] = Field(alias="schema")
    name: ProfileName
    version: int = Field(ge=1, le=9999)
    description: str = Field(min_length=1, max_length=400)
    toolchains: tuple[Literal["static", "full"], ...] = Field(min_length=1)
    container: Literal["mov", "mp4", "mxf"]
    container_options: tuple[Option, ...]
    video: VideoRule
    size: SizeRule
    fields: Literal["keep", "deinterlace", "refuse"]
    rates: tuple[FrameRate, ...]
    colour: ColourRule
    audio: AudioRule
    timecode: TimecodeRule
    reel: ReelRule
    threads: Threads
    cpu_flags: tuple[Token, ...] = Field(min_length=1)
    measured: MeasuredRate

    @model_validator(mode="after")
    def _possible(self) -> Self:
        allowed = {"mov": ("stream", "none"), "mxf": ("global", "none"), "mp4": ("none",)}[self.container]
        if self.reel.carried not in allowed:
            raise ValueError(f"reel: {self.container} carries a reel as {' or '.join(allowed)}")
        if self.container == "mxf" and (self.audio.mode == "tracks" or self.audio.rate != 48000):
            raise ValueError("audio: MXF takes mono tracks at 48000 Hz")
        if self.container == "mp4" and self.audio.mode != "none" and self.audio.encoder != "aac":
            raise ValueError("audio: MP4 takes AAC")
        if self.fields == "keep" and self.video.encoder not in ("prores_aw", "prores_ks"):
            raise ValueError("fields: only ProRes keeps fields; use `deinterlace` or `refuse`")
        if self.fields == "keep" and self.size.mode != "same":
            raise ValueError("fields: every reduction deinterlaces")
        if fault := option_problem(self.container_options, CONTAINER_OPTIONS[self.container], ""):
            raise ValueError(f"container_options: {self.container}: {fault}")
        return self

    @property
    def fingerprint(self) -> str:
        """64 hex digits that identify these rules."""
        return fingerprint(PROFILE_SCHEMA, self.to_json())


def parse_profile(text: str, source: str) -> ProfileSpec:
    """Returns the profile in TOML text. source: its name in errors. Raises ProfileInvalid with all problems."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = Problem("(the whole file)", ProfileInvalid.code, f"{error}.")
        raise ProfileInvalid(message=f"{source} is not TOML.", problems=(problem,)) from error
    schema = raw.get("schema")
    if schema != PROFILE_SCHEMA:
        problem = Problem("schema", ProfileInvalid.code, f"{schema!r} is not {PROFILE_SCHEMA!r}.")
        raise ProfileInvalid(message=f"{source} has another schema.", problems=(problem,))
    try:
        return ProfileSpec.model_validate(_tuples(raw))
    except ValidationError as error:
        problems = problems_of(error, ProfileInvalid.code)
        raise ProfileInvalid(message=f"{source} cannot be used.", problems=problems) from error


def _tuples(value: object) -> object:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def catalogue() -> tuple[str, ...]:
    """Returns the names of the built-in profiles, sorted."""
    files = resources.files("proxx").joinpath("catalogue").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def find_profile(name: str) -> ProfileSpec:
    """Returns a profile of the catalogue, or of a TOML file (a name with `/` or `.toml`). Raises ProfileInvalid."""
    if "/" in name or name.endswith(".toml"):
        try:
            return parse_profile(Path(name).read_text(encoding="utf-8"), name)
        except (OSError, UnicodeDecodeError) as error:
            problem = Problem(name, ProfileInvalid.code, f"cannot be read as text: {error}.")
            raise ProfileInvalid(message="The profile's file cannot be read.", problems=(problem,)) from error
    if name not in catalogue():
        problem = Problem(name, ProfileInvalid.code, f"the profiles are {', '.join(catalogue())}.")
        raise ProfileInvalid(message=f"No profile is called {name!r}.", problems=(problem,))
    return parse_profile(resources.files("proxx").joinpath(f"catalogue/{name}.toml").read_text("utf-8"), name)
