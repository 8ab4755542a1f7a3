"""The parts of a clip: contradictions are refused with their path."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from proxx.contracts.job import Clip
from proxx.contracts.model import problems_of
from proxx.contracts.recipe import FrameRange
from tests.support import specs
from tests.support.edits import edited

PLAIN = specs.clip().to_json()
RATE = {"num": 25, "den": 1}
ABSENT = dict.fromkeys(("start_frame", "nominal_fps", "drop", "rate", "origin"))
PRESENT = {"state": "present", "start_frame": 0, "nominal_fps": 25, "drop": False, "rate": RATE, "origin": "tmcd"}
SOUND = {"uri": "/media/A.wav", "size": 1, "digest": "sha256:" + "0" * 64, "role": "sound"}
SEQUENCE = {"pattern": "A.%07d.exr", "first": 1, "last": 25, "step": 1, "pad": 7, "rate": RATE}


def messages(path: str, value: object) -> str:
    try:
        Clip.model_validate_json(json.dumps(edited(PLAIN, path, value)))
    except ValidationError as reason:
        return "\n".join(f"{problem.path}: {problem.message}" for problem in problems_of(reason, "X"))
    return ""


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("source.kind", "span", "source: this version makes proxies of single whole files"),
        ("source.files[1]", SOUND, "source: this version makes proxies of single whole files"),
        ("source.files", [], "source.files: "),
        ("source.files[0].role", "sound", "source: files[0] must be the picture"),
        ("source.files[0].uri", "A.mov", "source.files[0].uri: 'A.mov' is not a full path"),
        ("source.files[0].uri", "", "source.files[0].uri: "),
        ("source.files[0].digest", "sha256:" + "A" * 64, "source.files[0].digest: "),
        ("source.files[0].digest", "0" * 64, "source.files[0].digest: "),
        ("source.files[0].size", -1, "source.files[0].size: "),
        ("source.range", {"in": 0, "out": 5}, "source: this version"),
        ("source.range", {"in": 5, "out": 5}, "source.range: range: `out` must be after `in`"),
        ("source.sequence", SEQUENCE, "source: this version"),
        ("recipe.audio_offset", [], "recipe: audio_offset must have one number for each track"),
        ("recipe.scan", "interlaced", "recipe: field_order goes with interlaced scan"),
        ("recipe.field_order", "tt", "recipe: field_order goes with interlaced scan"),
        ("recipe.rotation", 45, "recipe.rotation: "),
        ("recipe.sar", {"num": 2, "den": 2}, "recipe.sar: 2/2 is not in lowest terms"),
        ("recipe.conform.rate", {"num": 50, "den": 2}, "recipe.conform.rate: 50/2 is not in lowest terms"),
        ("recipe.conform.rate", 25, "recipe.conform.rate: "),
        ("recipe.size.width", 0, "recipe.size.width: "),
        ("recipe.video.decoder", "h264; rm", "recipe.video.decoder: "),
        ("recipe.audio[0].layout", "7.1,pan", "recipe.audio[0].layout: "),
        ("recipe.audio[0].map", [], "recipe.audio[0].map: "),
        ("recipe.threads.decode", 0, "recipe.threads.decode: "),
        (
            "recipe.luts",
            [{"file": 0, "digest": SOUND["digest"], "interpolation": "trilinear", "position": "before_scale"}],
            "recipe: luts are not supported",
        ),
        ("recipe.timecode.start_frame", None, "recipe.timecode: a timecode is present with all its parts"),
        ("recipe.timecode.state", "absent", "recipe.timecode: a timecode is present with all its parts"),
        ("recipe.timecode", ABSENT | {"state": "present"}, "recipe.timecode: a timecode is present"),
        ("recipe.timecode.drop", True, "recipe.timecode: drop: drop-frame timecode does not exist at 25"),
        ("recipe.timecode.nominal_fps", 30, "recipe.timecode: nominal_fps: labels count by 25"),
        ("recipe.video.file", 1, "recipe.video.file is not one of source.files"),
        ("expect.samples", [], "expect.samples names 0 tracks, recipe.audio has 1"),
        ("expect.frames", 0, "expect.frames: "),
        ("expect.rate", {"num": 25, "den": 0}, "expect.rate.den: "),
        ("outputs", [], "outputs: "),
        ("outputs[0].tracks", [1], "outputs name a track that recipe.audio does not have"),
        ("outputs[0].tracks", [-1], "outputs name a track that recipe.audio does not have"),
        ("outputs[0].uri", "/p/../p/A.mov", "outputs[0].uri: '/p/../p/A.mov' has an empty part"),
        ("outputs[0].role", "mezzanine", "outputs[0].role: "),
    ],
)
@pytest.mark.clause("P1")
def test_contradictions_name_their_place(path: str, value: object, reason: str) -> None:
    assert reason in messages(path, value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("recipe.timecode", ABSENT | {"state": "absent"}),
        ("recipe.timecode", PRESENT | {"rate": {"num": 30000, "den": 1001}, "nominal_fps": 30, "drop": True}),
        ("recipe.timecode", PRESENT),
        ("source.files[0].uri", "s3://bucket/A.mov"),
        ("source.files[0].uri", "media:/card/A.mov"),
        ("outputs[0].uri", "/p/-i %03d 'x' $(y)\n.mov"),
        ("outputs[0].tracks", []),
        ("source.files[0].size", 0),
    ],
)
def test_allowed_values_are_accepted(path: str, value: object) -> None:
    assert messages(path, value) == ""


def test_an_in_point_is_written_as_in() -> None:
    assert FrameRange.model_validate_json('{"in": 1, "out": 5}').to_json() == {"in": 1, "out": 5}
