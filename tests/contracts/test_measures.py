"""Rates, ratios, sizes and timecode: which labels are legal, by labels known from the standard."""

from __future__ import annotations

from fractions import Fraction

import pytest
from pydantic import ValidationError

from proxx.contracts.measures import (
    DROP_FRAME_RATES,
    STANDARD_RATES,
    IllegalTimecode,
    Rate,
    Ratio,
    Size,
    nearest_integer,
    nearest_standard_rate,
    parse_integer,
    parse_timecode,
    timecode_label,
)

R23, R25, R29, R30, R50 = (Rate.of(rate) for rate in (Fraction(24000, 1001), 25, Fraction(30000, 1001), 30, 50))
R59, R119, R120 = (Rate.of(rate) for rate in (Fraction(60000, 1001), Fraction(120000, 1001), 120))


def test_standard_rates_are_sorted_and_counted_by_a_whole_number() -> None:
    assert [str(rate) for rate in STANDARD_RATES] == [
        "24000/1001", "24", "25", "30000/1001", "30", "48000/1001", "48", "50", "60000/1001", "60", "100",
        "120000/1001", "120",
    ]  # fmt: skip
    assert [rate.nominal for rate in STANDARD_RATES] == [24, 24, 25, 30, 30, 48, 48, 50, 60, 60, 100, 120, 120]
    assert [rate.nominal for rate in DROP_FRAME_RATES] == [30, 60, 120]


@pytest.mark.parametrize("kind", [Rate, Ratio])
@pytest.mark.parametrize(("num", "den"), [(50, 2), (0, 1), (25, 0), (-25, 1), (25, -1), (2, 2)])
def test_a_fraction_has_one_form(kind: type[Rate | Ratio], num: int, den: int) -> None:
    with pytest.raises(ValidationError):
        kind(num=num, den=den)


def test_values_have_readable_text() -> None:
    assert [str(value) for value in (R23, R25, Ratio(num=4, den=3), Size(width=1920, height=1080))] == [
        "24000/1001", "25", "4:3", "1920x1080",
    ]  # fmt: skip
    assert Rate.of(Fraction(50, 2)) == R25
    assert R23.fraction == Fraction(24000, 1001)


@pytest.mark.parametrize(
    ("measured", "rate"),
    [
        (Fraction(2997, 100), "30000/1001"),
        (Fraction(23976, 1000), "24000/1001"),
        (Fraction(2398, 100), "24000/1001"),  # as some recorders round it
        (Fraction(25), "25"),
        (Fraction(30), "30"),
        (Fraction(119880, 1000), "120000/1001"),
        (Fraction(2999, 100), None),  # a phone's average: neither 29.97 nor 30
        (Fraction(15), None),
        (Fraction(1, 10**9), None),
        (Fraction(90000), None),
    ],
)
def test_only_a_rate_close_to_a_standard_rate_snaps_to_it(measured: Fraction, rate: str | None) -> None:
    snapped = nearest_standard_rate(measured)
    assert (str(snapped) if snapped else None) == rate


KNOWN = [
    ("00:00:00:00", R25, 0),
    ("01:00:00:00", R25, 90000),
    ("01:00:00:00", R23, 86400),
    ("23:59:59:24", R25, 2159999),
    ("00:01:00;02", R29, 1800),
    ("00:10:00;00", R29, 17982),
    ("01:00:00;00", R29, 107892),
    ("01:00:00:00", R29, 108000),
    ("23:59:59;29", R29, 2589407),
    ("00:01:00;04", R59, 3600),
    ("01:00:00;00", R59, 215784),
    ("00:01:00;08", R119, 7200),
    ("01:00:00:00", R120, 432000),
    ("00:00:00:119", R120, 119),
]


@pytest.mark.parametrize(("label", "rate", "number"), KNOWN)
def test_known_labels_give_their_frame_number(label: str, rate: Rate, number: int) -> None:
    assert parse_timecode(label, rate) == (number, ";" in label)
    assert timecode_label(number, rate, ";" in label) == label


@pytest.mark.parametrize("mark", [";", ".", ","])
def test_every_separator_of_drop_frame_is_accepted(mark: str) -> None:
    assert parse_timecode(f"01:00:00{mark}00", R29) == (107892, True)


@pytest.mark.parametrize(
    ("label", "rate", "reason"),
    [
        ("00:01:00;00", R29, "counting skips"),
        ("00:01:00;01", R29, "counting skips"),
        ("09:59:00;00", R29, "counting skips"),
        ("00:01:00;03", R59, "counting skips"),
        ("00:01:00;07", R119, "counting skips"),
        ("00:00:00;00", R25, "drop-frame timecode does not exist"),
        ("00:00:00;00", R23, "drop-frame timecode does not exist"),
        ("00:00:00;00", R30, "drop-frame timecode does not exist"),
        ("00:00:00:25", R25, "does not exist"),
        ("00:00:00:30", R29, "does not exist"),
        ("00:00:00:120", R120, "does not exist"),
        ("24:00:00:00", R25, "does not exist"),
        ("99:00:00:00", R25, "does not exist"),
        ("00:00:00:005", R25, "does not exist"),
        ("00:60:00:00", R25, "is not a timecode"),
        ("00:00:60:00", R25, "is not a timecode"),
        ("01:00:00", R25, "is not a timecode"),
        ("1:00:00:00", R25, "is not a timecode"),
        ("-1:00:00:00", R25, "is not a timecode"),
        ("01;00;00;00", R29, "is not a timecode"),
        ("01:00:00:00\n", R25, "is not a timecode"),
        (" 01:00:00:00", R25, "is not a timecode"),
        ("٠١:٠٠:٠٠:٠٠", R25, "is not a timecode"),
        ("", R25, "is not a timecode"),
    ],
)
def test_an_illegal_label_is_refused(label: str, rate: Rate, reason: str) -> None:
    with pytest.raises(IllegalTimecode, match=reason):
        parse_timecode(label, rate)


def test_labels_restart_after_midnight() -> None:
    assert timecode_label(2160000, R25, False) == "00:00:00:00"
    assert timecode_label(2160001, R25, False) == "00:00:00:01"
    assert timecode_label(2589408, R29, True) == "00:00:00;00"


def test_a_field_rate_may_be_counted_by_its_half() -> None:
    assert parse_timecode("01:00:00:24", R25) == (90024, False)  # 50p counted at 25
    assert timecode_label(90024, R25, False) == "01:00:00:24"
    assert parse_timecode("01:00:00:49", R50) == (180049, False)


def test_halves_go_up_also_below_zero() -> None:
    assert [nearest_integer(Fraction(n, 2)) for n in (-3, -1, 1, 3)] == [-1, 0, 1, 2]
    assert [nearest_integer(Fraction(n, 5)) for n in (-3, -2, 2, 3)] == [-1, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "number"),
    [("25", 25), ("-1", -1), ("0", 0), ("007", 7), (25, 25), ("N/A", None), ("", None), (None, None), ("--5", None),
     ("5-", None), ("1.5", None), (" 5", None), ("5\n", None), ("²", None), ("٥", None), ("1_000", None)],
)  # fmt: skip
def test_only_a_whole_number_is_parsed(text: object, number: int | None) -> None:
    assert parse_integer(text) == number
