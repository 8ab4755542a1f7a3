"""A spec sealed by other means: contradictions that allow no command are refused with their field."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from pydantic import ValidationError

from proxx.contracts.errors import SpecInvalid
from proxx.contracts.job import JobContent, read_spec, seal, spec_bytes
from tests.support import specs
from tests.support.edits import edited

PLAIN: Final[Any] = specs.job(2).to_json()
AUDIO: Final = "clips[1].recipe.audio[0]"
CONSISTENT: Final = "the spec is consistent"
DECODER: Final = PLAIN["clips"][1]["recipe"]["audio_decoders"][0]


def reported(*changes: tuple[str, object]) -> str:
    plain = {key: PLAIN[key] for key in PLAIN if key not in ("job_id", "seals")}
    for path, value in changes:
        plain = edited(plain, path, value)
    try:
        read_spec(spec_bytes(seal(JobContent.model_validate_json(json.dumps(plain)))))
    except SpecInvalid as error:
        return str(error)
    return CONSISTENT


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (f"{AUDIO}.codec", "zzz", f"{AUDIO}.codec: SPEC_INVALID: profile sample has pcm_s24le of 24 bits"),
        (f"{AUDIO}.bits", 16, f"{AUDIO}.codec: SPEC_INVALID: profile sample has pcm_s24le of 24 bits"),
        (
            f"{AUDIO}.map[1].stream",
            2,
            f"{AUDIO}.map: SPEC_INVALID: this version makes a track from one source stream",
        ),
        (f"{AUDIO}.title", "a\0b", f"{AUDIO}.title: SPEC_INVALID: a NUL character cannot be passed to a program"),
        (f"{AUDIO}.language", "\0", f"{AUDIO}.language: SPEC_INVALID: a NUL character"),
        ("clips[1].expect.reel", "A\0", "clips[1].expect.reel: SPEC_INVALID: a NUL character"),
        (
            "clips[1].recipe.audio_decoders",
            [],
            f"{AUDIO}.map: SPEC_INVALID: recipe.audio_decoders has no decoder for its stream",
        ),
        (
            "clips[1].recipe.audio_decoders[1]",
            DECODER,
            "clips[1].recipe.audio_decoders: SPEC_INVALID: a stream is named twice",
        ),
        ("clips[1].outputs[0].tracks", [0, 0], "clips[1].outputs[0].tracks: SPEC_INVALID: a track is named twice"),
        (
            "clips[1].recipe.threads.encode",
            7,
            "clips[1].recipe.threads: SPEC_INVALID: profile sample pins 1, 1 and 2",
        ),
        (
            "clips[1].recipe.video.decoder",
            "prores",
            "clips[1].recipe.threads: SPEC_INVALID: profile sample pins 2, 1 and 2",
        ),
    ],
)
@pytest.mark.clause("F2")
def test_a_contradiction_is_refused_with_its_field(path: str, value: object, message: str) -> None:
    assert message in reported((path, value))


def test_timecode_that_cannot_be_counted_at_the_pictures_rate_is_refused() -> None:
    timecode = "clips[0].recipe.timecode"
    text = reported((f"{timecode}.rate", {"num": 24, "den": 1}), (f"{timecode}.nominal_fps", 24))
    assert f"{timecode}.rate: SPEC_INVALID: timecode at 24 cannot be counted at 25 frames a second" in text


def test_a_reel_needs_a_profile_that_carries_one() -> None:
    assert "clips[0].expect.reel: SPEC_INVALID: profile sample carries no reel" in reported(
        ("profile.reel.carried", "none")
    )


def test_a_profile_without_sound_allows_no_tracks() -> None:
    assert "clips[0].recipe.audio: SPEC_INVALID: profile sample has no sound" in reported(
        ("profile.audio.mode", "none")
    )


def test_two_outputs_of_a_clip_are_refused() -> None:
    other = PLAIN["clips"][1]["outputs"][0] | {"uri": "/proxies/second.mov"}
    with pytest.raises(ValidationError, match="outputs: this version makes one file per clip"):
        reported(("clips[1].outputs[1]", other))


def test_the_decisions_of_creation_are_consistent() -> None:
    assert reported() == CONSISTENT
