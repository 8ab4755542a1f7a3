"""A JSON document with one long list, printed row by row so that memory does not grow with the list."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from proxx.console.output import out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxx.contracts.canonical import Json


class Streamed:
    """Prints an object with the items of `head`, the list `name`, and the items passed to `end`.

    The output is valid JSON once `end` has been called.
    """

    def __init__(self, name: str, head: Mapping[str, Json]) -> None:
        self._row: str | None = None
        opening = json.dumps(dict(head), indent=2)[:-2]
        out(f"{opening},\n  {json.dumps(name)}: [")

    def row(self, value: Json) -> None:
        if self._row is not None:
            out(f"    {self._row},")
        self._row = json.dumps(value)  # printed with the next row, when it is known whether a comma follows

    def end(self, tail: Mapping[str, Json]) -> None:
        if self._row is not None:
            out(f"    {self._row}")
        out(f"  ],\n{json.dumps(dict(tail), indent=2)[2:]}")
