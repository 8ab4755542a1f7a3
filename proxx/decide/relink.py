"""Compares the expectations of two clips, to tell whether an edit made with one proxy relinks to the other. Pure.

Each proxy is verified against its clip's expectation before it is published, so comparing two expectations compares
two proxies.
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
    """One property that differs, as text. relinks: whether an edit still relinks to the new proxy."""

    name: str
    old: str
    new: str
    relinks: bool


def differences(old: Clip, new: Clip) -> tuple[Difference, ...]:
    """Returns all differences between two proxies of one source: first what an edit relinks by, then the rest."""
    result: list[Difference] = []
    for properties, relinks in ((links, False), (looks, True)):
        before, after = properties(old), properties(new)
        result += [
            Difference(name=name, old=before.get(name, NONE), new=after.get(name, NONE), relinks=relinks)
            for name in (*before, *(name for name in after if name not in before))
            if before.get(name, NONE) != after.get(name, NONE)
        ]
    return tuple(result)


def relinks(changes: tuple[Difference, ...]) -> bool:
    """Returns whether an edit still relinks in spite of all these differences."""
    return all(difference.relinks for difference in changes)


def links(clip: Clip) -> Mapping[str, str]:
    """Returns the properties that an edit relinks by: if any of them differs, a timeline changes."""
    expect, tracks = clip.expect, clip.outputs[0].tracks
    facts = {
        "name": clip.outputs[0].uri.rpartition("/")[2],
        "frames": str(expect.output_frames),
        "rate": str(expect.rate),
        "timecode": _label(clip),
        "reel": _word(expect.reel),
        "audio.tracks": str(len(tracks)),
    }
    for position, index in enumerate(tracks):
        facts[f"audio.{position}.channels"] = str(len(clip.recipe.audio[index].map))
        facts[f"audio.{position}.samples"] = str(expect.samples[index])
    return facts


def looks(clip: Clip) -> Mapping[str, str]:
    """Returns the other properties of a proxy: they can be seen or heard, but no edit relinks by them."""
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
    for position, index in enumerate(clip.outputs[0].tracks):
        facts |= {f"audio.{position}.{name}": value for name, value in _sound(recipe.audio[index]).items()}
    return facts


def _label(clip: Clip) -> str:
    """Returns the first label; a `;` in it means drop-frame."""
    number, drop = clip.expect.timecode, bool(clip.recipe.timecode.drop)
    if number is None:
        return NONE
    try:
        return timecode_label(number, clip.expect.rate, drop)
    except IllegalTimecode:  # such a clip is never made, but it can be compared
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
