"""Prefect's client within the commands of `proxx`: it prints nothing and sends no telemetry."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from proxx_flows.common.errors import PrefectUnreachable


@contextmanager
def prefect_quiet() -> Iterator[None]:
    """Silences Prefect during the block. Enter it before the process first imports Prefect, which prints a notice.

    Raises PrefectUnreachable if Prefect's settings cannot be read; its own error would print passwords.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # the commands report what matters
    try:
        try:
            import proxx_flows.common.api  # noqa: F401
        except ValueError:
            raise PrefectUnreachable(message="Prefect's settings on this machine cannot be read.") from None
        yield
    finally:
        logging.disable(before)
