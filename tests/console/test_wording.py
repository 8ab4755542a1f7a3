"""Values as text: hostile names made harmless, sizes, durations, counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.console.wording import duration, last_part, plural, safe, size, thousandths


@given(st.text())
def test_safe_text_is_printable(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable()
    shown.encode()


@given(st.text().filter(str.isprintable))
def test_printable_text_is_unchanged(text: str) -> None:
    assert safe(text) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b]0;owned\x07.mov", "\\x1b]0;owned\\x07.mov"),
        ("a\nb\r.mov", "a\\nb\\r.mov"),
        ("\u202evom.exe", "\\u202evom.exe"),
        ("[bold red]x[/].mov", "[bold red]x[/].mov"),
        ("bytes\udcff.mov", "bytes\\udcff.mov"),
        ("\x9b31m", "\\x9b31m"),
        ("Ä 中.mov", "Ä 中.mov"),
    ],
)
def test_hostile_names_are_escaped(name: str, shown: str) -> None:
    assert safe(name) == shown
    assert last_part(f"/media/{name}") == shown.rpartition("/")[2]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_250_000, "1.3 MB"),
        (12_345_678_901, "12.3 GB"),
        (734_000_000, "734 MB"),
        (4 * 10**15, "4,000 TB"),
    ],
)
def test_sizes_in_powers_of_1000(count: int, text: str) -> None:
    assert size(count) == text


def test_durations_counts_and_thousandths() -> None:
    assert [duration(ms) for ms in (0, 2_450, 59_999, 187_000, 3_765_000)] == [
        "0.0 s",
        "2.4 s",
        "59.9 s",
        "3:07",
        "1:02:45",
    ]
    assert [plural(1, "clip"), plural(1234, "clip"), plural(2, "proxy", "proxies")] == [
        "1 clip",
        "1,234 clips",
        "2 proxies",
    ]
    assert [thousandths(23_976), thousandths(None)] == ["23.9", ""]
