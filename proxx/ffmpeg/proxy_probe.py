"""Reads with ffprobe what an encoded proxy contains: demuxes the whole file and decodes its first frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from proxx.contracts.errors import FormatMismatch
from proxx.contracts.measures import parse_integer
from proxx.ffmpeg.ffprobe_json import parse_first_frame, parse_probe
from proxx.ffmpeg.printed import compact_fields
from proxx.ffmpeg.probe import FIRST_PACKETS, JSON_LIMIT, PASS_SECONDS, PROBE_SECONDS
from proxx.ffmpeg.process import FinishedProcess, capture, lines
from proxx.ffmpeg.streams import AudioStream, OtherStream, ProbeResult, StreamColour, VideoStream


@dataclass(frozen=True, kw_only=True)
class ProxyPicture:
    """The picture track of a proxy.

    packets: counted. start: time stamp of the first frame, in ticks. even: whether every frame begins exactly one
    frame of `rate` after the one before. field_order: as the container has it; interlaced and top_first: as the
    header of the first frame has them.
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
    """A sound track of a proxy. samples: per channel; for PCM the sum of all packets, for AAC the track's length."""

    codec: str | None
    rate: int
    channels: int
    layout: str | None
    samples: int | None
    language: str | None
    title: str | None


@dataclass(frozen=True, kw_only=True)
class ProxyContents:
    """What a proxy file contains. timecode: its first label, counted at timecode_rate. others: unexpected streams."""

    container: str
    picture: ProxyPicture | None
    sound: tuple[ProxySound, ...]
    timecode: str | None
    timecode_rate: Fraction | None
    reel: str | None
    others: tuple[str, ...]


@dataclass
class _Track:
    """The packets of one track, counted as they come.

    first, last: time stamps. steps: distances between neighbours (at most two are kept). length: sum of the packets'
    durations. unknown: whether a packet lacks a time stamp or duration. All in ticks.
    """

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
    """Returns what the file `proxy` contains. Raises FormatMismatch if ffprobe cannot read it to its end.

    launcher: arguments to put before ffprobe (for tests).
    """
    limits = ("-protocol_whitelist", "file", "-format_whitelist", "mov,mxf")
    base = (*launcher, str(ffprobe), "-hide_banner", "-v", "error", *limits)
    source = ("-i", f"file:{proxy}")

    def show(*options: str) -> bytes:
        argv = (*base, *options, "-of", "json", *source)
        return _require_success(capture(argv, stdout_limit=JSON_LIMIT, timeout=PROBE_SECONDS)).stdout

    tracks: dict[int, _Track] = {}

    def count(line: bytes) -> None:
        fields = compact_fields(line)
        index = parse_integer(fields.get(b"stream_index"))
        if index is not None:
            track = tracks.setdefault(index, _Track())
            track.add(parse_integer(fields.get(b"pts")), parse_integer(fields.get(b"duration")))

    probed = parse_probe(show("-show_format", "-show_streams"))
    entries = ("-show_entries", "packet=stream_index,pts,duration", "-of", "compact=p=0")
    _require_success(lines((*base, *entries, *source), count, timeout=PASS_SECONDS))
    frames = show("-select_streams", "V:0", "-show_frames", "-read_intervals", FIRST_PACKETS)
    return _contents(probed, tracks, frames)


def _require_success(ended: FinishedProcess) -> FinishedProcess:
    if not ended.succeeded:
        detail = ended.stderr.decode("utf-8", "replace").strip()
        raise FormatMismatch(message="ffprobe cannot read the proxy that was made", detail=detail, stage="verify")
    return ended


def _contents(probed: ProbeResult, tracks: dict[int, _Track], frames: bytes) -> ProxyContents:
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
        even=not track.unknown and all(distance == step for distance in track.steps),
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
    else:  # the last packet may hold more samples than the track: the container's length cuts it
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
    """Returns the first timecode label and its rate.

    MOV and MP4 keep timecode in a track that has its own rate; MXF counts it at the picture's rate.
    """
    labels = probed.labels("timecode")
    timecode_tracks = [stream for stream in probed.others if stream.tag == "tmcd"]
    if timecode_tracks:
        return timecode_tracks[0].tagged("timecode"), timecode_tracks[0].average_rate
    return labels[0].value if labels else None, probed.videos[0].average_rate if probed.videos else None


def _others(probed: ProbeResult) -> tuple[str, ...]:
    """Returns the streams a proxy should not have: all except one picture, the sound and one timecode track."""
    extra = [f"video {stream.codec}" for stream in probed.videos[1:]]
    extra += [f"cover {s.codec}" for s in probed.streams if isinstance(s, VideoStream) and s.is_picture_of_cover]
    timecodes = 0
    for stream in probed.streams:
        if isinstance(stream, OtherStream):
            timecodes += stream.tag == "tmcd"
            if stream.tag != "tmcd" or timecodes > 1:
                extra.append(f"{stream.kind} {stream.codec or stream.tag}")
    return tuple(extra)
