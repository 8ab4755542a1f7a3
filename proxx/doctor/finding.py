"""What a look at a machine found: one thing, right or wrong, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from proxx.contracts.error_bases import ProxxError


@dataclass(frozen=True)
class Finding:
    """One thing looked at. remedy: what to do; where `ok` it is advice, mostly empty."""

    area: str
    ok: bool
    sentence: str
    remedy: str = ""


def failed(area: str, why: ProxxError | OSError) -> Finding:
    if isinstance(why, ProxxError):
        detail = f" ({why.detail})" if why.detail else ""
        return Finding(area, False, f"{why.code}: {why.message}{detail}", why.remedy)
    return Finding(area, False, f"{why.strerror}: {why.filename}.", "Mend what the system says, then ask again.")


def size_words(count: int) -> str:
    """Whole units of 1024, rounded down."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 10_240:
            return f"{count} {unit}"
        count //= 1024
    return f"{count} GiB"
