"""Counts packets one by one and derives how many frames and samples decoding must give. Pure.

The rules are those of ffmpeg 8 (libavcodec/decode.c `discard_samples`, libavformat's edit lists); the tests compare
each of them with real decoding.
"""

from __future__ import annotations

import re
from array import array
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple

from proxx.ffmpeg.streams import (
    AudioPackets,
    AudioStream,
    PacketTable,
    ProbeResult,
    StreamBase,
    VideoPackets,
    VideoStream,
)

_DECLARING: Final = ("mov,", "mxf", "avi", "wav")
_FIELD_CODED: Final = {"h264"}  # the two fields of a frame may be separate packets


class Packet(NamedTuple):
    """One packet as the demuxer gives it. skip: samples to drop from its start; padding: samples to drop at its end.

    pts, dts, duration: in ticks. size: in bytes.
    """

    pts: int | None
    dts: int | None
    duration: int
    size: int
    key: bool
    discard: bool
    corrupt: bool
    skip: int = 0
    padding: int = 0


class VideoCounter:
    """Counts the packets of one picture track."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._field = _field_ticks(stream)
        self._packets = self._discarded = self._corrupt = self._empty = 0
        self._keyframes = self._pairs = self._leading = self._without_pts = 0
        self._mid_gop = False
        self._first_key: int | None = None
        self._second_field_due = False
        self._pts = array("q")
        self._end: int | None = None
        self._held = 0

    def add(self, packet: Packet) -> None:
        if self._packets == 0:
            self._mid_gop = not packet.key
        self._packets += 1
        self._corrupt += packet.corrupt
        self._keyframes += packet.key
        pts = packet.pts if packet.pts is not None else packet.dts
        if packet.key and self._first_key is None:
            self._first_key = pts
        elif self._keyframes == 1 and self._first_key is not None and (pts is None or pts < self._first_key):
            self._leading += 1  # Matroska cannot store a time before zero, so such packets have no time stamp
        self._held += 0 if packet.discard else packet.duration
        if packet.discard:
            self._discarded += 1
        elif packet.size == 0:
            self._empty += 1
        elif self._completes_a_pair(packet):
            self._pairs += 1
            self._extend_end(pts, packet.duration)
        elif pts is None:
            self._without_pts += 1
        else:
            self._pts.append(pts)
            self._extend_end(pts, packet.duration)

    def _completes_a_pair(self, packet: Packet) -> bool:
        is_field = self._field is not None and abs(packet.duration - self._field) <= 1
        second = is_field and self._second_field_due
        self._second_field_due = is_field and not second
        return second

    def _extend_end(self, pts: int | None, duration: int) -> None:
        if pts is not None:
            self._end = pts + duration if self._end is None else max(self._end, pts + duration)

    def finish(self) -> VideoPackets:
        return VideoPackets(
            stream=self._stream.index,
            time_base=self._stream.time_base,
            packets=self._packets,
            discarded=self._discarded,
            corrupt=self._corrupt,
            empty=self._empty,
            keyframes=self._keyframes,
            field_pairs=self._pairs,
            leading=self._leading,
            without_pts=self._without_pts,
            starts_mid_gop=self._mid_gop,
            pts=array("q", sorted(self._pts)),
            end=self._end,
            held=self._held,
            certain=not (self._mid_gop or self._corrupt or (self._stream.codec == "hevc" and self._leading)),
        )


class AudioCounter:
    """Counts the packets and samples of one sound track."""

    def __init__(self, stream: AudioStream) -> None:
        self._stream = stream
        self._packets = self._discarded = self._corrupt = self._gaps = 0
        self._samples: int | None = 0
        self._skip = 0
        self._start: Fraction | None = None
        self._expected: int | None = None
        self._end: Fraction | None = None

    def add(self, packet: Packet) -> None:
        self._packets += 1
        self._corrupt += packet.corrupt
        self._discarded += packet.discard
        self._skip = packet.skip or self._skip
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is not None:
            self._gaps += self._expected is not None and abs(pts - self._expected) > 1
            self._expected = pts + packet.duration
        samples = packet_samples(self._stream, packet.duration, packet.size)
        if samples is None:
            self._samples = None
            if self._stream.codec != "aac":
                return
            # Low-delay AAC in Matroska: the count is unknown, the beginning of the sound is not.
            samples = int(packet.duration * self._stream.time_base * self._stream.rate)
        self._count_samples(packet, pts, samples)

    def _count_samples(self, packet: Packet, pts: int | None, samples: int) -> None:
        dropped = min(self._skip, samples)
        self._skip -= dropped
        kept = 0 if packet.discard else max(0, samples - dropped - packet.padding)
        if self._samples is not None:
            self._samples += kept
        if kept and pts is not None:
            first = pts * self._stream.time_base + Fraction(dropped, self._stream.rate)
            self._start = first if self._start is None else self._start
            self._end = first + Fraction(kept, self._stream.rate)

    def finish(self) -> AudioPackets:
        return AudioPackets(
            stream=self._stream.index,
            rate=self._stream.rate,
            packets=self._packets,
            discarded=self._discarded,
            corrupt=self._corrupt,
            samples=self._samples,
            start=self._start,
            end=self._end,
            gaps=self._gaps,
        )


def packet_samples(stream: AudioStream, duration: int, size: int) -> int | None:
    """Returns how many samples per channel this packet decodes to, or None if only decoding can show it.

    Most coded sound decodes to the same number of samples in every packet, whatever duration the container gives:
    the first and last packet of a MOV track often have another, and Matroska rounds to milliseconds.
    """
    exact = duration * stream.time_base * stream.rate
    match stream.codec:
        case "aac" if stream.profile in ("LD", "ELD"):
            # The stream has 512 or 480 (ISO/IEC 14496-3, frameLengthFlag): ffprobe does not show which, and ticks of
            # a millisecond (Matroska) are too coarse to tell.
            fine = stream.time_base * stream.rate < (512 - 480) // 2
            return min((512, 480), key=lambda n: abs(n - exact)) if duration and fine else None
        case "aac":
            return 2048 if (stream.profile or "").startswith("HE-AAC") else 1024
        case "ac3":
            return 1536
        case "eac3":
            return min((1536, 768, 512, 256), key=lambda n: abs(n - exact)) if duration else 1536
        case "mp2":
            return 1152
        case "mp3":
            return 1152 if stream.rate >= 32000 else 576
        case "flac" | "alac":
            return int(exact) if exact.denominator == 1 and duration else None
        case codec if codec and codec.startswith("pcm_") and stream.packed_bits and stream.channels:
            return size * 8 // (stream.packed_bits * stream.channels)
    return None


# --- judging the counts ----------------------------------------------------------------------------------


def missing_seconds(probed: ProbeResult, stream: StreamBase, table: PacketTable) -> Fraction:
    """Returns how many seconds the track holds less than it declares (negative: more); 0 if it declares no duration.

    Transport streams and similar containers declare none: the duration that ffprobe shows for them is a guess. A
    picture track is measured both by its time stamps and by the sum of its packets' durations, which differ if
    frames of uneven length are reordered; the one nearer to the declared duration counts.
    """
    if isinstance(table, AudioPackets):
        measured = {table.seconds} if table.samples is not None else set()
    else:
        measured = {table.seconds, table.held * table.time_base}
    declared = stream.duration
    if not probed.container.startswith(_DECLARING):
        match = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.tagged("DURATION") or "")  # a tag of Matroska
        if match is None or table.start is None:
            return Fraction(0)
        end = int(match[1]) * 3600 + int(match[2]) * 60 + Fraction(match[3])  # the tag counts from time 0
        declared = end - table.start
    return min((declared - seconds for seconds in measured if declared is not None), key=abs, default=Fraction(0))


def is_truncated(probed: ProbeResult, stream: StreamBase, table: PacketTable) -> bool:
    """Returns whether the declared duration and the packets differ by more than one frame, in either direction.

    One frame is the average frame or, if frames are uneven, the longest. For sound, which containers round and prime
    in several ways, a tenth of a second is allowed.
    """
    if not isinstance(table, VideoPackets):
        allowed = Fraction(1, 10)
    else:
        rate = stream.average_rate if isinstance(stream, VideoStream) else None
        longest = max((b - a for a, b in pairwise(table.pts)), default=0) * table.time_base
        allowed = max(longest, 1 / rate if rate else Fraction(0))
    return abs(missing_seconds(probed, stream, table)) > allowed


def repeated_pts(table: VideoPackets) -> int:
    """Returns how many frames have the same time stamp as the frame before."""
    return sum(a == b for a, b in pairwise(table.pts))


def largest_deviation(table: VideoPackets, rate: Fraction) -> Fraction:
    """Returns, in frames of `rate`, how far the worst time stamp lies from the even grid that the first frame starts.

    From a half on, some frame is nearer to another place on the grid than to its own.
    """
    if not table.pts:
        return Fraction(0)
    first, step = table.pts[0], table.time_base * rate
    worst = max((abs((pts - first) * step.numerator - n * step.denominator) for n, pts in enumerate(table.pts)))
    return Fraction(worst, step.denominator)


def audio_offset(video: VideoPackets, audio: AudioPackets) -> Fraction | None:
    """Returns by how many samples the sound begins after the picture (negative: before); None if either is empty."""
    return None if video.start is None or audio.start is None else (audio.start - video.start) * audio.rate


def _field_ticks(stream: VideoStream) -> Fraction | None:
    """Returns the duration of one field in ticks if packets of the stream may hold single fields, else None.

    An average rate above 45 on an interlaced stream counts fields: nothing records 50 interlaced frames a second,
    but a field-coded transport stream copied to MP4 is declared like that.
    """
    rate = stream.average_rate
    if stream.codec not in _FIELD_CODED or not stream.interlaced or not rate:
        return None
    return (1 if rate > 45 else Fraction(1, 2)) / rate / stream.time_base
