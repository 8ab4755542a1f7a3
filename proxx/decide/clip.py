"""Decides one clip: the facts about a source and the rules of a profile become source, recipe, expectation, outputs.

Pure: no disk, no clock, no environment. Later steps only execute these decisions and compare the proxy with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from proxx.contracts.error_bases import ClipFailure
from proxx.contracts.errors import DecodeFailed, SourceTruncated, SourceUnsupported
from proxx.contracts.job import Clip
from proxx.contracts.profile import ProfileSpec, pinned_threads
from proxx.contracts.recipe import Excluded, Expect, Output, Recipe, Source, SourceFile, VideoPick
from proxx.decide.colour import ColourDecision, decide_colour
from proxx.decide.names import NamesDecision, decide_names
from proxx.decide.notes import Note, NoteKind
from proxx.decide.picture import NO_CROP, PictureDecision, decide_pick, decide_picture
from proxx.decide.rate import RateDecision, decide_rate
from proxx.decide.sound import PictureSpan, SoundDecision, decide_sound
from proxx.ffmpeg.packets import is_truncated, missing_seconds
from proxx.ffmpeg.streams import (
    AudioPackets,
    AudioStream,
    FirstFrame,
    OtherStream,
    ProbeResult,
    Stream,
    VideoPackets,
    VideoStream,
)


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """The facts about one source. uri: its full place. pictures: of the picked stream. sounds: by stream index.

    If damage is accepted, `pictures` has the frames that one decoder thread really gave.
    """

    uri: str
    size: int
    digest: str
    probed: ProbeResult
    stream: VideoStream
    frame: FirstFrame
    pictures: VideoPackets
    sounds: Mapping[int, AudioPackets]


@dataclass(frozen=True, kw_only=True)
class ClipDecision:
    """A clip, and the notes about it for people."""

    clip: Clip
    notes: tuple[Note, ...]

    @property
    def conformed(self) -> bool:
        return self.clip.recipe.conform.mode == "cfr"


def decide_clip(
    profile: ProfileSpec, facts: SourceFacts, output: str, decoders: frozenset[str], accept_damage: bool
) -> ClipDecision | ClipFailure:
    """Returns the clip, or the failure that rules it out. output: the proxy's full place.

    decoders: the codecs that the toolchain decodes, by ffmpeg's codec names.
    """
    try:
        pick = decide_pick(facts.stream, decoders)
        _require_whole(facts, accept_damage)
        rate = decide_rate(profile, facts.stream, facts.pictures)
        picture = decide_picture(profile, facts.stream, facts.frame)
        if picture.stays_interlaced and rate.conform.mode == "cfr":
            raise SourceUnsupported(
                message="It is interlaced and has a variable frame rate: choose a profile that deinterlaces.",
                stage="decide",
            )
        colour = decide_colour(profile, facts.stream, facts.frame)
        names = decide_names(profile, facts.probed, facts.stream, rate.conform.rate)
        span = PictureSpan(frames=rate.output_frames, rate=rate.conform.rate)
        sound = decide_sound(profile, facts.probed, facts.pictures, facts.sounds, span, decoders)
    except ClipFailure as failure:
        return failure
    excluded = _excluded(facts, sound)
    clip = Clip(
        source=_source(facts),
        recipe=_recipe(profile, pick, rate, picture, colour, names, sound, excluded, accept_damage),
        expect=_expect(facts, rate, picture, colour, names, sound),
        outputs=(Output(role="proxy", uri=output, tracks=tuple(range(len(sound.tracks)))),),
    )
    notes = (
        *(() if accept_damage else rate.notes),
        *picture.notes,
        *colour.notes,
        *names.notes,
        *sound.notes,
        *_notes_of_excluded(profile, facts, excluded),
        *((_note_of_damage(facts, rate),) if accept_damage else ()),
    )
    return ClipDecision(clip=clip, notes=notes)


def _require_whole(facts: SourceFacts, accept_damage: bool) -> None:
    """Raises the ClipFailure for a source that is not whole.

    With damage accepted, only what makes the number of frames unreliable is refused.
    """
    table = facts.pictures
    if table.frames == 0:
        raise DecodeFailed(message="The picture track has no frames.", stage="decide")
    if accept_damage:
        if facts.stream.codec == "hevc":  # measured: corrupt HEVC decodes at random, even with one thread
            raise SourceUnsupported(
                message="Damage in HEVC cannot be accepted: it decodes differently each time.", stage="decide"
            )
        return
    if table.corrupt:
        raise DecodeFailed(
            message=f"{table.corrupt} packets of the picture track are marked as damaged.", stage="decide"
        )
    if table.starts_mid_gop:  # measured: the number of frames depends on the number of decoder threads
        raise DecodeFailed(message="The picture track starts in the middle of a group of pictures.", stage="decide")
    if not table.certain:
        raise DecodeFailed(
            message="It is not certain how many frames of the picture track can be decoded.", stage="decide"
        )
    _require_length(facts)


def _require_length(facts: SourceFacts) -> None:
    declared, table = facts.stream.declared_packets, facts.pictures
    if declared is not None and table.packets < declared:
        raise SourceTruncated(
            message=f"The picture track declares {declared} frames and has {table.packets}.", stage="decide"
        )
    if is_truncated(facts.probed, facts.stream, table):
        missing = missing_seconds(facts.probed, facts.stream, table) * 1000
        raise SourceTruncated(
            message=f"The picture track is {abs(int(missing))} ms {'shorter' if missing > 0 else 'longer'} than it "
            "declares.",
            stage="decide",
        )
    for stream in facts.probed.audios:
        sound = facts.sounds.get(stream.index)
        if sound is None or not is_truncated(facts.probed, stream, sound):
            continue
        if missing_seconds(facts.probed, stream, sound) > 0:
            raise SourceTruncated(
                message=f"The sound of stream {stream.index} is shorter than it declares.", stage="decide"
            )


# --- the parts of a clip ---------------------------------------------------------------------------------


def _source(facts: SourceFacts) -> Source:
    file = SourceFile(uri=facts.uri, size=facts.size, digest=facts.digest, role="picture")
    return Source(kind="file", files=(file,), sequence=None, range=None)


def _recipe(
    profile: ProfileSpec,
    pick: VideoPick,
    rate: RateDecision,
    picture: PictureDecision,
    colour: ColourDecision,
    names: NamesDecision,
    sound: SoundDecision,
    excluded: tuple[Excluded, ...],
    accept_damage: bool,
) -> Recipe:
    decode_errors: Literal["refuse", "accept"] = "accept" if accept_damage else "refuse"
    return Recipe(
        video=pick,
        audio=sound.tracks,
        audio_decoders=sound.decoders,
        audio_offset=sound.offsets,
        excluded=excluded,
        crop=NO_CROP,
        rotation=picture.rotation,
        size=picture.size,
        scaled=picture.scaled,
        sar=picture.sar,
        scan="progressive" if picture.field_order is None else "interlaced",
        field_order=picture.field_order,
        deinterlace=picture.deinterlace,
        colour_in=colour.source,
        colour_out=colour.proxy,
        conform=rate.conform,
        timecode=names.timecode,
        names=names.names,
        luts=(),
        hdr=colour.hdr,
        decode_errors=decode_errors,
        threads=pinned_threads(profile.threads, pick.decoder, decode_errors),
    )


def _expect(
    facts: SourceFacts,
    rate: RateDecision,
    picture: PictureDecision,
    colour: ColourDecision,
    names: NamesDecision,
    sound: SoundDecision,
) -> Expect:
    table = facts.pictures
    return Expect(
        packets=table.packets,
        discarded=table.discarded,
        frames=table.frames,
        output_frames=rate.output_frames,
        samples=sound.samples,
        size=picture.size,
        sar=picture.sar,
        rate=rate.conform.rate,
        scan="interlaced" if picture.stays_interlaced else "progressive",
        field_order=picture.field_order if picture.stays_interlaced else None,
        colour=colour.proxy,
        timecode=names.expected_timecode,
        reel=names.expected_reel,
        side_data=colour.side_data,
    )


def _excluded(facts: SourceFacts, sound: SoundDecision) -> tuple[Excluded, ...]:
    """Returns every stream that is not in the proxy, in the source's order, with the reason."""
    reasons = {item.index: item for item in sound.excluded}
    for stream in facts.probed.streams:
        if isinstance(stream, AudioStream) or stream.index == facts.stream.index:
            continue
        if isinstance(stream, VideoStream):
            cover = stream.is_picture_of_cover
            reason = "a cover or thumbnail" if cover else f"the picture is stream {facts.stream.index}"
        else:
            reason = _reason_to_exclude(stream)
        codec = stream.codec or stream.tag or "unknown"
        reasons[stream.index] = Excluded(index=stream.index, codec=codec, reason=reason)
    return tuple(reasons[index] for index in sorted(reasons))


def _reason_to_exclude(stream: OtherStream) -> str:
    if stream.tagged("timecode") is not None:
        return "timecode is read from it and written anew"  # in specs, and so in fingerprints: not to be reworded
    return f"{stream.kind} is not carried over"


def _note_of_damage(facts: SourceFacts, rate: RateDecision) -> Note:
    """Returns the note that damage was accepted.

    Lost frames do not shorten the clip: the rule for uneven frames repeats the frame before.
    """
    counts = f"{facts.pictures.packets} packets give {facts.pictures.frames} frames, of which the proxy makes"
    text = f"damage accepted: decoded by one thread, {counts} {rate.output_frames} at {rate.conform.rate} a second"
    return Note(NoteKind.DAMAGE_ACCEPTED, text)


def _notes_of_excluded(profile: ProfileSpec, facts: SourceFacts, excluded: tuple[Excluded, ...]) -> tuple[Note, ...]:
    streams = {stream.index: stream for stream in facts.probed.streams}
    return tuple(
        Note(NoteKind.STREAM_EXCLUDED, f"stream {item.index} ({item.codec}) left out: {item.reason}")
        for item in excluded
        if _is_worth_a_note(profile, streams[item.index])
    )


def _is_worth_a_note(profile: ProfileSpec, stream: Stream) -> bool:
    """Returns whether people want to know that the stream is left out. The spec lists every stream left out."""
    match stream:
        case VideoStream():
            return not stream.is_picture_of_cover
        case AudioStream():
            return profile.audio.mode != "none"
        case OtherStream():
            return stream.tagged("timecode") is None and stream.kind not in ("data", "unknown", "attachment")
