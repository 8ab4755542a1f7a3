"""Checks that the decisions about a clip fit each other and their profile, so that a command can be built. Pure.

Whether a decision gives the right picture is left to verification. This module finds the contradictions that allow no
command, leave a choice to ffmpeg, or get around the profile.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxx.contracts.profile import ProfileSpec, pinned_threads
from proxx.contracts.recipe import Expect, Output, Recipe


def inconsistencies(
    profile: ProfileSpec, recipe: Recipe, expect: Expect, output: Output
) -> Iterator[tuple[str, str]]:
    """Yields each contradiction as (field below the clip, such as `recipe.audio[1].codec`; what is wrong with it)."""
    yield from _sound(profile, recipe, output)
    yield from _threads(profile, recipe)
    count_rate = recipe.timecode.rate
    if count_rate is not None and (recipe.conform.rate.fraction / count_rate.fraction).denominator != 1:
        yield (
            "recipe.timecode.rate",
            f"timecode at {count_rate} cannot be counted at {recipe.conform.rate} frames a second",
        )
    if expect.reel is not None and profile.reel.carried == "none":
        yield "expect.reel", f"profile {profile.name} carries no reel"
    texts = [("expect.reel", expect.reel)]
    for index, track in enumerate(recipe.audio):
        texts += [(f"recipe.audio[{index}].title", track.title), (f"recipe.audio[{index}].language", track.language)]
    for field, text in texts:
        if text is not None and "\0" in text:
            yield field, "a NUL character cannot be passed to a program"


def _sound(profile: ProfileSpec, recipe: Recipe, output: Output) -> Iterator[tuple[str, str]]:
    rule = profile.audio
    if recipe.audio and rule.mode == "none":
        yield "recipe.audio", f"profile {profile.name} has no sound"
    decoded = [(decoder.file, decoder.stream) for decoder in recipe.audio_decoders]
    if len(set(decoded)) != len(decoded):
        yield "recipe.audio_decoders", "a stream is named twice"
    for index, track in enumerate(recipe.audio):
        field = f"recipe.audio[{index}]"
        if (track.codec, track.bits) != (rule.codec, rule.bits):
            yield f"{field}.codec", f"profile {profile.name} has {rule.codec} of {rule.bits} bits"
        streams = {(pick.file, pick.stream) for pick in track.map}
        if len(streams) != 1:
            yield f"{field}.map", "this version makes a track from one source stream only"
        if not streams <= set(decoded):
            yield f"{field}.map", "recipe.audio_decoders has no decoder for its stream"
    if len(set(output.tracks)) != len(output.tracks):
        yield "outputs[0].tracks", "a track is named twice"


def _threads(profile: ProfileSpec, recipe: Recipe) -> Iterator[tuple[str, str]]:
    required, pinned = pinned_threads(profile.threads, recipe.video.decoder, recipe.decode_errors), recipe.threads
    if pinned != required:
        yield (
            "recipe.threads",
            f"profile {profile.name} pins {required.decode}, {required.filter} and {required.encode}",
        )
