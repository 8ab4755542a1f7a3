"""One change to a contract's plain JSON, for tests that say what an edit must be answered with."""

from __future__ import annotations

import copy
import re
from typing import Any, Final, TypeAlias

Plain: TypeAlias = Any
"""JSON that a test changes and checks at once."""

DROP: Final = "(drop)"  # take the field away


def edited(plain: Plain, path: str, value: object) -> Plain:
    """A copy of `plain` with `clips[0].recipe.rotation` set to `value`, or dropped, or with a new field."""
    result = copy.deepcopy(plain)
    *steps, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    place = result
    for step in steps:
        place = place[step]
    if value is DROP:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return result


def paths_of(plain: Plain, prefix: str = "") -> list[str]:
    """The path of every value in `plain` that is no object or array."""
    if isinstance(plain, dict):
        return [path for key in plain for path in paths_of(plain[key], f"{prefix}.{key}" if prefix else key)]
    if isinstance(plain, list):
        return [path for index, item in enumerate(plain) for path in paths_of(item, f"{prefix}[{index}]")]
    return [prefix]
