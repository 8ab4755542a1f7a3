"""Tells whether a progress bar can be drawn."""

from __future__ import annotations

import os
import sys


def on_a_terminal() -> bool:
    """Returns whether standard error is a terminal that can move its cursor."""
    try:
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
    except (OSError, ValueError):
        return False
    return is_terminal and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
