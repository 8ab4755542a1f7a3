"""The four parts of a clip: source, recipe, expectation, outputs. Creation decides them; execution only reads them.

Times are frames, audio samples or ticks; rates are fractions. Kinds of source that do not run yet (sequence, span,
multi) are modelled here already, so that they will need no new schema.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from proxx.contracts.measures import DROP_FRAME_RATES, Rate, Ratio, Size
from proxx.contracts.model import Contract, Digest
from proxx.contracts.output_names import uri_problem
from proxx.contracts.profile import Threads

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.+-]+$", max_length=80)]


def _full_place(uri: str) -> str:
    if fault := uri_problem(uri):
        raise ValueError(fault)
    return uri


Place = Annotated[str, StringConstraints(min_length=1), AfterValidator(_full_place)]
"""The only full name of a file: nothing depends on the working directory, and no file has two names."""


# --- source ----------------------------------------------------------------------------------------------


class KnownDigest(Contract):
    """A checksum that the file came with, in hex (C4: its own alphabet). origin: where it was read (an MHL)."""

    algorithm: Literal["md5", "sha1", "sha256", "xxh64", "xxh3", "xxh128", "c4"]
    value: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{8,128}$")]
    origin: str


class SourceFile(Contract):
    """One file, identified by place, size in bytes and sha256 of its bytes. known: checksums it came with."""

    uri: Place
    size: int = Field(ge=0)
    digest: Digest
    role: Literal["picture", "sound", "sidecar", "lut"]
    known: tuple[KnownDigest, ...] = ()


class FrameSequence(Contract):
    """Numbered files as one source: the numbers from first to last, `pad` digits wide."""

    pattern: str
    first: int = Field(ge=0)
    last: int = Field(ge=0)
    step: int = Field(ge=1)
    pad: int = Field(ge=0)
    rate: Rate


class FrameRange(Contract):
    """Frames in to out (exclusive), counted from the first displayed frame."""

    in_: int = Field(alias="in", ge=0)
    out: int = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.out <= self.in_:
            raise ValueError("range: `out` must be after `in`")
        return self


class Source(Contract):
    """What a clip is made from. range: null for the whole source."""

    kind: Literal["file", "sequence", "span", "multi"]
    files: tuple[SourceFile, ...] = Field(min_length=1)
    sequence: FrameSequence | None
    range: FrameRange | None

    @model_validator(mode="after")
    def _runs_today(self) -> Self:
        if self.kind != "file" or len(self.files) != 1 or self.sequence is not None or self.range is not None:
            raise ValueError("this version makes proxies of single whole files (kind `file`) only")
        if self.files[0].role != "picture":
            raise ValueError("files[0] must be the picture")
        return self


# --- recipe ----------------------------------------------------------------------------------------------


class VideoPick(Contract):
    """The picture: its file, stream and decoder (by name), and its view (`base` for spatial video)."""

    file: int = Field(ge=0)
    stream: int = Field(ge=0)
    view: Literal["base"] | None
    codec: Word
    decoder: Word


class ChannelPick(Contract):
    """One channel (from 0) of one source stream (ffmpeg's index) of one file."""

    file: int = Field(ge=0)
    stream: int = Field(ge=0)
    channel: int = Field(ge=0)


class AudioDecoder(Contract):
    """How a sound stream is decoded. Fixed-point decoders give the same samples on every CPU."""

    file: int = Field(ge=0)
    stream: int = Field(ge=0)
    codec: Word
    decoder: Word


class AudioTrack(Contract):
    """One track of the proxy. rate: Hz. layout: ffmpeg's name, or `discrete` for unlabelled channels."""

    codec: Word
    rate: int = Field(gt=0)
    bits: Literal[16, 24]
    layout: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9().]+$")]
    labels: tuple[str, ...]
    language: str | None
    title: str | None
    map: tuple[ChannelPick, ...] = Field(min_length=1)


class Excluded(Contract):
    """A stream of the source that is not in the proxy, with the reason."""

    index: int = Field(ge=0)
    codec: str
    reason: str


class Crop(Contract):
    """Pixels cut off at each side of the coded picture."""

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    right: int = Field(ge=0)
    bottom: int = Field(ge=0)


class ColourValue(Contract):
    """A colour property by ffmpeg's name. origin: `assumed` if the file has no tag and the rule by size decided."""

    value: Word
    origin: Literal["tagged", "assumed"]


class Colour(Contract):
    """Range (`tv`, `pc`), matrix, primaries and transfer of one side of the conversion."""

    range: ColourValue
    matrix: ColourValue
    primaries: ColourValue
    transfer: ColourValue


class Conform(Contract):
    """mode: `none` passes time stamps through; `retime` keeps each frame and puts it on the grid of `rate`; `cfr`
    repeats or drops frames to hold `rate`, rounding `near`: a conformed clip, reported wherever it is shown."""

    mode: Literal["none", "retime", "cfr"]
    rate: Rate
    round: Literal["near"]


class TimecodeDecision(Contract):
    """start_frame: since 00:00:00:00, counted at `rate` (which may differ from the picture's: 50p counted at 25).

    origin: where it was read (`tmcd`, `stream tag`, `format tag`, `mxf`, `profile zero`).
    """

    state: Literal["present", "absent"]
    start_frame: int | None = Field(ge=0)
    nominal_fps: int | None = Field(gt=0)
    drop: bool | None
    rate: Rate | None
    origin: str | None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        parts = (self.start_frame, self.nominal_fps, self.drop, self.rate, self.origin)
        if any((part is None) != (self.state == "absent") for part in parts):
            raise ValueError("a timecode is present with all its parts, or absent without any")
        if self.rate is not None and self.nominal_fps != self.rate.nominal:
            raise ValueError(f"nominal_fps: labels count by {self.rate.nominal} at {self.rate} frames a second")
        if self.drop and self.rate not in DROP_FRAME_RATES:
            raise ValueError(f"drop: drop-frame timecode does not exist at {self.rate} frames a second")
        return self


class NamedValue(Contract):
    """A name and where it was read; both null if the source has none."""

    value: str | None
    origin: str | None


class Names(Contract):
    """The names that an edit relinks by, besides timecode."""

    reel: NamedValue
    tape: NamedValue
    camera_roll: NamedValue
    clip_name: NamedValue


class Lut(Contract):
    """A look-up table: its index in source.files, and its digest. This version applies none."""

    file: int = Field(ge=0)
    digest: Digest
    interpolation: Literal["trilinear", "tetrahedral"]
    position: Literal["before_scale", "after_scale"]


class Recipe(Contract):
    """Every decision about one clip. size: output pixels. rotation: degrees clockwise to apply.

    audio_offset: samples (at each track's rate) from the first picture to the first sound of the source, negative
    if the sound starts earlier. The proxy's sound starts with its picture, so as many are padded or trimmed.
    """

    video: VideoPick
    audio: tuple[AudioTrack, ...]
    audio_decoders: tuple[AudioDecoder, ...]
    audio_offset: tuple[int, ...]
    excluded: tuple[Excluded, ...]
    crop: Crop
    rotation: Literal[0, 90, 180, 270]
    size: Size
    scaled: Size
    sar: Ratio
    scan: Literal["progressive", "interlaced"]
    field_order: Literal["tt", "bb"] | None
    deinterlace: bool
    colour_in: Colour
    colour_out: Colour
    conform: Conform
    timecode: TimecodeDecision
    names: Names
    luts: tuple[Lut, ...]
    hdr: Literal["keep", "drop"]
    decode_errors: Literal["refuse", "accept"]
    threads: Threads

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.audio_offset) != len(self.audio):
            raise ValueError("audio_offset must have one number for each track")
        if (self.scan == "interlaced") != (self.field_order is not None):
            raise ValueError("field_order goes with interlaced scan, and only with it")
        if self.luts:
            raise ValueError("luts are not supported in this version")
        return self


class Expect(Contract):
    """What the encode and its proxy must be. It is compared with them and never adapted.

    packets, discarded: of the source's picture stream. frames: decoded from it. output_frames: displayed by the
    proxy. samples: for each track, those of one channel. timecode: the proxy's first label as a frame number.
    """

    packets: int = Field(ge=1)
    discarded: int = Field(ge=0)
    frames: int = Field(ge=1)
    output_frames: int = Field(ge=1)
    samples: tuple[int, ...]
    size: Size
    sar: Ratio
    rate: Rate
    scan: Literal["progressive", "interlaced"]
    field_order: Literal["tt", "bb"] | None
    colour: Colour
    timecode: int | None = Field(ge=0)
    reel: str | None
    side_data: tuple[str, ...]


class Output(Contract):
    """One file to make. uri: its full place. tracks: indexes of the recipe's tracks that are in it."""

    role: Literal["proxy"]
    uri: Place
    tracks: tuple[int, ...]
