"""The types that describe a media file as probed: frozen, integers and fractions only, None for what it omits."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

# The demuxers of ffmpeg that may read a source (`-format_whitelist`), in probe and encode: formats that cameras and
# recorders write. Playlists, scripts and image patterns are never read, whatever a file is called.
FORMATS: Final = ("mov", "mxf", "mpegts", "matroska", "wav", "avi", "mpeg", "dv", "gxf")
FORMAT_WHITELIST: Final = ",".join(FORMATS)


@dataclass(frozen=True, kw_only=True)
class StreamColour:
    """How the pixel values are to be interpreted, as ffmpeg names it; None if unknown or unspecified."""

    range: str | None
    matrix: str | None
    primaries: str | None
    transfer: str | None
    chroma_location: str | None


@dataclass(frozen=True, kw_only=True)
class StreamBase:
    """The fields that every stream has. Times are in ticks of `time_base` seconds.

    tag: the container's four-letter code, or a hex number if it is not printable. side_data: the fields of each kind.
    """

    index: int
    codec: str | None
    tag: str | None
    profile: str | None
    time_base: Fraction
    start_pts: int | None
    duration_ts: int | None
    declared_packets: int | None
    dispositions: frozenset[str]
    tags: Mapping[str, str]
    side_data: Mapping[str, Mapping[str, str]]

    @property
    def duration(self) -> Fraction | None:
        return None if self.duration_ts is None else self.duration_ts * self.time_base

    def tagged(self, name: str) -> str | None:
        """Returns the metadata tag `name`, in upper or lower case; None if absent or empty."""
        return find_tag(self.tags, name)


@dataclass(frozen=True, kw_only=True)
class VideoStream(StreamBase):
    """A picture track. Sizes are after the codec's own cropping and before rotation.

    nominal_rate: ffmpeg's r_frame_rate, which counts fields in a field-coded stream and is a time base in a variable
    one. rotation: clockwise degrees to turn the picture for display; None if the matrix is not a quarter turn.
    """

    width: int
    height: int
    coded_width: int
    coded_height: int
    sar: Fraction | None
    pixel_format: str | None
    bits: int | None
    nominal_rate: Fraction | None
    average_rate: Fraction | None
    field_order: str | None
    colour: StreamColour
    b_frames: int
    display_matrix: tuple[int, ...] | None
    rotation: int | None
    mirrored: bool

    @property
    def is_picture_of_cover(self) -> bool:
        return bool(self.dispositions & {"attached_pic", "timed_thumbnails", "still_image"})

    @property
    def interlaced(self) -> bool:
        return self.field_order in {"tt", "bb", "tb", "bt"}


@dataclass(frozen=True, kw_only=True)
class AudioStream(StreamBase):
    """A sound track. layout: None if the channels are unlabelled. bits: of a raw sample, None for coded sound."""

    rate: int
    channels: int
    layout: str | None
    sample_format: str | None
    bits: int | None
    packed_bits: int | None
    initial_padding: int


@dataclass(frozen=True, kw_only=True)
class OtherStream(StreamBase):
    """A data, subtitle or attachment stream. kind: as ffmpeg names it. average_rate: labels a second (tmcd track)."""

    kind: str
    average_rate: Fraction | None


Stream: TypeAlias = VideoStream | AudioStream | OtherStream


@dataclass(frozen=True, kw_only=True)
class TimecodeLabel:
    """A reel name or timecode read from tags. origin: `format` or `stream:3`."""

    value: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """One media file. container: ffmpeg's demuxer name. duration and start: seconds, to the microsecond."""

    container: str
    size: int
    start: Fraction | None
    duration: Fraction | None
    tags: Mapping[str, str]
    streams: tuple[Stream, ...]

    @property
    def videos(self) -> tuple[VideoStream, ...]:
        """The picture tracks, without cover art and thumbnails."""
        return tuple(s for s in self.streams if isinstance(s, VideoStream) and not s.is_picture_of_cover)

    @property
    def audios(self) -> tuple[AudioStream, ...]:
        return tuple(s for s in self.streams if isinstance(s, AudioStream))

    @property
    def others(self) -> tuple[OtherStream, ...]:
        return tuple(s for s in self.streams if isinstance(s, OtherStream))

    def labels(self, tag: str) -> tuple[TimecodeLabel, ...]:
        """Returns all values of a tag such as `timecode`: those of the streams in order, then the container's."""
        values = [(s.tagged(tag), f"stream:{s.index}") for s in self.streams]
        values.append((find_tag(self.tags, tag), "format"))
        return tuple(TimecodeLabel(value=value, origin=origin) for value, origin in values if value is not None)


@dataclass(frozen=True, kw_only=True)
class FirstFrame:
    """The first decoded frame of a track: what the decoder reports takes precedence over the container.

    (A GoPro MAX declares limited range in its container and full range in its H.264: its frames are full range.)
    """

    width: int
    height: int
    sar: Fraction | None
    pixel_format: str | None
    colour: StreamColour
    interlaced: bool
    top_field_first: bool
    side_data: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class VideoPackets:
    """The counted packets of a picture track; `frames` is how many frames ffmpeg shows if it decodes without error.

    discarded: packets outside the edit list. empty: packets of 0 bytes, which decode to nothing. field_pairs: frames
    stored as two packets. leading: packets before the first keyframe in time but after it in the file; a decoder may
    drop them. pts: the time stamp of each shown frame in ticks, sorted. end: of the last frame, in ticks. held: sum
    of the durations of the shown packets, in ticks. certain: whether every decode gives exactly `frames`; it does
    not if the stream starts in the middle of a group of pictures (the number of threads matters then), has corrupt
    packets, or is HEVC with leading packets (a decoder drops those that refer to earlier frames).
    """

    stream: int
    time_base: Fraction
    packets: int
    discarded: int
    corrupt: int
    empty: int
    keyframes: int
    field_pairs: int
    leading: int
    without_pts: int
    starts_mid_gop: bool
    pts: array[int]
    end: int | None
    held: int
    certain: bool

    @property
    def frames(self) -> int:
        return len(self.pts) + self.without_pts

    @property
    def start(self) -> Fraction | None:
        """The time of the first shown frame, in seconds on the file's own clock."""
        return self.pts[0] * self.time_base if self.pts else None

    @property
    def seconds(self) -> Fraction:
        """The time from the first shown frame to the end of the last, in seconds."""
        return (self.end - self.pts[0]) * self.time_base if self.pts and self.end is not None else Fraction(0)


@dataclass(frozen=True, kw_only=True)
class AudioPackets:
    """The counted packets of a sound track.

    samples: per channel, as ffmpeg decodes them, without priming and padding; None if only decoding can show it.
    start, end: of those samples, in seconds on the file's own clock. gaps: how often the time stamps jump.
    """

    stream: int
    rate: int
    packets: int
    discarded: int
    corrupt: int
    samples: int | None
    start: Fraction | None
    end: Fraction | None
    gaps: int

    @property
    def seconds(self) -> Fraction:
        return self.end - self.start if self.start is not None and self.end is not None else Fraction(0)


PacketTable: TypeAlias = VideoPackets | AudioPackets


def find_tag(tags: Mapping[str, str], name: str) -> str | None:
    """Returns the tag `name`, None if absent or empty; case is ignored: Matroska writes TIMECODE, MOV timecode."""
    return next((value for key, value in tags.items() if key.casefold() == name.casefold() and value.strip()), None)
