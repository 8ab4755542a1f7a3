"""Timecode at every standard rate, checked against a second formula (`smpte.py`)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.measures import (
    DROP_FRAME_RATES,
    SNAP,
    STANDARD_RATES,
    IllegalTimecode,
    Rate,
    nearest_standard_rate,
    parse_timecode,
    timecode_label,
)
from tests.property import smpte

COUNTS = [(rate, False) for rate in STANDARD_RATES] + [(rate, True) for rate in DROP_FRAME_RATES]
counts = st.sampled_from(COUNTS)


@given(counts, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.data())
def test_every_label_is_counted_or_refused(
    count: tuple[Rate, bool], hours: int, minutes: int, seconds: int, data: st.DataObject
) -> None:
    rate, drop = count
    frames = data.draw(st.one_of(st.integers(0, rate.nominal // 10), st.integers(0, rate.nominal + 2)))
    label = f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if drop else ':'}{frames:02d}"
    if smpte.exists(minutes, seconds, frames, rate.nominal, drop):
        number = smpte.frame_of(hours, minutes, seconds, frames, rate.nominal, drop)
        assert parse_timecode(label, rate) == (number, drop)
        assert timecode_label(number, rate, drop) == label
    else:
        with pytest.raises(IllegalTimecode):
            parse_timecode(label, rate)


@given(counts, st.data())
def test_every_frame_has_a_label_of_its_own(count: tuple[Rate, bool], data: st.DataObject) -> None:
    rate, drop = count
    number = data.draw(st.integers(0, smpte.day(rate.nominal, drop) - 1))
    label = timecode_label(number, rate, drop)
    assert parse_timecode(label, rate) == (number, drop)
    assert timecode_label(number + smpte.day(rate.nominal, drop), rate, drop) == label  # the next day


@pytest.mark.parametrize(("rate", "drop"), COUNTS, ids=str)
def test_the_minutes_in_which_labels_are_skipped(rate: Rate, drop: bool) -> None:
    """Frames at both ends of minutes 0, 1, 9, 10 and of the last minute of the day."""
    for minute in (0, 1, 9, 10, 24 * 60 - 1):
        start = smpte.frame_of(minute // 60, minute % 60, 0, rate.nominal // 15 if drop else 0, rate.nominal, drop)
        for number in (*range(start, start + 5), *range(start + 59 * rate.nominal, start + 60 * rate.nominal - 9)):
            label = timecode_label(number % smpte.day(rate.nominal, drop), rate, drop)
            hours, minutes, rest = label.split(":", 2)
            seconds, frames = rest.split(";" if drop else ":")
            assert smpte.frame_of(int(hours), int(minutes), int(seconds), int(frames), rate.nominal, drop) == number


@given(st.text(max_size=14))
def test_any_text_is_a_label_or_refused(text: str) -> None:
    try:
        number, drop = parse_timecode(text, Rate.of(Fraction(30000, 1001)))
    except IllegalTimecode:
        return
    assert timecode_label(number, Rate.of(Fraction(30000, 1001)), drop)[:8] == text[:8]


@given(st.fractions(min_value=Fraction(1, 1000), max_value=1000))
def test_a_rate_snaps_to_the_only_standard_rate_near_it(value: Fraction) -> None:
    near = [rate for rate in STANDARD_RATES if abs(value / rate.fraction - 1) <= SNAP]
    assert len(near) <= 1
    assert nearest_standard_rate(value) == (near[0] if near else None)


@given(st.fractions(min_value=Fraction(1, 1000), max_value=1000))
def test_a_rate_is_its_fraction(value: Fraction) -> None:
    assert Rate.of(value).fraction == value
    assert Rate.model_validate_json(Rate.of(value).model_dump_json()) == Rate.of(value)
