"""The lookup of the engine's failure classes by code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxx.contracts import errors
from proxx.contracts.error_bases import ProxxError

ERROR_CLASSES: Final[Mapping[str, type[ProxxError]]] = MappingProxyType(
    {
        kind.code: kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ProxxError) and "code" in vars(kind)
    }
)
"""The class of each failure, by its stable code."""


def remedy_of(code: str) -> str | None:
    """Returns what a person can do about a failure with this code, or None for a code that is not the engine's."""
    kind = ERROR_CLASSES.get(code)
    return None if kind is None else kind.remedy
