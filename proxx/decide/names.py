"""Decides what an edit relinks by: reel, tape, camera roll, clip name, and the timecode of `timecode`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxx.contracts.measures import Rate
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import NamedValue, Names, TimecodeDecision
from proxx.decide.notes import Note, NoteKind
from proxx.decide.timecode import decide_timecode
from proxx.ffmpeg.streams import ProbeResult, VideoStream

NO_NAME: Final = NamedValue(value=None, origin=None)

# The tags that cameras and editors use, by their last word: `com.apple.proapps.reel` ends in `reel`.
_REEL: Final = ("reel_name", "reelname", "reel")
_TAPE: Final = ("tape", "tape_name", "tapename")
_ROLL: Final = ("camera_roll", "cameraroll", "camera_reel")
_CLIP: Final = ("clip_name", "clipname", "clip")


@dataclass(frozen=True, kw_only=True)
class NamesDecision:
    """The source's timecode and names. expected_*: what the proxy must carry, as far as its container can."""

    timecode: TimecodeDecision
    names: Names
    expected_timecode: int | None
    expected_reel: str | None
    notes: tuple[Note, ...]


def decide_names(profile: ProfileSpec, probed: ProbeResult, stream: VideoStream, rate: Rate) -> NamesDecision:
    """Returns timecode and names. rate: the proxy's. Raises TimecodeMismatch if the source's label cannot exist."""
    timecode, number, notes = decide_timecode(profile, probed, stream, rate)
    names = Names(
        reel=_name(probed, stream, _REEL),
        tape=_name(probed, stream, _TAPE),
        camera_roll=_name(probed, stream, _ROLL),
        clip_name=_name(probed, stream, _CLIP),
    )
    reel, reel_notes = _carried(profile, names.reel.value, timecode)
    return NamesDecision(
        timecode=timecode,
        names=names,
        expected_timecode=number,
        expected_reel=reel,
        notes=(*notes, *reel_notes),
    )


# --- names -----------------------------------------------------------------------------------------------


def _name(probed: ProbeResult, stream: VideoStream, words: tuple[str, ...]) -> NamedValue:
    """Returns the picture's tag, else its clock's, else the container's; never another picture's or a sound's."""
    label = stream.tagged("timecode")
    clocks = [
        other for other in probed.others if len(probed.videos) == 1 or (label and other.tagged("timecode") == label)
    ]
    places = [(stream.tags, "stream tag"), *((clock.tags, "tmcd") for clock in clocks), (probed.tags, "format tag")]
    for tags, origin in places:
        for word in words:
            for key, value in sorted(tags.items()):
                if key.casefold().rpartition(".")[2] == word and value.strip():
                    return NamedValue(value=value, origin=origin)
    return NO_NAME


def _carried(
    profile: ProfileSpec, reel: str | None, timecode: TimecodeDecision
) -> tuple[str | None, tuple[Note, ...]]:
    """Returns the reel that the proxy will have, and a note if it cannot have the source's."""
    if reel is None:
        return None, ()
    if profile.reel.carried == "none":
        text = f"reel {reel!r} is not carried: {profile.container.upper()} has no place for it"
        return None, (Note(NoteKind.REEL_NOT_CARRIED, text),)
    if profile.reel.carried == "stream" and timecode.state == "absent":  # measured: MOV keeps it in the tmcd track
        text = f"reel {reel!r} is not carried: MOV keeps it with the timecode, and the source has no timecode"
        return None, (Note(NoteKind.REEL_NOT_CARRIED, text),)
    return reel, ()
