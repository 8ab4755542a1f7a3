"""Notes: what a person should know about how a clip was decided, as a kind and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NoteKind(StrEnum):
    """What a note is about. Callers choose by kind, never by the words of the sentence."""

    CONFORMED = "conformed"
    ROTATED = "rotated"
    DEINTERLACED = "deinterlaced"
    SIZE_ROUNDED = "size rounded"
    PIXELS_SQUARED = "pixels squared"
    APERTURE_NOT_APPLIED = "aperture not applied"
    BASE_VIEW_ONLY = "base view only"
    COLOUR_ASSUMED = "colour assumed"
    COLOUR_CONVERTED = "colour converted"
    HDR_KEPT = "HDR kept"
    HDR_METADATA_DROPPED = "HDR metadata dropped"
    TIMECODE_RECOUNTED = "timecode recounted"
    TIMECODE_ADDED = "timecode added"
    REEL_NOT_CARRIED = "reel not carried"
    SOUND_GAPS_CLOSED = "sound gaps closed"
    SILENCE_ADDED = "silence added"
    STREAM_EXCLUDED = "stream excluded"
    DAMAGE_ACCEPTED = "damage accepted"


@dataclass(frozen=True)
class Note:
    """One thing a person should know about a clip. text: one sentence without a capital or a full stop."""

    kind: NoteKind
    text: str
