"""decide_clip: the decisions together, and the refusal of damaged and uncertain sources."""

from __future__ import annotations

from array import array
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.error_bases import ClipFailure
from proxx.decide.clip import ClipDecision, SourceFacts, decide_clip
from proxx.decide.notes import NoteKind
from proxx.ffmpeg.command import plan_command
from proxx.ffmpeg.streams import Stream
from tests.support.facts import DECODERS, audio, clock, facts, frame, other, pictures, profile, sounds, video


def decided(found: SourceFacts, accept: bool = False, **changes: object) -> ClipDecision:
    decision = decide_clip(profile(**changes), found, "/proxies/A001.mov", DECODERS, accept)
    assert isinstance(decision, ClipDecision), decision
    return decision


def refused(found: SourceFacts, accept: bool = False) -> ClipFailure:
    decision = decide_clip(profile(), found, "/proxies/A001.mov", DECODERS, accept)
    assert isinstance(decision, ClipFailure)
    return decision


def test_a_plain_clip() -> None:
    clip = decided(facts()).clip
    assert clip.source.files[0].uri == "/media/A001.mov"
    assert (clip.expect.packets, clip.expect.frames, clip.expect.output_frames) == (25, 25, 25)
    assert clip.outputs[0].tracks == (0,)
    assert clip.expect.scan == "progressive"
    assert plan_command(profile(), clip).argv == plan_command(profile(), clip).argv


def test_the_same_facts_give_the_same_clip() -> None:
    assert decided(facts()) == decided(facts())


def test_every_stream_is_in_the_proxy_or_named_with_a_reason() -> None:
    streams = (video(0), audio(1), audio(2, codec="apac"), clock(3, "01:00:00:00"), video(4))
    decision = decided(facts(*streams))
    recipe = decision.clip.recipe
    used = {recipe.video.stream, *(pick.stream for track in recipe.audio for pick in track.map)}
    assert used | {item.index for item in recipe.excluded} == {0, 1, 2, 3, 4}
    assert [note.text for note in decision.notes if note.kind is NoteKind.STREAM_EXCLUDED] == [
        "stream 2 (apac) left out: the toolchain cannot decode it",
        "stream 4 (h264) left out: the picture is stream 0",
    ]


@pytest.mark.parametrize(
    ("stream", "noted"),
    [
        (clock(2, "01:00:00:00"), False),
        (other(2, "data"), False),
        (other(2, "unknown"), False),
        (other(2, "attachment"), False),
        (other(2, "subtitle"), True),
        (video(2), True),
        (video(2, dispositions=frozenset({"attached_pic"})), False),
        (audio(2, codec="apac"), True),
    ],
)
def test_pictures_sound_and_subtitles_that_are_left_out_are_noted(stream: Stream, noted: bool) -> None:
    decision = decided(facts(video(0), audio(1), stream))
    assert [item.index for item in decision.clip.recipe.excluded] == [2]
    assert [note.kind for note in decision.notes] == ([NoteKind.STREAM_EXCLUDED] if noted else [])


def test_sound_is_not_noted_as_left_out_if_the_profile_has_none() -> None:
    decision = decided(facts(video(0), audio(1), audio(2, codec="apac")), audio={"mode": "none"})
    assert [item.index for item in decision.clip.recipe.excluded] == [1, 2]
    assert decision.notes == ()


def test_interlaced_in_the_recipe_progressive_in_the_expectation() -> None:
    found = facts(video(field_order="tt"), frame=frame(interlaced=True, top_field_first=True))
    clip = decided(found).clip
    assert (clip.recipe.scan, clip.recipe.field_order, clip.recipe.deinterlace) == ("interlaced", "tt", True)
    assert (clip.expect.scan, clip.expect.field_order) == ("progressive", None)
    kept = decided(found, fields="keep").clip
    assert (kept.recipe.deinterlace, kept.expect.scan, kept.expect.field_order) == (False, "interlaced", "tt")


def test_fields_of_a_variable_rate_cannot_be_kept() -> None:
    stream = video(field_order="tt", nominal_rate=Fraction(600), average_rate=Fraction(7))
    found = facts(stream, pictures=pictures([0, 80, 150, 233], time_base=Fraction(1, 600)))
    assert decided(found).conformed
    decision = decide_clip(profile(fields="keep"), found, "/proxies/A001.mov", DECODERS, False)
    assert isinstance(decision, ClipFailure) and decision.code == "SOURCE_UNSUPPORTED"


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (facts(pictures=pictures(corrupt=2)), "DECODE_FAILED"),
        (facts(pictures=pictures(starts_mid_gop=True, certain=False)), "DECODE_FAILED"),
        (facts(pictures=pictures(certain=False)), "DECODE_FAILED"),
        (facts(pictures=replace(pictures(), pts=array("q"))), "DECODE_FAILED"),
        (facts(video(declared_packets=30)), "SOURCE_TRUNCATED"),
        (facts(video(duration_ts=30)), "SOURCE_TRUNCATED"),
        (facts(video(), audio(1, duration_ts=96000)), "SOURCE_TRUNCATED"),
        (facts(video(codec="av1")), "SOURCE_UNSUPPORTED"),
        (facts(video(tags={"timecode": "99:00:00:00"})), "TIMECODE_MISMATCH"),
    ],
)  # fmt: skip
def test_a_damaged_or_uncertain_source_is_refused(found: SourceFacts, code: str) -> None:
    failure = refused(found)
    assert failure.code == code
    assert failure.message.endswith(".")
    assert "log" not in failure.remedy.split(), "creation has no log"


def test_a_difference_of_one_frame_is_accepted() -> None:
    assert decided(facts(video(duration_ts=26))).clip.expect.frames == 25
    assert decided(facts(video(), audio(1, duration_ts=48000 + 4000))).clip.expect.samples == (48000,)


def test_accepted_damage_is_decoded_by_one_thread() -> None:
    found = facts(video(declared_packets=30), pictures=pictures(corrupt=2))
    decision = decided(found, accept=True)
    recipe = decision.clip.recipe
    assert (recipe.decode_errors, recipe.threads.decode) == ("accept", 1)
    assert decision.notes[-1].kind is NoteKind.DAMAGE_ACCEPTED
    assert "damage accepted" in decision.notes[-1].text


def test_damage_in_hevc_is_never_accepted() -> None:
    assert refused(facts(video(codec="hevc")), accept=True).code == "SOURCE_UNSUPPORTED"


def test_a_source_without_sound_has_no_tracks() -> None:
    clip = decided(facts(video())).clip
    assert (clip.recipe.audio, clip.expect.samples, clip.outputs[0].tracks) == ((), (), ())


@given(
    st.integers(64, 4096),
    st.integers(64, 4096),
    st.sampled_from([0, 90, 180, 270]),
    st.sampled_from(["progressive", "tt", "bb", "tb", None]),
    st.integers(0, 8),
    st.sampled_from([None, "mono", "stereo", "5.1(side)"]),
)
def test_every_decision_gives_a_command(
    width: int, height: int, turn: int, order: str | None, tracks: int, layout: str | None
) -> None:
    streams = [audio(n + 1, channels={"mono": 1, "5.1(side)": 6}.get(layout or "", 2), layout=layout)
               for n in range(tracks)]  # fmt: skip
    found = facts(
        video(width=width, height=height, rotation=turn, field_order=order),
        *streams,
        frame=frame(width, height),
        sounds={stream.index: sounds(stream.index) for stream in streams},
    )
    clip = decided(found).clip
    assert "{ffmpeg}" in plan_command(profile(), clip).argv
    assert len(clip.recipe.audio) == tracks
