"""The built-in profiles: their names, and what holds for each of them."""

from __future__ import annotations

from typing import Final

import pytest

from proxx.contracts.profile import ProfileSpec, catalogue, find_profile

NAMES: Final = (
    *("dnxhr_lb", "dnxhr_lb_1080", "dnxhr_lb_half", "dnxhr_lb_mxf", "dnxhr_sq"),
    *("h264_1080", "h264_half", "h264_intra_half", "h264_quarter", "h264_review_mp4"),
    *("prores_ks_proxy", "prores_lt", "prores_lt_half", "prores_proxy", "prores_proxy_1080", "prores_proxy_half"),
)
PROFILES: Final = [find_profile(name) for name in NAMES]
each = pytest.mark.parametrize("profile", PROFILES, ids=NAMES)


def test_the_catalogue_has_these_profiles() -> None:
    assert catalogue() == NAMES


@each
def test_a_profile_has_the_name_of_its_file(profile: ProfileSpec) -> None:
    assert profile.name in NAMES


@each
def test_prores_uses_the_fast_encoder_unless_the_name_says_otherwise(profile: ProfileSpec) -> None:
    if profile.video.codec == "prores":
        assert profile.video.encoder == ("prores_ks" if "_ks_" in profile.name else "prores_aw")


@each
def test_the_cpu_level_is_avx2_spelled_out(profile: ProfileSpec) -> None:
    """`avx2` alone does not include the levels below it."""
    assert "+".join(profile.cpu_flags) == "mmx+mmxext+sse+sse2+sse3+ssse3+sse4.1+sse4.2+avx+fma3+avx2+bmi1+bmi2"


@each
def test_only_prores_of_the_same_size_keeps_fields(profile: ProfileSpec) -> None:
    keeps = profile.video.codec == "prores" and profile.size.mode == "same"
    assert profile.fields == ("keep" if keeps else "deinterlace")


@each
def test_h264_is_made_by_one_thread_in_closed_groups_of_pictures(profile: ProfileSpec) -> None:
    if profile.video.codec != "h264":
        return
    options = {option.name: option.value for option in profile.video.options}
    inner = dict(pair.split("=") for pair in options["x264-params"].split(":"))
    assert profile.threads.encode == 1
    assert inner["keyint"] == inner["min-keyint"] == {"h264_intra_half": "1"}.get(profile.name, inner["keyint"])
    assert {key: inner[key] for key in ("scenecut", "open-gop", "bframes", "asm", "lookahead-threads")} == {
        "scenecut": "0",
        "open-gop": "0",
        "bframes": "0",
        "asm": "avx2",
        "lookahead-threads": "1",
    }


@each
def test_scaling_is_exact(profile: ProfileSpec) -> None:
    assert {"accurate_rnd", "bitexact"} <= set(profile.video.scaler.split("+"))


def test_the_mxf_profile_can_be_linked_to() -> None:
    mxf = find_profile("dnxhr_lb_mxf")
    assert (mxf.container, mxf.audio.mode, mxf.audio.rate, mxf.reel.carried) == ("mxf", "mono", 48000, "global")
    assert "120000/1001" not in mxf.rates, "ffmpeg writes it as 120"
