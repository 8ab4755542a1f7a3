"""Writes lines, tables and JSON to standard output and standard error.

No function here raises when a stream is closed or full: a job must not fail because nobody reads its output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json

_broken_streams: Final[set[int]] = set()  # by id()
_output_errors: Final[list[str]] = []  # of standard output only


def out(text: str = "") -> None:
    """Writes a line to standard output: part of the verb's answer."""
    _write(sys.stdout, text + "\n")


def err(text: str) -> None:
    """Writes a line to standard error: progress, warnings and failures."""
    _write(sys.stderr, text + "\n")


def out_json(value: Json) -> None:
    """Writes a JSON document to standard output, in ASCII: no locale or terminal can change it."""
    out(json.dumps(value, indent=2, ensure_ascii=True))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes rows in aligned columns. The last column is not padded: put names of any length there."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]
        out("  ".join(cells).rstrip())


def facts(pairs: Mapping[str, str]) -> None:
    """Writes one line for each name and value, with the values aligned."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        out(f"{name.ljust(width)}  {value}")


def take_lost_output() -> str | None:
    """Returns why standard output could not take everything, or None if nothing that matters was lost.

    A reader that closed its pipe does not count: it had what it wanted. Forgets all broken streams, since the next
    command line run in this process may have other streams.
    """
    _write(sys.stdout, "")
    lost = _output_errors[0] if _output_errors else None
    _broken_streams.clear()
    _output_errors.clear()
    return lost


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None or id(stream) in _broken_streams:
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _broken_streams.add(id(stream))
    except (OSError, ValueError) as error:
        _broken_streams.add(id(stream))
        if stream is sys.stdout:
            _output_errors.append(str(error))
