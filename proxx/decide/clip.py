"""One clip, decided: facts about a source and the rules of a profile become source, recipe, expectation, outputs.

Pure: no disk, no clock, no environment. What is decided here is only executed and compared afterwards.
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
    VideoPackets,
    VideoStream,
)


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What was found out about one source. uri: its full place. pictures: of the picked stream; sounds: by stream.

    Where damage is accepted, `pictures` holds the frames that one thread really decoded.
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
    """A clip, and what a person should be told about it."""

    clip: Clip
    said: tuple[str, ...]

    @property
    def conformed(self) -> bool:
        return self.clip.recipe.conform.mode == "cfr"


def decide_clip(
    profile: ProfileSpec, facts: SourceFacts, output: str, decoders: frozenset[str], accept_damage: bool
) -> ClipDecision | ClipFailure:
    """The whole clip, or why there can be none. decoders: codecs the toolchain decodes, by ffmpeg's codec names."""
    try:
        pick = decide_pick(facts.stream, decoders)
        _require_whole(facts, accept_damage)
        rate = decide_rate(profile, facts.stream, facts.pictures)
        picture = decide_picture(profile, facts.stream, facts.frame)
        if picture.stays_interlaced and rate.conform.mode == "cfr":
            raise SourceUnsupported(
                message="It is interlaced with a variable frame rate: choose a profile that deinterlaces.",
                stage="decide",
            )
        colour = decide_colour(profile, facts.stream, facts.frame)
        names = decide_names(profile, facts.probed, facts.stream, rate.conform.rate)
        span = PictureSpan(frames=rate.output_frames, rate=rate.conform.rate)
        sound = decide_sound(profile, facts.probed, facts.pictures, facts.sounds, span, decoders)
    except ClipFailure as why:
        return why
    excluded = _excluded(facts, sound)
    clip = Clip(
        source=_source(facts),
        recipe=_recipe(profile, pick, rate, picture, colour, names, sound, excluded, accept_damage),
        expect=_expect(facts, rate, picture, colour, names, sound),
        outputs=(Output(role="proxy", uri=output, tracks=tuple(range(len(sound.tracks)))),),
    )
    said = (
        *(() if accept_damage else rate.said),
        *picture.said,
        *colour.said,
        *names.said,
        *sound.said,
        *_said_of(excluded),
    )
    return ClipDecision(clip=clip, said=(*said, *_said_of_damage(facts, rate)) if accept_damage else said)


def _require_whole(facts: SourceFacts, accept_damage: bool) -> None:
    """Raises what is wrong with the source; with damage accepted only where its count could not be trusted."""
    table = facts.pictures
    if table.frames == 0:
        raise DecodeFailed(message="Its picture track holds no frame.", stage="decide")
    if accept_damage:
        if facts.stream.codec == "hevc":  # measured: corrupt HEVC decodes at random, even by one thread
            raise SourceUnsupported(
                message="Damage in HEVC cannot be accepted: it decodes differently each time.", stage="decide"
            )
        return
    if table.corrupt:
        raise DecodeFailed(message=f"{table.corrupt} of its packets are marked as damaged.", stage="decide")
    if table.starts_mid_gop:  # measured: how many frames come out depends on the decoder's threads
        raise DecodeFailed(message="It begins in the middle of a group of pictures.", stage="decide")
    if not table.certain:
        raise DecodeFailed(message="How many of its frames can be decoded is not certain.", stage="decide")
    _require_length(facts)


def _require_length(facts: SourceFacts) -> None:
    declared, table = facts.stream.declared_packets, facts.pictures
    if declared is not None and table.packets < declared:
        raise SourceTruncated(message=f"It declares {declared} frames and holds {table.packets}.", stage="decide")
    if is_truncated(facts.probed, facts.stream, table):
        missing = missing_seconds(facts.probed, facts.stream, table) * 1000
        raise SourceTruncated(
            message=f"Its picture track is {abs(int(missing))} ms {'shorter' if missing > 0 else 'longer'} than "
            "declared.",
            stage="decide",
        )
    for stream in facts.probed.audios:
        sound = facts.sounds.get(stream.index)
        if sound is None or not is_truncated(facts.probed, stream, sound):
            continue
        if missing_seconds(facts.probed, stream, sound) > 0:
            raise SourceTruncated(message=f"Its sound, stream {stream.index}, ends too early.", stage="decide")


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
    """Every stream that is not in the proxy, in the source's order."""
    reasons = {item.index: item for item in sound.excluded}
    for stream in facts.probed.streams:
        if isinstance(stream, AudioStream) or stream.index == facts.stream.index:
            continue
        if isinstance(stream, VideoStream):
            cover = stream.is_picture_of_cover
            reason = "a cover or thumbnail" if cover else f"the picture is stream {facts.stream.index}"
        else:
            reason = _reason_for(stream)
        codec = stream.codec or stream.tag or "unknown"
        reasons[stream.index] = Excluded(index=stream.index, codec=codec, reason=reason)
    return tuple(reasons[index] for index in sorted(reasons))


def _reason_for(stream: OtherStream) -> str:
    if stream.tagged("timecode") is not None:
        return "timecode is read from it and written anew"
    return f"{stream.kind} is not carried over"


def _said_of_damage(facts: SourceFacts, rate: RateDecision) -> tuple[str, ...]:
    """The length is held where frames are lost: the rule for uneven frames repeats the one before."""
    made = f"{facts.pictures.packets} packets give {facts.pictures.frames} frames, of which the proxy makes"
    return (f"damage accepted: decoded by one thread, {made} {rate.output_frames} at {rate.conform.rate} a second",)


def _said_of(excluded: tuple[Excluded, ...]) -> tuple[str, ...]:
    """Left-out data and subtitles are in the spec; left-out picture and sound are said."""
    quiet = ("timecode is", "data is", "unknown is", "attachment is", "the profile has no sound", "a cover")
    return tuple(
        f"stream {item.index} ({item.codec}) left out: {item.reason}"
        for item in excluded
        if not item.reason.startswith(quiet)
    )
