"""Decides the proxy's sound: tracks, channels, decoders, offsets and exact lengths. Pure.

Every track of the proxy is exactly as long as its picture: a relinked clip then has sound under every frame and
none after the last, and MXF forces that grid in any case (measured: ffmpeg pads or drops sound to it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from proxx.contracts.measures import Rate, nearest_integer
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import AudioDecoder, AudioTrack, ChannelPick, Excluded
from proxx.decide.notes import Note, NoteKind
from proxx.ffmpeg.packets import audio_offset
from proxx.ffmpeg.streams import AudioPackets, AudioStream, ProbeResult, VideoPackets

FIXED_POINT: Final = {"aac": "aac_fixed", "ac3": "ac3_fixed"}
"""Decoders that give the same samples on every CPU. Those of PCM, FLAC, ALAC, MP2 and ffmpeg's `mp3` do so too;
E-AC-3, DTS, Opus and Vorbis have no such decoder and stay the same only because jobs pin the CPU flags (measured)."""

DECODER_NAMES: Final = {"dts": "dca", "mp1": "mp1"}  # if ffmpeg's codec and decoder have different names
_NOT_IN_FIXED_POINT: Final = frozenset({"xHE-AAC", "LD", "ELD", "SSR", "LTP"})  # profiles aac_fixed cannot decode
AAC_RATES: Final = frozenset({96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000})
_LAYOUT: Final = re.compile(r"[A-Za-z0-9().]+")
_CUSTOM: Final = re.compile(r"\d+ channels \((.+)\)")
_LANGUAGE: Final = re.compile(r"[a-z]{3}")


@dataclass(frozen=True, kw_only=True)
class SoundDecision:
    """The tracks, and for each its offset and length in samples at the track's rate."""

    tracks: tuple[AudioTrack, ...]
    decoders: tuple[AudioDecoder, ...]
    offsets: tuple[int, ...]
    samples: tuple[int, ...]
    excluded: tuple[Excluded, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True, kw_only=True)
class PictureSpan:
    """The length of the proxy's picture."""

    frames: int
    rate: Rate

    def samples(self, rate: int) -> int:
        """Returns how many samples per channel last as long, halves upward, as ffmpeg's MXF writer rounds."""
        return nearest_integer(Fraction(self.frames * rate) / self.rate.fraction)


def decide_sound(
    profile: ProfileSpec,
    probed: ProbeResult,
    picture: VideoPackets,
    sounds: Mapping[int, AudioPackets],
    span: PictureSpan,
    decoders: frozenset[str],
) -> SoundDecision:
    """Returns every track that can be decoded, in the source's order, and the others with the reason.

    sounds: by stream index. decoders: the codecs that the toolchain decodes.
    """
    tracks, used, offsets, excluded = [], [], [], []
    notes: list[Note] = []
    for stream in probed.audios:
        table = sounds.get(stream.index)
        reason = _reason_to_exclude(profile, stream, table, decoders)
        if reason is not None or table is None:
            codec = stream.codec or stream.tag or "unknown"
            excluded.append(Excluded(index=stream.index, codec=codec, reason=reason or "its packets were not read"))
            continue
        codec = stream.codec or "unknown"
        used.append(AudioDecoder(file=0, stream=stream.index, codec=codec, decoder=decoder_of(stream)))
        offset = audio_offset(picture, table) or Fraction(0)
        for track in _tracks(profile, stream):
            tracks.append(track)
            offsets.append(nearest_integer(offset * track.rate / stream.rate))
        notes += _notes(stream.index, offset, table, span)
    return SoundDecision(
        tracks=tuple(tracks),
        decoders=tuple(used),
        offsets=tuple(offsets),
        samples=tuple(span.samples(track.rate) for track in tracks),
        excluded=tuple(excluded),
        notes=tuple(notes),
    )


def _notes(index: int, offset: Fraction, table: AudioPackets, span: PictureSpan) -> Iterator[Note]:
    """Yields a note for gaps in the sound, and for silence under more than one frame of the picture."""
    if table.gaps:
        text = f"sound of stream {index}: {table.gaps} gaps in its time stamps are closed up"
        yield Note(NoteKind.SOUND_GAPS_CLOSED, text)
    if table.samples is None:
        return
    at_start, at_end = offset, span.samples(table.rate) - offset - table.samples
    frame = table.rate / span.rate.fraction
    for missing, where in ((at_start, "begins {} after"), (at_end, "ends {} before")):
        if missing > frame:
            length = f"{nearest_integer(missing)} samples ({nearest_integer(missing / frame)} frames)"
            text = f"sound of stream {index} {where.format(length)} the picture: silence is added"
            yield Note(NoteKind.SILENCE_ADDED, text)


def decoder_of(stream: AudioStream) -> str:
    """Returns ffmpeg's name of the stream's decoder: the fixed-point one if there is one that decodes the stream."""
    codec = stream.codec or "unknown"
    if codec == "aac" and stream.profile in _NOT_IN_FIXED_POINT:
        return codec
    return FIXED_POINT.get(codec) or DECODER_NAMES.get(codec, codec)


def _reason_to_exclude(
    profile: ProfileSpec, stream: AudioStream, table: AudioPackets | None, decoders: frozenset[str]
) -> str | None:
    if profile.audio.mode == "none":
        return "the profile has no sound"
    if stream.codec is None or stream.codec not in decoders:
        return "the toolchain cannot decode it"
    if stream.channels < 1 or stream.rate < 1:
        return "it names no channels or no rate"
    if table is not None and table.samples == 0:
        return "it holds no samples"
    return None


def _tracks(profile: ProfileSpec, stream: AudioStream) -> Iterator[AudioTrack]:
    """Yields the stream as one track, or one track for each channel.

    AAC keeps only mono and stereo together: it would guess a layout for unlabelled channels, and it filters the
    channel that it takes for the low-frequency one (measured: −64.8 dB).
    """
    layout, labels = layout_of(stream)
    split = profile.audio.mode == "mono" or (profile.audio.codec == "aac" and layout not in ("mono", "stereo"))
    groups = [(channel,) for channel in range(stream.channels)] if split else [tuple(range(stream.channels))]
    for channels in groups:
        yield AudioTrack(
            codec=profile.audio.codec,
            rate=_rate(profile, stream),
            bits=profile.audio.bits,
            layout="mono" if len(channels) == 1 else layout,
            labels=() if split else labels,
            language=_language(stream),
            title=stream.tagged("title"),
            map=tuple(ChannelPick(file=0, stream=stream.index, channel=channel) for channel in channels),
        )


def layout_of(stream: AudioStream) -> tuple[str, tuple[str, ...]]:
    """Returns (ffmpeg's layout name or `discrete`, the channels' labels if only these are known)."""
    if stream.channels == 1:
        return "mono", ()
    text = stream.layout or ""
    if _LAYOUT.fullmatch(text):
        return text, ()
    custom = _CUSTOM.fullmatch(text)
    return "discrete", tuple(custom[1].split("+")) if custom else ()


def _rate(profile: ProfileSpec, stream: AudioStream) -> int:
    if profile.audio.rate != "source":
        return profile.audio.rate
    return stream.rate if profile.audio.codec != "aac" or stream.rate in AAC_RATES else 48000


def _language(stream: AudioStream) -> str | None:
    text = (stream.tagged("language") or "").lower()
    return text if _LANGUAGE.fullmatch(text) and text != "und" else None
