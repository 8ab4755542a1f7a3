"""decide_picture: stream, rotation, size and fields."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.errors import NoVideo, SourceUnsupported
from proxx.contracts.measures import Size
from proxx.contracts.profile import SizeRule
from proxx.decide.notes import NoteKind
from proxx.decide.picture import decide_pick, decide_picture, decide_size, pick_video
from tests.support.facts import DECODERS, audio, frame, kinds, probed, profile, video


def rule(mode: str, **values: int) -> SizeRule:
    return SizeRule.model_validate({"mode": mode, **values})


def sizes(which: SizeRule, width: int, height: int, interlaced: bool = False) -> tuple[str, str]:
    scaled, whole = decide_size(which, Size(width=width, height=height), interlaced)
    return str(scaled), str(whole)


def test_the_first_default_track_is_the_picture() -> None:
    second = video(1, dispositions=frozenset({"default"}))
    assert pick_video(probed(video(0), second, video(2))).index == 1
    assert pick_video(probed(video(0), video(1))).index == 0


def test_cover_art_is_not_picked() -> None:
    cover = video(0, dispositions=frozenset({"default", "attached_pic"}))
    assert pick_video(probed(cover, video(3))).index == 3
    with pytest.raises(NoVideo):
        pick_video(probed(cover, audio()))


def test_an_undecodable_codec_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SourceUnsupported, match=r"av1.*--toolchain full"):
        decide_pick(video(codec="av1"), DECODERS)


def test_spatial_video_gives_its_base_view() -> None:
    stream = video(codec="hevc", side_data={"Stereo 3D": {}})
    assert decide_pick(stream, DECODERS).view == "base"
    assert NoteKind.BASE_VIEW_ONLY in kinds(decide_picture(profile(), stream, frame()).notes)


@pytest.mark.parametrize(
    ("which", "source", "expected"),
    [
        (rule("same"), (1920, 1080), "1920x1080"),
        (rule("same"), (853, 481), "852x480"),
        (rule("divide", n=2), (1920, 1080), "960x540"),
        (rule("divide", n=4), (1918, 1078), "478x268"),
        (rule("fit", width=1920, height=1080), (3840, 2160), "1920x1080"),
        (rule("fit", width=1920, height=1080), (4096, 2160), "1920x1012"),
        (rule("fit", width=1920, height=1080), (1280, 720), "1280x720"),
        (rule("fit", width=1920, height=1080), (2160, 3840), "606x1080"),
        (rule("divide", n=16), (16, 16), "2x2"),
    ],
)
def test_the_size_follows_the_rule(which: SizeRule, source: tuple[int, int], expected: str) -> None:
    assert sizes(which, *source) == (expected, expected)


def test_padding_fills_the_box_exactly() -> None:
    assert sizes(rule("pad", width=1920, height=1080), 4096, 2160) == ("1920x1012", "1920x1080")
    assert sizes(rule("pad", width=1920, height=1080), 640, 480) == ("640x480", "1920x1080")


def test_with_fields_the_height_is_a_multiple_of_four() -> None:
    assert sizes(rule("same"), 720, 486, interlaced=True) == ("720x484", "720x484")


@given(st.integers(16, 9000), st.integers(16, 9000), st.booleans(), st.sampled_from(["same", "divide", "fit"]))
def test_no_size_is_odd_or_enlarged(width: int, height: int, interlaced: bool, mode: str) -> None:
    values = {"divide": {"n": 3}, "fit": {"width": 1280, "height": 720}}.get(mode, {})
    scaled, whole = decide_size(rule(mode, **values), Size(width=width, height=height), interlaced)
    assert scaled == whole
    assert scaled.width % 2 == 0 and scaled.height % (4 if interlaced else 2) == 0
    assert scaled.width <= width and scaled.height <= height


@pytest.mark.parametrize(
    ("turn", "size"), [(0, "1920x1080"), (90, "1080x1920"), (180, "1920x1080"), (270, "1080x1920")]
)
def test_rotation_is_applied_and_noted(turn: int, size: str) -> None:
    decision = decide_picture(profile(), video(rotation=turn), frame())
    assert (decision.rotation, str(decision.size)) == (turn, size)
    assert (NoteKind.ROTATED in kinds(decision.notes)) == bool(turn)


def test_pixels_that_are_not_square_stay_so_and_turn_with_the_picture() -> None:
    assert str(decide_picture(profile(), video(sar=Fraction(3, 4)), frame()).sar) == "3:4"
    assert str(decide_picture(profile(), video(sar=Fraction(3, 4), rotation=90), frame()).sar) == "4:3"
    assert str(decide_picture(profile(), video(), frame(sar=Fraction(64, 45))).sar) == "64:45"
    assert str(decide_picture(profile(), video(), frame()).sar) == "1:1"


@pytest.mark.parametrize(
    ("size", "sar", "turn", "expected"),
    [
        ((1440, 1080), Fraction(4, 3), 0, "1920x1080"),
        ((1920, 1080), Fraction(3, 4), 0, "1440x1080"),
        ((720, 576), Fraction(64, 45), 0, "1024x576"),
        ((1440, 1080), Fraction(4, 3), 90, "810x1440"),
        ((1920, 1080), Fraction(1), 0, "1920x1080"),
    ],
)
def test_mxf_has_square_pixels_only(size: tuple[int, int], sar: Fraction, turn: int, expected: str) -> None:
    mxf = profile(container="mxf", reel={"carried": "global"}, audio={"mode": "mono", "rate": 48000})
    decision = decide_picture(mxf, video(sar=sar, rotation=turn), frame(*size))
    assert (str(decision.size), str(decision.sar)) == (expected, "1:1")
    assert (NoteKind.PIXELS_SQUARED in kinds(decision.notes)) == (sar != 1)


@pytest.mark.parametrize("odd", [{"mirrored": True}, {"rotation": None}])
def test_unsupported_rotations_are_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(SourceUnsupported):
        decide_picture(profile(), video(**odd), frame())


@pytest.mark.parametrize(("stored", "shown"), [("tt", "tt"), ("tb", "tt"), ("bb", "bb"), ("bt", "bb")])
def test_field_order_is_that_of_display(stored: str, shown: str) -> None:
    decision = decide_picture(profile(), video(field_order=stored), frame())
    assert (decision.field_order, decision.deinterlace, decision.stays_interlaced) == (shown, True, False)


def test_the_decoded_picture_outranks_the_container() -> None:
    fields = frame(interlaced=True, top_field_first=False)
    assert decide_picture(profile(), video(field_order="tt"), fields).field_order == "bb"
    assert decide_picture(profile(), video(field_order=None), fields).field_order == "bb"


def test_fields_are_kept_or_refused_by_the_profile() -> None:
    kept = decide_picture(profile(fields="keep"), video(field_order="tt", height=486), frame(720, 486))
    assert kept.stays_interlaced and str(kept.size) == "720x484"
    with pytest.raises(SourceUnsupported, match="interlaced"):
        decide_picture(profile(fields="refuse"), video(field_order="tt"), frame())
    with pytest.raises(SourceUnsupported, match="rotated"):
        decide_picture(profile(fields="keep"), video(field_order="tt", rotation=90), frame())


def test_a_proxy_below_the_codecs_smallest_size_is_refused() -> None:
    small = profile(video={"smallest_width": 256, "smallest_height": 120}, size={"mode": "divide", "n": 4})
    with pytest.raises(SourceUnsupported, match="160x90"):
        decide_picture(small, video(), frame(640, 360))


def test_a_clean_aperture_is_not_applied_and_noted() -> None:
    decision = decide_picture(profile(), video(side_data={"Frame Cropping": {"crop_top": "9"}}), frame())
    assert str(decision.size) == "1920x1080"
    assert NoteKind.APERTURE_NOT_APPLIED in kinds(decision.notes)
