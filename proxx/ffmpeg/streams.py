"""What a probe found in a media file: frozen types, integers and fractions only, None where the file does not say."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

# ffmpeg's demuxer names, for `-format_whitelist`, in probe and encode: what cameras and recorders write. Playlists,
# scripts and image patterns are not among them, whatever a file is called.
FORMATS: Final = ("mov", "mxf", "mpegts", "matroska", "wav", "avi", "mpeg", "dv", "gxf")
FORMAT_WHITELIST: Final = ",".join(FORMATS)


@dataclass(frozen=True, kw_only=True)
class StreamColour:
    """How samples are to be read, in ffmpeg's words; None is unknown or unspecified."""

    range: str | None
    matrix: str | None
    primaries: str | None
    transfer: str | None
    chroma_location: str | None


@dataclass(frozen=True, kw_only=True)
class StreamBase:
    """What every stream has. Times are in ticks of `time_base`, seconds each.

    tag: the container's four letters, or a number in hex where they are none. side_data: kind to fields.
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
        """The tag of this name, in whatever case; None where it is absent or empty."""
        return find_tag(self.tags, name)


@dataclass(frozen=True, kw_only=True)
class VideoStream(StreamBase):
    """A picture track. Sizes are after the codec's own cropping and before rotation.

    nominal_rate is ffmpeg's r_frame_rate: of fields in a field-coded stream, a time base in a variable one.
    rotation: clockwise degrees to turn it for display, None where the matrix is no quarter turn.
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
    """A sound track. layout: None where channels are unlabelled. bits: of a raw sample, None where coded."""

    rate: int
    channels: int
    layout: str | None
    sample_format: str | None
    bits: int | None
    packed_bits: int | None
    initial_padding: int


@dataclass(frozen=True, kw_only=True)
class OtherStream(StreamBase):
    """Data, subtitle or attachment: kind is ffmpeg's word. rate: of a tmcd track, its labels a second."""

    kind: str
    average_rate: Fraction | None


Stream: TypeAlias = VideoStream | AudioStream | OtherStream


@dataclass(frozen=True, kw_only=True)
class TimecodeLabel:
    """A name or timecode found in tags. origin: `format` or `stream:3`."""

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
        """Picture tracks; cover art and thumbnails are none."""
        return tuple(s for s in self.streams if isinstance(s, VideoStream) and not s.is_picture_of_cover)

    @property
    def audios(self) -> tuple[AudioStream, ...]:
        return tuple(s for s in self.streams if isinstance(s, AudioStream))

    @property
    def others(self) -> tuple[OtherStream, ...]:
        return tuple(s for s in self.streams if isinstance(s, OtherStream))

    def labels(self, tag: str) -> tuple[TimecodeLabel, ...]:
        """Every `timecode`, `reel_name`, … there is: the streams' in order, then the container's."""
        found = [(s.tagged(tag), f"stream:{s.index}") for s in self.streams]
        found.append((find_tag(self.tags, tag), "format"))
        return tuple(TimecodeLabel(value=value, origin=origin) for value, origin in found if value is not None)


@dataclass(frozen=True, kw_only=True)
class FirstFrame:
    """The first decoded picture of a track: what the decoder says, which outranks the container.

    (A GoPro MAX says limited range in its container and full range in its H.264: its frames are full range.)
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
    """The packets of a picture track, counted; `frames` is what ffmpeg shows when it decodes without error.

    discarded: outside the edit list. empty: of no bytes, which decode to nothing. field_pairs: frames that came
    as two packets. leading: packets before the first keyframe in time and after it in the file; a decoder may
    drop them. pts: of each frame to be shown, in ticks, sorted. end: in ticks, of the last frame. held: ticks
    that the shown packets last. certain: whether `frames` is what every decode gives; it is not where the stream
    starts in the middle of a group of pictures (threads matter then), has corrupt packets, or is HEVC with leading
    packets (a decoder drops those that need what came before).
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
        """Seconds at which the first shown frame stands, on the file's own clock."""
        return self.pts[0] * self.time_base if self.pts else None

    @property
    def seconds(self) -> Fraction:
        """From the first shown frame to the end of the last."""
        return (self.end - self.pts[0]) * self.time_base if self.pts and self.end is not None else Fraction(0)


@dataclass(frozen=True, kw_only=True)
class AudioPackets:
    """The packets of a sound track, counted.

    samples: per channel, as ffmpeg decodes them: without priming and padding. None where packets do not tell.
    start: seconds of the first of them on the file's own clock. gaps: places where time stamps do not follow on.
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
    """Matroska writes TIMECODE where MOV writes timecode."""
    return next((value for key, value in tags.items() if key.casefold() == name.casefold() and value.strip()), None)
