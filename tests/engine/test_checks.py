"""Every expectation is compared, and each difference leads to its failure."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from proxx.contracts.error_bases import ClipFailure
from proxx.contracts.errors import AudioMismatch, DecodeFailed, FormatMismatch, FramesMismatch, TimecodeMismatch
from proxx.contracts.job import Clip
from proxx.contracts.profile import ProfileSpec, find_profile
from proxx.contracts.result import Check
from proxx.engine.checks import compare_with_expectation, failure_of_checks
from proxx.ffmpeg.encode_log import DecodedStream, EncodedStream, EncodeEvidence
from proxx.ffmpeg.proxy_probe import ProxyContents, ProxyPicture, ProxySound
from proxx.ffmpeg.streams import StreamColour
from tests.support.argvs import CASES, change, clip_for, track, with_tracks

PROFILE = find_profile("prores_proxy")
CLIP = clip_for(PROFILE)
BT709 = StreamColour(range="tv", matrix="bt709", primaries="bt709", transfer="bt709", chroma_location=None)
ENCODED = EncodeEvidence(
    read={0: DecodedStream(packets=25, frames=25, errors=0), 1: DecodedStream(packets=40, frames=40, errors=0)},
    written={
        0: EncodedStream(frames=25, samples=None, packets=25, bytes=1),
        1: EncodedStream(frames=40, samples=48000, packets=40, bytes=1),
    },
    looped=25,
)
PICTURE = ProxyPicture(
    codec="prores",
    profile="Proxy",
    pixel_format="yuv422p10le",
    width=960,
    height=540,
    sar=Fraction(1),
    rate=Fraction(25),
    packets=25,
    start=0,
    even=True,
    field_order="progressive",
    interlaced=False,
    top_first=False,
    colour=BT709,
    frame_range="tv",
    side_data=(),
)
SOUND = ProxySound(
    codec="pcm_s24le", rate=48000, channels=2, layout="stereo", samples=48000, language="eng", title=None
)
FOUND = ProxyContents(
    container="mov,mp4,m4a,3gp,3g2,mj2",
    picture=PICTURE,
    sound=(SOUND,),
    timecode="01:00:00:00",
    timecode_rate=Fraction(25),
    reel="A001",
    others=(),
)


def failure_for(
    found: ProxyContents = FOUND, encoded: EncodeEvidence = ENCODED, clip: Clip = CLIP, profile: ProfileSpec = PROFILE
) -> ClipFailure | None:
    return failure_of_checks(compare_with_expectation(profile, clip, encoded, found))


def test_a_proxy_as_expected_has_no_failure() -> None:
    checks = compare_with_expectation(PROFILE, CLIP, ENCODED, FOUND)
    assert failure_for() is None
    assert all(check.equal for check in checks)
    assert len({check.name for check in checks}) == len(checks)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"codec": "h264"}, "codec"),
        ({"profile": "LT"}, "profile"),
        ({"pixel_format": "yuv420p"}, "pixels"),
        ({"width": 962}, "size"),
        ({"sar": Fraction(4, 3)}, "sar"),
        ({"sar": None}, "sar"),
        ({"rate": Fraction(30000, 1001)}, "rate"),
        ({"field_order": "tb"}, "field_order"),
        ({"interlaced": True, "top_first": True}, "fields"),
        ({"colour": replace(BT709, range="pc")}, "range"),
        ({"frame_range": "pc"}, "range_of_frame"),
        ({"colour": replace(BT709, matrix="gbr")}, "matrix"),
        ({"colour": replace(BT709, primaries=None)}, "primaries"),
        ({"colour": replace(BT709, transfer="smpte170m")}, "transfer"),
        ({"side_data": ("Display Matrix",)}, "side_data"),
    ],
)
def test_a_different_format_is_a_format_mismatch(changed: dict[str, Any], name: str) -> None:
    failure = failure_for(replace(FOUND, picture=replace(PICTURE, **changed)))
    assert isinstance(failure, FormatMismatch)
    assert failure.message.startswith(f"format.{name}: expected ")


def test_another_container_or_more_streams_are_a_format_mismatch() -> None:
    assert isinstance(failure_for(replace(FOUND, container="matroska,webm")), FormatMismatch)
    assert isinstance(failure_for(replace(FOUND, others=("data gpmd",))), FormatMismatch)


@pytest.mark.parametrize("changed", [{"packets": 24}, {"start": 1}, {"start": None}, {"even": False}])
def test_different_frames_in_the_file_are_a_frames_mismatch(changed: dict[str, Any]) -> None:
    assert isinstance(failure_for(replace(FOUND, picture=replace(PICTURE, **changed))), FramesMismatch)


def test_a_file_without_picture_is_a_frames_mismatch() -> None:
    assert isinstance(failure_for(replace(FOUND, picture=None)), FramesMismatch)


@pytest.mark.parametrize(
    "changed",
    [
        {"read": {0: DecodedStream(packets=24, frames=25, errors=0)}},
        {"read": {0: DecodedStream(packets=25, frames=24, errors=0)}},
        {"read": {}},
        {"written": {0: EncodedStream(frames=26, samples=None, packets=26, bytes=1), 1: ENCODED.written[1]}},
        {"looped": 24},
        {"looped": None},
    ],
)
def test_different_frames_in_the_encode_are_a_frames_mismatch(changed: dict[str, Any]) -> None:
    assert isinstance(failure_for(encoded=replace(ENCODED, **changed)), FramesMismatch)


@pytest.mark.parametrize(
    "changed",
    [
        {"corrupt_packets": 1},
        {"corrupt_frames": 1},
        {"read": {0: ENCODED.read[0], 1: DecodedStream(packets=40, frames=39, errors=1)}},
    ],
)
def test_decode_errors_are_a_failure_unless_damage_was_accepted(changed: dict[str, Any]) -> None:
    encoded = replace(ENCODED, **changed)
    assert isinstance(failure_for(encoded=encoded), DecodeFailed)
    assert failure_for(encoded=encoded, clip=change(CLIP, recipe={"decode_errors": "accept"})) is None


@pytest.mark.parametrize(
    "sound",
    [
        (),
        (SOUND, SOUND),
        (replace(SOUND, codec="pcm_s16le"),),
        (replace(SOUND, rate=44100),),
        (replace(SOUND, channels=1),),
        (replace(SOUND, layout="5.1"),),
        (replace(SOUND, samples=47999),),
        (replace(SOUND, samples=None),),
        (replace(SOUND, language=None),),
    ],
)
def test_different_sound_is_an_audio_mismatch(sound: tuple[ProxySound, ...]) -> None:
    assert isinstance(failure_for(replace(FOUND, sound=sound)), AudioMismatch)


def test_different_samples_in_the_encode_are_an_audio_mismatch() -> None:
    written = {**ENCODED.written, 1: replace(ENCODED.written[1], samples=47000)}
    assert isinstance(failure_for(encoded=replace(ENCODED, written=written)), AudioMismatch)


def test_unlabelled_channels_stay_unlabelled() -> None:
    clip = with_tracks(CLIP, (track(PROFILE, "discrete", tuple(range(8))),))
    eight = replace(SOUND, channels=8, layout=None)
    assert failure_for(replace(FOUND, sound=(eight,)), clip=clip) is None
    assert isinstance(failure_for(replace(FOUND, sound=(replace(eight, layout="7.1"),)), clip=clip), AudioMismatch)


@pytest.mark.parametrize(
    "changed",
    [
        {"timecode": None},
        {"timecode": "01:00:00:01"},
        {"timecode": "01:00:00;00"},
        {"timecode": "01:00:00:25"},
        {"timecode_rate": Fraction(30)},
        {"reel": None},
        {"reel": "A002"},
    ],
)
def test_a_different_timecode_or_reel_is_a_timecode_mismatch(changed: dict[str, Any]) -> None:
    assert isinstance(failure_for(replace(FOUND, **changed)), TimecodeMismatch)


def test_drop_frame_is_part_of_the_timecode() -> None:
    profile, clip = CASES["conformed_drop_frame"]
    checks = {check.name: check for check in compare_with_expectation(profile, clip, ENCODED, FOUND)}
    assert checks["timecode.start"].expected == "90000 drop-frame"


def test_kept_fields_are_checked_in_frame_header_and_container() -> None:
    profile, clip = CASES["interlaced_kept"]
    kept = replace(PICTURE, interlaced=True, top_first=True, field_order="tb")
    assert failure_for(replace(FOUND, picture=kept), clip=clip, profile=profile) is None
    for wrong in (replace(kept, interlaced=False), replace(kept, top_first=False), replace(kept, field_order="bt")):
        assert isinstance(failure_for(replace(FOUND, picture=wrong), clip=clip, profile=profile), FormatMismatch)


def test_the_first_kind_that_differs_is_the_failure_and_names_all_its_checks() -> None:
    wrong = [
        Check(name="format.size", expected="1", found="2"),
        Check(name="audio.tracks", expected="1", found="0"),
        Check(name="audio.0.rate", expected="48000", found="none"),
    ]
    failure = failure_of_checks(tuple(wrong))
    assert isinstance(failure, AudioMismatch)
    assert failure.message == "audio.tracks: expected 1, found 0; audio.0.rate: expected 48000, found none"
    assert failure.stage == "verify"
