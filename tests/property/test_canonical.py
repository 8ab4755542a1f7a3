"""Canonical JSON and fingerprints of any value that a contract could hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.canonical import LARGEST, Json, NotCanonical, canonical_bytes, pretty_bytes, read_json
from proxx.contracts.fingerprint import fingerprint

plain = st.one_of(st.none(), st.booleans(), st.integers(-LARGEST, LARGEST), st.text(max_size=20))
values: st.SearchStrategy[Json] = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
)
records = st.from_regex(r"proxx\.[a-z_]{1,10}/[1-9][0-9]{0,2}", fullmatch=True)


def reordered(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_round_trip(value: Json) -> None:
    assert read_json(canonical_bytes(value)) == value
    assert read_json(pretty_bytes(value)) == value


@given(values)
def test_key_order_makes_no_difference(value: Json) -> None:
    assert canonical_bytes(reordered(value)) == canonical_bytes(value)
    assert fingerprint("proxx.x/1", reordered(value)) == fingerprint("proxx.x/1", value)


@given(values)
def test_keys_are_sorted_by_utf_16(value: Json) -> None:
    def check(pairs: list[tuple[str, object]]) -> None:
        keys = [key.encode("utf-16-be") for key, _ in pairs]
        assert keys == sorted(keys)

    json.loads(canonical_bytes(value), object_pairs_hook=check)


@given(values, st.floats(), st.booleans())
def test_a_float_is_refused_at_any_depth(value: Json, number: float, in_list: bool) -> None:
    mixed: Any = [value, [number]] if in_list else {"a": value, "b": {"c": number}}
    with pytest.raises(NotCanonical):
        canonical_bytes(mixed)
    with pytest.raises(NotCanonical):
        read_json(json.dumps(mixed).encode())


@given(st.dictionaries(st.text(max_size=4), plain, min_size=1), st.data())
def test_a_duplicate_key_is_refused(value: dict[str, Json], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    twice = canonical_bytes(value)[:-1] + b"," + canonical_bytes({key: 1})[1:]
    with pytest.raises(NotCanonical, match="occurs twice"):
        read_json(twice)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = read_json(data)
    except NotCanonical:
        return
    assert read_json(canonical_bytes(value)) == value


@given(records, records, values)
def test_records_of_two_kinds_never_share_a_fingerprint(one: str, other: str, value: Json) -> None:
    assert (fingerprint(one, value) == fingerprint(other, value)) == (one == other)


@given(records, values, records, values)
def test_a_fingerprint_depends_on_type_and_content(one: str, value: Json, other: str, second: Json) -> None:
    same = one == other and canonical_bytes(value) == canonical_bytes(second)
    assert (fingerprint(one, value) == fingerprint(other, second)) == same
