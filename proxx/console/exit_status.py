"""Exit statuses of the command that no error class carries; errors of `proxx.contracts.errors` have their own."""

from __future__ import annotations

from typing import Final

ENVIRONMENT: Final = 6
BUG: Final = 70
"""EX_SOFTWARE of sysexits.h."""

INTERRUPTED: Final = 130
"""128 + SIGINT: interrupted by Ctrl-C before anything was begun."""
