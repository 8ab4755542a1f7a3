"""Canonical JSON: the only byte form (RFC 8785) of a value, and a strict reader.

A value consists of null, booleans, strings, integers up to 2**53 - 1 in size, arrays and objects. Times and rates are
integers and fractions in every contract, so a float is an error and never rounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, Never, TypeAlias, cast

import rfc8785

Json: TypeAlias = bool | int | str | Sequence["Json"] | Mapping[str, "Json"] | None

LARGEST: Final = 2**53 - 1  # RFC 8785 numbers are doubles: larger integers have no unique form


class NotCanonical(ValueError):
    """The value or text has no canonical form: a float, a duplicate key, a lone surrogate, a huge integer."""


def canonical_bytes(value: Json) -> bytes:
    """Returns the RFC 8785 bytes of `value`. Raises NotCanonical if it has none."""
    _refuse_floats(value)
    try:
        return rfc8785.dumps(cast("dict[str, object]", value))  # type: ignore[arg-type]  # its union is narrower
    except (
        rfc8785.CanonicalizationError,
        UnicodeEncodeError,
    ) as error:  # UnicodeEncodeError: a lone surrogate in a key
        raise NotCanonical(str(error)) from error


def pretty_bytes(value: Json) -> bytes:
    """Returns the file form of a contract: canonical content, key order kept, indented by two spaces.

    Raises NotCanonical.
    """
    canonical_bytes(value)  # raises NotCanonical
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def read_json(data: bytes) -> Json:
    """Parses strict JSON in UTF-8. Raises NotCanonical for other data and for values without a canonical form."""
    try:
        text = data.decode("utf-8")
        value = cast(
            "Json",
            json.loads(
                text,
                object_pairs_hook=_unique,
                parse_float=_no_float,
                parse_int=_integer,
                parse_constant=_no_float,
            ),
        )
        if "\\u" in text:  # only an escape can bring in a lone surrogate
            canonical_bytes(value)
        return value
    except NotCanonical:
        raise
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise NotCanonical(f"not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise NotCanonical(f"the key {key!r} occurs twice in one object")
            seen.add(key)
    return result


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > LARGEST:
        raise NotCanonical(f"{text[:40]} is larger than 2**53 - 1")
    return int(text)


def _no_float(text: str) -> Never:
    raise NotCanonical(f"{text} is not an integer")


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise NotCanonical(f"{value!r} is a float: contracts hold integers and fractions")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise NotCanonical(f"the key {key!r} is not a string")
            _refuse_floats(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_floats(item)
