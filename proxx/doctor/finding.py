"""The result of one check of a machine: what was checked, whether it is right, and what to do if not."""

from __future__ import annotations

from dataclasses import dataclass

from proxx.contracts.error_bases import ProxxError


@dataclass(frozen=True)
class Finding:
    """The outcome of one check. sentence: what was found. remedy: what to do; if `ok`, optional advice."""

    area: str
    ok: bool
    sentence: str
    remedy: str = ""


def failed_finding(area: str, error: ProxxError | OSError) -> Finding:
    """Returns the finding for a check that raised `error`."""
    if isinstance(error, ProxxError):
        detail = f" ({error.detail})" if error.detail else ""
        return Finding(area, False, f"{error.code}: {error.message}{detail}", error.remedy)
    remedy = "Fix this file system error, then run the check again."
    return Finding(area, False, f"{error.strerror}: {error.filename}.", remedy)


def size_words(count: int) -> str:
    """Returns a number of bytes in whole units of 1024, rounded down."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 10_240:
            return f"{count} {unit}"
        count //= 1024
    return f"{count} GiB"
