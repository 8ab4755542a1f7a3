"""A spec with a byte changed anywhere is refused, with a path and without any other exception."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxx.contracts.errors import SpecAltered, SpecInvalid
from proxx.contracts.job import read_spec, spec_bytes
from tests.support import specs

DATA = spec_bytes(specs.job(1))


def refused(data: bytes) -> None:
    with pytest.raises((SpecInvalid, SpecAltered)) as caught:
        read_spec(data)
    assert caught.value.problems
    assert all(problem.path and problem.message for problem in caught.value.problems)


@pytest.mark.clause("F1", lead=True)
def test_a_spec_with_any_byte_changed_is_refused() -> None:
    """A spec with any one byte changed to one that could still fit (a digit, a letter, white space) is refused."""
    for place, byte in enumerate(DATA):
        letter = chr(byte)
        put = (
            str((int(letter) + 1) % 10) if letter.isdigit()
            else chr(byte ^ 1) if letter.isalpha()
            else {" ": "\t", "\n": " "}.get(letter, "7")
        )  # fmt: skip
        refused(DATA[:place] + put.encode() + DATA[place + 1 :])


@pytest.mark.clause("F1")
def test_a_spec_with_any_byte_removed_is_refused() -> None:
    for place in range(len(DATA)):
        refused(DATA[:place] + DATA[place + 1 :])


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
@pytest.mark.clause("F1")
def test_a_spec_with_any_byte_replaced_is_refused(place: int, change: int) -> None:
    refused(DATA[:place] + bytes([DATA[place] ^ change]) + DATA[place + 1 :])


@given(st.integers(0, len(DATA)), st.binary(min_size=1, max_size=4))
@example(len(DATA), b"\n")
@example(0, b" ")
@example(0, b"\xef\xbb\xbf")
@pytest.mark.clause("F1")
def test_a_spec_with_bytes_inserted_is_refused(place: int, more: bytes) -> None:
    refused(DATA[:place] + more + DATA[place:])


@given(st.integers(0, len(DATA) - 1), st.integers(1, len(DATA)))
def test_a_spec_with_a_part_missing_is_refused(place: int, length: int) -> None:
    refused(DATA[:place] + DATA[place + length :])
