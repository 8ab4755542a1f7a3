"""Canonical JSON: the examples of RFC 8785, and the refusal of values without a canonical form."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest

from proxx.contracts.canonical import LARGEST, Json, NotCanonical, canonical_bytes, pretty_bytes, read_json

# From RFC 8785: section 3.2.3 (sorting), and the sample files that its reference implementations share, without those
# that have fractions, because contracts have none.
VECTORS: list[tuple[str, str]] = [
    (
        r"""{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
             "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control",
             "\u00f6":"Latin Small Letter O With Diaeresis"}""",
        '{"\\r":"Carriage Return","1":"One","\x80":"Control","ö":"Latin Small Letter O With Diaeresis",'
        '"€":"Euro Sign","\U0001f600":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    ),
    (
        r"""{"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}""",
        r"""{"literals":[null,true,false],"string":"€$\u000f\nA'B\"\\\\\"/"}""",
    ),
    ('[ 56, { "d": true, "10": null, "1": [ ] } ]', '[56,{"1":[],"10":null,"d":true}]'),
    (
        '{"1": {"f": {"f": "hi","F": 5} ,"\\n": 56}, "10": { }, "": "empty", "a": { }, '
        '"111": [ {"e": "yes","E": "no" } ], "A": { }}',
        '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
    ),
    ('{"Unnormalized Unicode":"A\\u030a"}', '{"Unnormalized Unicode":"A\u030a"}'),
    (
        '{"peach": "sorting order", "péché": "is wrong", "pêche": "in French", "sin": "different"}',
        '{"peach":"sorting order","péché":"is wrong","pêche":"in French","sin":"different"}',
    ),
    ("[9007199254740991, -9007199254740991, -0]", "[9007199254740991,-9007199254740991,0]"),
]


@pytest.mark.parametrize(("text", "canonical"), VECTORS)
def test_rfc_8785_examples(text: str, canonical: str) -> None:
    value = read_json(text.encode())
    assert canonical_bytes(value) == canonical.encode()
    assert read_json(pretty_bytes(value)) == value


REFUSED: list[tuple[bytes, str]] = [
    (b"1.0", "1.0 is not an integer"),
    (b"1e3", "1e3 is not an integer"),
    (b'{"a": [NaN]}', "NaN is not an integer"),
    (b"-Infinity", "-Infinity is not an integer"),
    (b'{"a": 1, "b": {"c": 2, "c": 2}}', "the key 'c' occurs twice"),
    (b'{"a": 1, "\\u0061": 1}', "the key 'a' occurs twice"),
    (b"9007199254740992", "larger than 2**53 - 1"),
    (b"-9007199254740992", "larger than 2**53 - 1"),
    (b"1" * 5000, "larger than 2**53 - 1"),
    (b'["\\ud800"]', "non-UTF-8"),
    (b'{"\\udfff": 1}', "surrogates"),
    (b"\xef\xbb\xbf1", "not JSON"),
    (b'"\xff"', "not JSON"),
    (b"\xed\xa0\x80", "not JSON"),
    (b"", "not JSON"),
    (b"1 1", "not JSON"),
    (b"01", "not JSON"),
    (b"[1,]", "not JSON"),
    (b"[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_a_value_without_a_canonical_form_is_not_read(text: bytes, reason: str) -> None:
    with pytest.raises(NotCanonical) as caught:
        read_json(text)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 200  # the input is not repeated


@pytest.mark.parametrize(
    "value",
    [1.0, [0.5], {"a": (float("nan"),)}, {1: 2}, {"a": {None: 1}}, LARGEST + 1, -LARGEST - 1, "\ud800", {"\ud800": 1},
     b"bytes", {1}, MappingProxyType({"a": 1.5})],
)  # fmt: skip
def test_a_value_without_a_canonical_form_is_not_written(value: Json) -> None:
    for form in (canonical_bytes, pretty_bytes):
        with pytest.raises(NotCanonical):
            form(value)


def test_the_file_form_keeps_key_order_and_letters() -> None:
    assert pretty_bytes({"b": "é\n", "a": [1]}) == '{\n  "b": "é\\n",\n  "a": [\n    1\n  ]\n}\n'.encode()


def test_tuples_and_lists_have_the_same_form() -> None:
    assert canonical_bytes((1, ("a",))) == canonical_bytes([1, ["a"]]) == b'[1,["a"]]'


def test_text_is_not_normalized() -> None:
    assert canonical_bytes("é") != canonical_bytes("e\u0301")


def test_true_is_not_one() -> None:
    assert canonical_bytes(True) == b"true"
    assert json.loads(canonical_bytes([True, 1])) == [True, 1]
