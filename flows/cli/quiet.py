"""Prefect's client as a part of our commands: it says nothing on the terminal and reports nobody's use."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def prefect_quiet() -> Iterator[None]:
    """To be entered before the process first imports Prefect: its notice about telemetry comes with that."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what matters of it our own sentences tell
    try:
        yield
    finally:
        logging.disable(before)
