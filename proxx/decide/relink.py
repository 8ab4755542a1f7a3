"""Whether an edit made with one proxy finds another one in its place: two clips' expectations compared. Pure.

What is expected of a clip is proved of its proxy before anything is published, so comparing two expectations is
comparing two proxies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxx.contracts.job import Clip
from proxx.contracts.measures import IllegalTimecode, timecode_label
from proxx.contracts.recipe import AudioTrack, Colour

NONE: Final = "none"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is another, in words. relinks: whether an edit still finds the new one by all it knows."""

    name: str
    old: str
    new: str
    relinks: bool


def differences(old: Clip, new: Clip) -> tuple[Difference, ...]:
    """Everything that differs between two proxies of one source: first what an edit relinks by, then the rest."""
    by_name: list[Difference] = []
    for facts, relinks in ((links, False), (looks, True)):
        one, other = facts(old), facts(new)
        by_name += [
            Difference(name=name, old=one.get(name, NONE), new=other.get(name, NONE), relinks=relinks)
            for name in (*one, *(name for name in other if name not in one))
            if one.get(name, NONE) != other.get(name, NONE)
        ]
    return tuple(by_name)


def relinks(found: tuple[Difference, ...]) -> bool:
    """Whether relinking holds through all these differences."""
    return all(one.relinks for one in found)


def links(clip: Clip) -> Mapping[str, str]:
    """What an edit knows a proxy by. Another value in any of these, and a timeline is not what it was."""
    expect, tracks = clip.expect, clip.outputs[0].tracks
    facts = {
        "name": clip.outputs[0].uri.rpartition("/")[2],
        "frames": str(expect.output_frames),
        "rate": str(expect.rate),
        "timecode": _label(clip),
        "reel": _word(expect.reel),
        "audio.tracks": str(len(tracks)),
    }
    for place, index in enumerate(tracks):
        facts[f"audio.{place}.channels"] = str(len(clip.recipe.audio[index].map))
        facts[f"audio.{place}.samples"] = str(expect.samples[index])
    return facts


def looks(clip: Clip) -> Mapping[str, str]:
    """What else of a proxy can be another: seen or heard, but nothing is found by it."""
    expect, recipe = clip.expect, clip.recipe
    facts = {
        "size": str(expect.size),
        "pixels": str(expect.sar),
        "scan": expect.scan if expect.field_order is None else f"{expect.scan} {expect.field_order}",
        "colour": _colour(expect.colour),
        "side_data": ", ".join(sorted(expect.side_data)) or NONE,
        "rotation": str(recipe.rotation),
        "deinterlaced": "yes" if recipe.deinterlace else "no",
        "conform": recipe.conform.mode,
        "decoder": recipe.video.decoder,
    }
    for place, index in enumerate(clip.outputs[0].tracks):
        facts |= {f"audio.{place}.{name}": value for name, value in _sound(recipe.audio[index]).items()}
    return facts


def _label(clip: Clip) -> str:
    """The first label, whose `;` says drop-frame."""
    number, drop = clip.expect.timecode, bool(clip.recipe.timecode.drop)
    if number is None:
        return NONE
    try:
        return timecode_label(number, clip.expect.rate, drop)
    except IllegalTimecode:  # such a clip is never made, but it can be asked about
        return f"{number} drop-frame"


def _sound(track: AudioTrack) -> Mapping[str, str]:
    return {
        "codec": track.codec,
        "rate": str(track.rate),
        "bits": str(track.bits),
        "layout": " ".join((track.layout, *track.labels)),
        "language": _word(track.language),
        "title": _word(track.title),
        "from": "+".join(f"{pick.file}:{pick.stream}.{pick.channel}" for pick in track.map),
    }


def _colour(colour: Colour) -> str:
    parts = (colour.range, colour.matrix, colour.primaries, colour.transfer)
    return " ".join(part.value for part in parts)


def _word(value: str | None) -> str:
    return NONE if value is None else value
