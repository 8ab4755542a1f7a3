"""A command is a pure function of profile and clip; whole commands are kept in golden files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.measures import Rate
from proxx.contracts.profile import find_profile
from proxx.contracts.recipe import TimecodeDecision
from proxx.ffmpeg.command import FFMPEG, OUTPUT, SOURCE, bind_paths, plan_command, proxy_label
from tests.golden.remake_argv import FOLDER, content
from tests.support.argvs import CASES, change, clip_for, track, with_tracks

REPO = Path(__file__).parents[2]
REMAKE = "a changed command gives other bytes for the same job; if that is meant: python -m tests.golden.remake_argv"


@pytest.mark.clause("F2", lead=True)
@pytest.mark.parametrize("name", CASES)
def test_the_whole_command_is_the_golden_one(name: str) -> None:
    """The whole command of each kind of clip, made from its spec and nothing else, equals the golden one."""
    assert content(name) == (FOLDER / f"{name}.json").read_bytes(), REMAKE


def test_every_golden_command_has_a_case() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(CASES)


@pytest.mark.clause("F5")
@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_the_command_is_the_same_in_any_process(seed: str) -> None:
    code = (
        "from tests.support.argvs import CASES; from proxx.ffmpeg.command import plan_command; "
        "print([plan_command(*c) for c in CASES.values()])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=REPO,
            env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": hash_seed, "TZ": zone, "LANG": "C.UTF-8"},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed, zone in (("5", "UTC"), (seed, "Asia/Tokyo"))
    }
    assert len(printed) == 1


@pytest.mark.parametrize("name", CASES)
def test_each_placeholder_is_one_element(name: str) -> None:
    argv = plan_command(*CASES[name]).argv
    assert argv[0] == FFMPEG
    assert [argv.count(placeholder) for placeholder in (FFMPEG, SOURCE, OUTPUT)] == [1, 1, 1]
    assert argv[argv.index(SOURCE) - 1] == "-i"


@given(
    source=st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    output=st.sampled_from(["{source}", "file:{source}", "{ffmpeg}", "a b", "-x", "%03d", "concat:a", "\nx"]),
)
def test_placeholders_are_replaced_once(source: str, output: str) -> None:
    argv = plan_command(*CASES["prores_proxy"]).argv
    bound = bind_paths(argv, Path("/bin/ffmpeg"), Path("/in") / source.lstrip("/"), Path("/out") / output)
    changed = [(old, new) for old, new in zip(argv, bound, strict=True) if old != new]
    assert changed == [
        (FFMPEG, "/bin/ffmpeg"),
        (SOURCE, f"file:{Path('/in') / source.lstrip('/')}"),
        (OUTPUT, f"file:{Path('/out') / output}"),
    ]


def test_a_title_that_looks_like_a_placeholder_is_kept() -> None:
    profile, clip = CASES["prores_proxy"]
    tracks = tuple(audio.model_copy(update={"title": "{output}"}) for audio in clip.recipe.audio)
    argv = bind_paths(
        plan_command(profile, change(clip, recipe={"audio": tracks})).argv, Path("/f"), Path("/s"), Path("/o")
    )
    assert "title={output}" in argv


def test_relative_paths_are_refused() -> None:
    with pytest.raises(ValueError, match="not absolute"):
        bind_paths((FFMPEG,), Path("/f"), Path("in.mov"), Path("/o"))


def test_accepted_damage_is_decoded_by_one_thread() -> None:
    refused, accepted = plan_command(*CASES["h264_half"]).argv, plan_command(*CASES["damage_accepted"]).argv
    assert "-xerror" in refused
    assert "-xerror" not in accepted
    assert accepted[accepted.index("-threads:0") + 1] == "1"
    assert accepted[accepted.index("-err_detect") + 1] == "ignore_err"


def test_a_reel_that_the_profile_cannot_carry_is_a_bug() -> None:
    profile = find_profile("h264_review_mp4")
    with pytest.raises(ValueError, match="carries no reel"):
        plan_command(profile, change(clip_for(profile), expect={"reel": "A001"}))


def test_a_track_from_two_streams_is_a_bug() -> None:
    profile = find_profile("prores_proxy")
    two = track(profile, "stereo", (0, 1))
    picks = (two.map[0], two.map[1].model_copy(update={"stream": 2}))
    clip = with_tracks(clip_for(profile), (two.model_copy(update={"map": picks}),))
    with pytest.raises(ValueError, match="one source stream"):
        plan_command(profile, clip)


def _timecode(start: int, rate: Rate, drop: bool = False) -> TimecodeDecision:
    return TimecodeDecision(
        state="present", start_frame=start, nominal_fps=rate.nominal, drop=drop, rate=rate, origin="tmcd"
    )


def test_timecode_counted_at_half_the_rate_keeps_its_instant() -> None:
    assert proxy_label(_timecode(900013, Rate.of(25)), Rate.of(50)) == (1800026, "10:00:00:26")


def test_drop_frame_timecode_is_counted_at_twice_the_rate() -> None:
    half, whole = Rate(num=30000, den=1001), Rate(num=60000, den=1001)
    number, label = proxy_label(_timecode(1800, half, drop=True), whole) or (0, "")
    assert (number, label) == (3600, "00:01:00;04")


def test_a_timecode_rate_that_does_not_divide_is_a_bug() -> None:
    with pytest.raises(ValueError, match="cannot be counted"):
        proxy_label(_timecode(1, Rate.of(30)), Rate.of(25))
