"""A JSON answer with one long list, printed row by row: however many rows there are, none is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from proxx.console.output import out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxx.contracts.canonical import Json


class Streamed:
    """An object of `head`, the list `name`, and what `end` adds. It is JSON once `end` was called."""

    def __init__(self, name: str, head: Mapping[str, Json]) -> None:
        self._row: str | None = None
        begun = json.dumps(dict(head), indent=2)[:-2]
        out(f"{begun},\n  {json.dumps(name)}: [")

    def row(self, value: Json) -> None:
        if self._row is not None:
            out(f"    {self._row},")
        self._row = json.dumps(value)  # printed with the next one: only then is it known that a comma follows

    def end(self, tail: Mapping[str, Json]) -> None:
        if self._row is not None:
            out(f"    {self._row}")
        out(f"  ],\n{json.dumps(dict(tail), indent=2)[2:]}")
