"""estimate_space: PCM to the byte, the picture between the easiest and hardest one measured."""

from __future__ import annotations

from proxx.contracts.job import Clip
from proxx.decide.space import NOTHING, SpaceEstimate, estimate_space
from tests.support import specs
from tests.support.facts import profile

SAMPLE = {"low_kbps": 10000, "high_kbps": 90000, "bounded": False}


def hd_second() -> Clip:
    """One second of 1920×1080 at 25 frames/s with a stereo track."""
    clip = specs.clip()
    size = clip.recipe.size.model_copy(update={"width": 1920, "height": 1080})
    return clip.model_copy(update={"recipe": clip.recipe.model_copy(update={"size": size})})


def test_the_measured_rate_is_that_of_hd_at_25() -> None:
    sound = 48000 * 2 * 3
    space = estimate_space(profile(measured=SAMPLE), hd_second())
    assert space.low == 10_000_000 // 8 + sound
    assert 0 < space.high - (90_000_000 // 8 + sound) < 100_000  # headers and index


def test_the_estimate_scales_with_pixels_and_frames() -> None:
    half = estimate_space(profile(measured=SAMPLE), specs.clip())
    sound = 48000 * 2 * 3
    assert half.low - sound == (10_000_000 // 8) // 4


def test_mxf_padding_is_counted() -> None:
    mxf = profile(container="mxf", reel={"carried": "global"}, audio={"mode": "mono", "rate": 48000})
    assert estimate_space(mxf, hd_second()).high > estimate_space(profile(), hd_second()).high


def test_aac_is_between_nothing_and_what_the_standard_allows() -> None:
    mp4 = profile(container="mp4", reel={"carried": "none"}, audio={"encoder": "aac", "codec": "aac", "bits": 16})
    space = estimate_space(mp4, hd_second())
    assert space.low == 10_000_000 // 8
    assert space.high > space.low


def test_estimates_can_be_added() -> None:
    assert sum((SpaceEstimate(low=1, high=2), SpaceEstimate(low=10, high=20)), NOTHING) == SpaceEstimate(
        low=11, high=22
    )
