"""Prefect's client as a part of our commands: it says nothing on the terminal and reports nobody's use."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from proxx_flows.common.errors import PrefectUnreachable


@contextmanager
def prefect_quiet() -> Iterator[None]:
    """To be entered before the process first imports Prefect: its notice about telemetry comes with that.

    Raises PrefectUnreachable where its settings cannot be read; its own error would print them, passwords too.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what matters of it our own sentences tell
    try:
        try:
            import proxx_flows.common.api  # noqa: F401
        except ValueError:
            raise PrefectUnreachable(message="Prefect's settings on this machine cannot be read.") from None
        yield
    finally:
        logging.disable(before)
