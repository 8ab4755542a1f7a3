"""Relinking: it depends on each of the properties that an edit relinks by, and on nothing else."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.job import Clip
from proxx.contracts.measures import Rate, Ratio, Size
from proxx.contracts.recipe import AudioTrack, ChannelPick
from proxx.decide.relink import Difference, differences, relinks
from tests.support.specs import clip, colour

RATES: Final = (Rate(num=25, den=1), Rate(num=30000, den=1001), Rate(num=50, den=1))


def track(channels: int, codec: str = "pcm_s24le", title: str | None = None) -> AudioTrack:
    return AudioTrack(
        codec=codec,
        rate=48000,
        bits=24,
        layout="mono" if channels == 1 else "discrete",
        labels=(),
        language=None,
        title=title,
        map=tuple(ChannelPick(file=0, stream=1, channel=channel) for channel in range(channels)),
    )


def proxy(
    *,
    folder: str = "/proxies",
    name: str = "A001.mov",
    frames: int = 25,
    rate: Rate = RATES[1],
    timecode: int | None = 107892,
    drop: bool = False,
    reel: str | None = "A001",
    channels: tuple[int, ...] = (2,),
    samples: int = 40040,
    height: int = 540,
    codec: str = "pcm_s24le",
    title: str | None = None,
    tagged: str = "tagged",
) -> Clip:
    """Returns a clip in which only the given properties differ from the default."""
    plain = clip(output=f"{folder}/{name}")
    recipe = plain.recipe.model_copy(
        update={
            "audio": tuple(track(count, codec, title) for count in channels),
            "timecode": plain.recipe.timecode.model_copy(update={"drop": drop, "rate": rate}),
            "conform": plain.recipe.conform.model_copy(update={"rate": rate}),
        }
    )
    expect = plain.expect.model_copy(
        update={
            "output_frames": frames,
            "rate": rate,
            "timecode": timecode,
            "reel": reel,
            "samples": (samples,) * len(channels),
            "size": Size(width=960, height=height),
            "colour": colour(tagged),
        }
    )
    output = plain.outputs[0].model_copy(update={"tracks": tuple(range(len(channels)))})
    return plain.model_copy(update={"recipe": recipe, "expect": expect, "outputs": (output,)})


ANOTHER: Final = {
    "name": ({"name": "A001.mxf"}, {"name": ("A001.mov", "A001.mxf")}),
    "frames": ({"frames": 24}, {"frames": ("25", "24")}),
    "rate": ({"rate": RATES[2]}, {"rate": ("30000/1001", "50"), "timecode": ("00:59:56:12", "00:35:57:42")}),
    "timecode": ({"timecode": 107893}, {"timecode": ("00:59:56:12", "00:59:56:13")}),
    "no timecode": ({"timecode": None}, {"timecode": ("00:59:56:12", "none")}),
    "drop": ({"drop": True}, {"timecode": ("00:59:56:12", "01:00:00;00")}),
    "reel": ({"reel": None}, {"reel": ("A001", "none")}),
    "tracks": (
        {"channels": (2, 2)},
        {
            "audio.tracks": ("1", "2"),
            "audio.1.channels": ("none", "2"),
            "audio.1.samples": ("none", "40040"),
        },
    ),
    "no sound": (
        {"channels": ()},
        {
            "audio.tracks": ("1", "0"),
            "audio.0.channels": ("2", "none"),
            "audio.0.samples": ("40040", "none"),
        },
    ),
    "channels": ({"channels": (1,)}, {"audio.0.channels": ("2", "1")}),
    "samples": ({"samples": 40041}, {"audio.0.samples": ("40040", "40041")}),
}


@pytest.mark.parametrize("name", ANOTHER)
def test_each_property_that_an_edit_relinks_by_breaks_relinking(name: str) -> None:
    changed, expected = ANOTHER[name]
    found = differences(proxy(), proxy(**changed))  # type: ignore[arg-type]  # each fits its keyword
    assert {one.name: (one.old, one.new) for one in found if not one.relinks} == expected
    assert not relinks(found)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"height": 270}, {"size": ("960x540", "960x270")}),
        ({"codec": "pcm_s16le"}, {"audio.0.codec": ("pcm_s24le", "pcm_s16le")}),
        ({"title": "boom"}, {"audio.0.title": ("none", "boom")}),
        ({"folder": "/elsewhere"}, {}),
        ({"tagged": "assumed"}, {}),  # the origin of a colour is not the colour
    ],
)
def test_other_properties_do_not_break_relinking(
    changed: dict[str, object], expected: dict[str, tuple[str, str]]
) -> None:
    found = differences(proxy(), proxy(**changed))  # type: ignore[arg-type]
    assert {one.name: (one.old, one.new) for one in found} == expected
    assert relinks(found)


def test_pixels_and_side_data_do_not_break_relinking() -> None:
    plain = proxy()
    other = plain.model_copy(
        update={"expect": plain.expect.model_copy(update={"sar": Ratio(num=4, den=3), "side_data": ("Stereo 3D",)})}
    )
    assert differences(plain, other) == (
        Difference(name="pixels", old="1:1", new="4:3", relinks=True),
        Difference(name="side_data", old="none", new="Stereo 3D", relinks=True),
    )


def test_an_impossible_clip_can_still_be_compared() -> None:
    (found,) = (one for one in differences(proxy(), proxy(rate=RATES[0], drop=True)) if one.name == "timecode")
    assert found.new == "107892 drop-frame"


CLIPS: Final = st.builds(
    proxy,
    folder=st.sampled_from(["/proxies", "media:/day1"]),
    name=st.sampled_from(["A001.mov", "A001.mxf"]),
    frames=st.integers(1, 3),
    rate=st.sampled_from(RATES),
    timecode=st.none() | st.integers(0, 2) | st.integers(107890, 107894),
    drop=st.booleans(),
    reel=st.sampled_from([None, "A001", "A002"]),
    channels=st.lists(st.integers(1, 3), max_size=3).map(tuple),
    samples=st.integers(40039, 40041),
    height=st.sampled_from([270, 540]),
    codec=st.sampled_from(["pcm_s16le", "pcm_s24le"]),
)


def relinked_by(one: Clip) -> tuple[object, ...]:
    """Returns what relinking depends on by the contract, written independently."""
    expect, output = one.expect, one.outputs[0]
    return (
        output.uri.split("/")[-1],
        expect.output_frames,
        expect.rate,
        expect.timecode,
        one.recipe.timecode.drop if expect.timecode is not None else None,
        expect.reel,
        tuple((len(one.recipe.audio[index].map), expect.samples[index]) for index in output.tracks),
    )


@given(CLIPS, CLIPS)
def test_a_proxy_relinks_exactly_if_all_of_that_is_equal(one: Clip, other: Clip) -> None:
    found = differences(one, other)
    assert relinks(found) == (relinked_by(one) == relinked_by(other))
    assert all(each.old != each.new for each in found)
    assert len({each.name for each in found}) == len(found)
    back = differences(other, one)
    assert {(each.name, each.old, each.new, each.relinks) for each in found} == {
        (each.name, each.new, each.old, each.relinks) for each in back
    }


@given(CLIPS)
def test_a_proxy_relinks_to_itself(one: Clip) -> None:
    assert differences(one, one) == ()
