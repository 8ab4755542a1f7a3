"""decide_rate: standard rates, conformed uneven rates, and exact counts that ffmpeg confirms."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.errors import SourceUnsupported
from proxx.contracts.measures import STANDARD_RATES, Rate
from proxx.decide.notes import NoteKind
from proxx.decide.rate import conformed_frames, decide_rate
from proxx.ffmpeg.probe import packet_tables, probe
from proxx.ffmpeg.streams import VideoPackets
from tests.support.facts import pictures, profile, video
from tests.support.makemedia import FFPROBE, ffmpeg, make, picture


@pytest.mark.parametrize("rate", STANDARD_RATES, ids=str)
def test_even_frames_at_a_standard_rate_pass_through(rate: Rate) -> None:
    table = pictures([n * rate.den for n in range(50)], time_base=Fraction(1, rate.num))
    decision = decide_rate(profile(), video(nominal_rate=rate.fraction, average_rate=rate.fraction), table)
    assert (decision.conform.mode, decision.conform.rate, decision.output_frames) == ("none", rate, 50)
    assert decision.notes == ()


def test_time_stamps_rounded_to_a_coarse_clock_are_put_on_the_grid_and_all_kept() -> None:
    pts = [round(Fraction(n * 1001, 24)) for n in range(2000)]  # Matroska: milliseconds
    table = pictures(pts, time_base=Fraction(1, 1000))
    decision = decide_rate(profile(), video(nominal_rate=Fraction(24000, 1001), average_rate=None), table)
    assert (decision.conform.mode, str(decision.conform.rate)) == ("retime", "24000/1001")
    assert decision.output_frames == 2000


def test_a_rate_close_to_a_standard_rate_counts_as_it() -> None:
    table = pictures([n * 3000 for n in range(30)], time_base=Fraction(1, 90000))
    near = Fraction(2_999_999, 100_000)
    assert str(decide_rate(profile(), video(nominal_rate=near, average_rate=near), table).conform.rate) == "30"


def test_field_coded_streams_declare_twice_the_rate() -> None:
    table = pictures([n * 3600 for n in range(13)], time_base=Fraction(1, 90000))  # Sony AVCHD
    stream = video(nominal_rate=Fraction(50), average_rate=Fraction(25), field_order="tt")
    decision = decide_rate(profile(), stream, table)
    assert (str(decision.conform.rate), decision.output_frames) == ("25", 13)


def test_a_single_frame_takes_the_rate_of_frames_not_fields() -> None:
    stream = video(nominal_rate=Fraction(50), average_rate=Fraction(25), field_order="tt")
    assert str(decide_rate(profile(), stream, pictures([100])).conform.rate) == "25"


def test_a_dropped_frame_makes_the_rate_variable_and_the_declared_rate_is_kept() -> None:
    pts = [n for n in range(100) if n != 50]
    table = pictures(pts, time_base=Fraction(1, 30))
    decision = decide_rate(profile(), video(nominal_rate=Fraction(30), average_rate=Fraction(2970, 100)), table)
    assert (decision.conform.mode, str(decision.conform.rate), decision.output_frames) == ("cfr", "30", 100)
    (note,) = decision.notes
    assert note.kind is NoteKind.CONFORMED and note.text.startswith("variable frame rate made constant: ")


def test_a_meaningless_rate_is_replaced_by_the_median_not_the_average() -> None:
    steps = [960, 960, 960, 57600, 960, 960, 115200, 960]  # a screen recorder at 60, still for seconds
    pts = list(accumulate(steps, initial=0))
    table = pictures(pts, time_base=Fraction(1, 57600))
    stream = video(nominal_rate=Fraction(57600), average_rate=Fraction(7))
    assert str(decide_rate(profile(), stream, table).conform.rate) == "60"


def test_below_all_standard_rates_the_lowest_is_the_nearest() -> None:
    table = pictures([0, 80, 150, 233, 310], time_base=Fraction(1, 600))  # a thermal camera at about 8
    decision = decide_rate(profile(), video(nominal_rate=Fraction(600), average_rate=Fraction(7)), table)
    assert str(decision.conform.rate) == "24000/1001"


def test_a_rate_the_profile_does_not_write_is_refused() -> None:
    with pytest.raises(SourceUnsupported, match="Profile sample does not write its frame rate"):
        decide_rate(profile(rates=("24", "30")), video(), pictures())


def test_a_variable_rate_is_conformed_to_one_the_profile_writes() -> None:
    table = pictures([0, 80, 150, 233, 310], time_base=Fraction(1, 600))
    stream = video(nominal_rate=Fraction(600), average_rate=Fraction(7))
    assert str(decide_rate(profile(rates=("25", "50")), stream, table).conform.rate) == "25"


@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=60),
    st.integers(1, 9000),
    st.sampled_from(STANDARD_RATES),
    st.sampled_from([600, 1000, 57600, 90000]),
)
def test_conforming_keeps_the_length_to_half_a_frame(steps: list[int], last: int, rate: Rate, base: int) -> None:
    pts = list(accumulate(steps, initial=0))
    table = pictures(pts, time_base=Fraction(1, base), end=pts[-1] + last)
    frames = conformed_frames(table, rate)
    assert frames >= 1
    assert frames == 1 or abs(frames / rate.fraction - table.seconds) <= Fraction(1, 2) / rate.fraction


VFR = (
    "setpts='if(lt(N,8),N*40,if(lt(N,16),N*40+333*(N-7),N*40+3000+7*N))/1000/TB'",
    "setpts='(N*N*13+N*17)/1000/TB'",
    "setpts='(N*41+mod(N*N*7,29))/1000/TB'",
)


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30", "60000/1001"])
@pytest.mark.parametrize("uneven", VFR)
def test_ffmpeg_gives_the_predicted_count(uneven: str, rate: str) -> None:
    source = make("vfr.mp4", *picture(size="64x64", seconds="1"), "-vf", uneven, "-fps_mode", "vfr", "-c:v", "mpeg4",
                  "-video_track_timescale", "12800")  # fmt: skip
    [stream] = probe(source, FFPROBE).videos
    (table,) = packet_tables(source, (stream,), FFPROBE)
    assert isinstance(table, VideoPackets)
    assert len(table.pts) == 25
    fps = f"setpts=PTS-STARTPTS,fps=fps={rate}:round=near:start_time=0:eof_action=round"
    crc = ffmpeg("-i", f"file:{source}", "-vf", fps, "-fps_mode", "passthrough", "-f", "framecrc", "-")
    given_ = sum(not line.startswith(b"#") for line in crc.splitlines())
    num, _, den = rate.partition("/")
    assert conformed_frames(table, Rate(num=int(num), den=int(den or 1))) == given_
