"""Makes one change to the plain JSON of a contract, for tests that an edit is detected."""

from __future__ import annotations

import copy
import re
from typing import Any, Final, TypeAlias

Plain: TypeAlias = Any
"""JSON of any shape; a wrong shape fails the test that uses it."""

DROP: Final = "(drop)"  # removes the field


def edited(plain: Plain, path: str, value: object) -> Plain:
    """Returns a copy of `plain` with `value` at the path (`clips[0].recipe.rotation`), or without that field."""
    result = copy.deepcopy(plain)
    *steps, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    parent = result
    for step in steps:
        parent = parent[step]
    if value is DROP:
        del parent[last]
    elif isinstance(parent, list) and last == len(parent):
        parent.append(value)
    else:
        parent[last] = value
    return result


def paths_of(plain: Plain, prefix: str = "") -> list[str]:
    """Returns the path of every value in `plain` that is neither an object nor an array."""
    if isinstance(plain, dict):
        return [path for key in plain for path in paths_of(plain[key], f"{prefix}.{key}" if prefix else key)]
    if isinstance(plain, list):
        return [path for index, item in enumerate(plain) for path in paths_of(item, f"{prefix}[{index}]")]
    return [prefix]
