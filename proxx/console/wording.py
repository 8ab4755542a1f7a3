"""What the command prints: everything that comes from outside made harmless, and a closed output that hurts nobody.

A file name can hold terminal escapes, line ends or text that runs backwards. All of it is shown, none of it acts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json

_broken: Final[set[int]] = set()  # ids of streams that take no more
_lost: Final[list[str]] = []  # why


def safe(text: object) -> str:
    r"""`text` on one line with each character that is not plainly visible as its escape (`\x1b`, `\n`, `\u202e`)."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in str(text)
    )


def out(text: str = "") -> None:
    """A line of the verb's answer."""
    _write(sys.stdout, text + "\n")


def err(text: str) -> None:
    """A line for the person at the terminal: progress, warnings, failures."""
    _write(sys.stderr, text + "\n")


def out_json(value: Json) -> None:
    """An answer for programs, in ASCII, so that no locale and no terminal can change it."""
    out(json.dumps(value, indent=2, ensure_ascii=True))


def take_lost_output() -> str | None:
    """Why standard output did not take everything, if that matters: a reader that went away had enough.

    Begins anew: the next command line has streams of its own.
    """
    _write(sys.stdout, "")
    lost = _lost[0] if _lost else None
    _broken.clear()
    _lost.clear()
    return lost


def _write(stream: TextIO | None, text: str) -> None:
    """Never raises for a stream that is closed or full: a job must not fail because nobody listens."""
    if stream is None or id(stream) in _broken:
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _broken.add(id(stream))
    except (OSError, ValueError) as why:
        _broken.add(id(stream))
        if stream is sys.stdout:
            _lost.append(str(why))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be; put names last, their width is nobody's guess."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for row in (head, *rows):
        cells = [*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]
        out("  ".join(cells).rstrip())


def facts(pairs: Mapping[str, str]) -> None:
    """Names and values below each other."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        out(f"{name.ljust(width)}  {value}")


def plural(count: int, one: str, more: str = "") -> str:
    """`1 clip`, `3 clips`, `1,000 frames`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def size(count: int) -> str:
    """Bytes as people say them: `734 kB`, `12.3 GB`, powers of 1000."""
    unit, per = next(((u, p) for u, p in _UNITS if count >= p), ("bytes", 1))
    if per == 1:
        return plural(count, "byte")
    tenths = (count * 10 + per // 2) // per
    return f"{tenths // 10}.{tenths % 10} {unit}" if tenths < 1000 else f"{(tenths + 5) // 10:,} {unit}"


_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def duration(milliseconds: int) -> str:
    """`2.4 s`, `3:07`, `1:02:45`."""
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds}.{milliseconds % 1000 // 100} s"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def thousandths(value: int | None) -> str:
    """`23.9`, or nothing where it is not known."""
    return "" if value is None else f"{value // 1000}.{value % 1000 // 100}"


def last_part(uri: str) -> str:
    """The last part of a place, safe to print."""
    return safe(uri.rstrip("/").rpartition("/")[2])


def short_id(job_id: str) -> str:
    """How a job is called among others: enough of its id to be the only one in any store."""
    return job_id[:12]
