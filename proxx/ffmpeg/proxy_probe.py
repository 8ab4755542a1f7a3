"""Looks at a made proxy with ffprobe and says what it is: the whole file is demuxed, its first picture decoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from proxx.contracts.errors import FormatMismatch
from proxx.contracts.measures import parse_integer
from proxx.ffmpeg.ffprobe_json import parse_first_frame, parse_probe
from proxx.ffmpeg.process import FinishedProcess, capture, lines
from proxx.ffmpeg.streams import AudioStream, OtherStream, ProbeResult, StreamColour, VideoStream

HEADER_SECONDS: Final = 300
PASS_SECONDS: Final = 86_400
_ANSWER_LIMIT: Final = 16 << 20  # bytes of JSON
_FIRST_PICTURE: Final = "%+#8"  # some packets, because a decoder may hold the first frame back


@dataclass(frozen=True, kw_only=True)
class ProxyPicture:
    """The picture track. start: of the first frame, in ticks. even: whether each frame follows the one before by
    exactly one frame of `rate`. field_order: the container's; interlaced and top_first: the frame header's.
    """

    codec: str | None
    profile: str | None
    pixel_format: str | None
    width: int
    height: int
    sar: Fraction | None
    rate: Fraction | None
    packets: int
    start: int | None
    even: bool
    field_order: str | None
    interlaced: bool
    top_first: bool
    colour: StreamColour
    frame_range: str | None
    side_data: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProxySound:
    """A sound track. samples: a channel, of PCM counted packet by packet, of AAC as the track's length."""

    codec: str | None
    rate: int
    channels: int
    layout: str | None
    samples: int | None
    language: str | None
    title: str | None


@dataclass(frozen=True, kw_only=True)
class ProxyContents:
    """A proxy as it is. timecode: its first label, counted at timecode_rate. others: kinds of further streams."""

    container: str
    picture: ProxyPicture | None
    sound: tuple[ProxySound, ...]
    timecode: str | None
    timecode_rate: Fraction | None
    reel: str | None
    others: tuple[str, ...]


@dataclass
class _Track:
    """What is counted of one track: packets, first time stamp, the step between them, the sum of their lengths."""

    packets: int = 0
    first: int | None = None
    last: int | None = None
    steps: frozenset[int] = frozenset()
    length: int = 0
    unknown: bool = False

    def add(self, pts: int | None, duration: int | None) -> None:
        self.packets += 1
        self.unknown = self.unknown or pts is None or duration is None
        if pts is None or duration is None:
            return
        self.first = pts if self.first is None else min(self.first, pts)
        if self.last is not None and len(self.steps) < 2:
            self.steps |= {pts - self.last}
        self.last, self.length = pts, self.length + duration


def probe_proxy(proxy: Path, ffprobe: Path, launcher: tuple[str, ...] = ()) -> ProxyContents:
    """What `proxy` is. Raises FormatMismatch where ffprobe cannot read it to its end."""
    limits = ("-protocol_whitelist", "file", "-format_whitelist", "mov,mxf")
    base = (*launcher, str(ffprobe), "-hide_banner", "-v", "error", *limits)
    where = ("-i", f"file:{proxy}")
    done = capture(
        (*base, "-show_format", "-show_streams", "-of", "json", *where),
        stdout_limit=_ANSWER_LIMIT,
        timeout=HEADER_SECONDS,
    )
    _check(done)
    probed = parse_probe(done.stdout)
    tracks: dict[int, _Track] = {}

    def count(line: bytes) -> None:
        fields = dict(part.split("=", 1) for part in line.decode("ascii", "replace").split("|") if "=" in part)
        if "stream_index" in fields:
            track = tracks.setdefault(int(fields["stream_index"]), _Track())
            track.add(parse_integer(fields.get("pts")), parse_integer(fields.get("duration")))

    entries = ("-show_entries", "packet=stream_index,pts,duration", "-of", "compact=p=0")
    _check(lines((*base, *entries, *where), count, timeout=PASS_SECONDS))
    first = ("-select_streams", "V:0", "-show_frames", "-read_intervals", _FIRST_PICTURE, "-of", "json")
    done = capture((*base, *first, *where), stdout_limit=_ANSWER_LIMIT, timeout=HEADER_SECONDS)
    _check(done)
    return _found(probed, tracks, done.stdout)


def _check(done: FinishedProcess) -> None:
    if not done.succeeded:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise FormatMismatch(message="the proxy that was made cannot be read", detail=words, stage="verify")


def _found(probed: ProbeResult, tracks: dict[int, _Track], frames: bytes) -> ProxyContents:
    label, rate = _timecode(probed)
    reels = probed.labels("reel_name")
    return ProxyContents(
        container=probed.container,
        picture=_picture(probed.videos[0], tracks, frames) if probed.videos else None,
        sound=tuple(_sound(stream, tracks.get(stream.index, _Track())) for stream in probed.audios),
        timecode=label,
        timecode_rate=rate,
        reel=reels[0].value if reels else None,
        others=_others(probed),
    )


def _picture(stream: VideoStream, tracks: dict[int, _Track], frames: bytes) -> ProxyPicture:
    track, frame = tracks.get(stream.index, _Track()), parse_first_frame(frames)
    step = 1 / (stream.average_rate * stream.time_base) if stream.average_rate else None
    side_data = set(stream.side_data) | (frame.side_data if frame else set())
    return ProxyPicture(
        codec=stream.codec,
        profile=stream.profile,
        pixel_format=stream.pixel_format,
        width=stream.width,
        height=stream.height,
        sar=stream.sar,
        rate=stream.average_rate,
        packets=track.packets,
        start=track.first,
        even=not track.unknown and all(one == step for one in track.steps),
        field_order=stream.field_order,
        interlaced=bool(frame and frame.interlaced),
        top_first=bool(frame and frame.top_field_first),
        colour=stream.colour,
        frame_range=frame.colour.range if frame else None,
        side_data=tuple(sorted(side_data)),
    )


def _sound(stream: AudioStream, track: _Track) -> ProxySound:
    if stream.codec and stream.codec.startswith("pcm_"):
        ticks = None if track.unknown else track.length
    else:  # its last packet may hold more than the sound: the container's length cuts it
        ticks = stream.duration_ts
    samples = None if ticks is None else ticks * stream.time_base * stream.rate
    return ProxySound(
        codec=stream.codec,
        rate=stream.rate,
        channels=stream.channels,
        layout=stream.layout,
        samples=int(samples) if samples is not None and samples.denominator == 1 else None,
        language=stream.tagged("language"),
        title=stream.tagged("title") or stream.tagged("name"),
    )


def _timecode(probed: ProbeResult) -> tuple[str | None, Fraction | None]:
    """MOV and MP4 keep it in a track with a rate of its own, MXF counts it at the picture's."""
    labels = probed.labels("timecode")
    own = [stream for stream in probed.others if stream.tag == "tmcd"]
    if own:
        return own[0].tagged("timecode"), own[0].average_rate
    return labels[0].value if labels else None, probed.videos[0].average_rate if probed.videos else None


def _others(probed: ProbeResult) -> tuple[str, ...]:
    """Streams nobody asked for: all but one picture, the sound and one timecode track."""
    extra = [f"video {stream.codec}" for stream in probed.videos[1:]]
    extra += [f"cover {s.codec}" for s in probed.streams if isinstance(s, VideoStream) and s.is_picture_of_cover]
    timecodes = 0
    for stream in probed.streams:
        if isinstance(stream, OtherStream):
            timecodes += stream.tag == "tmcd"
            if stream.tag != "tmcd" or timecodes > 1:
                extra.append(f"{stream.kind} {stream.codec or stream.tag}")
    return tuple(extra)
