"""Values as text for people: sizes, durations, counts, names.

A file name can hold terminal escapes, line ends or right-to-left overrides. `safe` makes them visible and harmless.
"""

from __future__ import annotations

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def safe(text: object) -> str:
    r"""Returns `text` on one line, with each unprintable character as its escape (`\x1b`, `\n`, `\u202e`)."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in str(text)
    )


def plural(count: int, one: str, more: str = "") -> str:
    """Returns a count with its noun: `1 clip`, `3 clips`, `1,000 frames`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def size(count: int) -> str:
    """Returns a number of bytes as `734 kB` or `12.3 GB`; units are powers of 1000."""
    unit, per = next(((u, p) for u, p in _UNITS if count >= p), ("bytes", 1))
    if per == 1:
        return plural(count, "byte")
    tenths = (count * 10 + per // 2) // per
    return f"{tenths // 10}.{tenths % 10} {unit}" if tenths < 1000 else f"{(tenths + 5) // 10:,} {unit}"


def duration(milliseconds: int) -> str:
    """Returns milliseconds as `2.4 s`, `3:07` or `1:02:45`."""
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds}.{milliseconds % 1000 // 100} s"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def thousandths(value: int | None) -> str:
    """Returns thousandths as a number with one decimal, `23.9` for 23976; "" for None."""
    return "" if value is None else f"{value // 1000}.{value % 1000 // 100}"


def last_part(uri: str) -> str:
    """Returns the last part of a path or URL, safe to print."""
    return safe(uri.rstrip("/").rpartition("/")[2])


def short_id(job_id: str) -> str:
    """Returns the first 12 characters of a job id: enough to be unique in any store."""
    return job_id[:12]
