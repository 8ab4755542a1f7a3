"""Which errors end a submission, and which refuse one job only."""

from __future__ import annotations

from typing import Final

from proxx_flows.common import errors as flow_errors
from proxx_flows.common.errors import ServerNotStarted
from proxx_flows.submission.submit import SYSTEMIC

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import ReproduceIncomplete, StoreDamaged
from proxx.contracts.errors_by_code import ERROR_CLASSES

ENVIRONMENT: Final = 6
NEVER: Final = {ReproduceIncomplete, ServerNotStarted}
"""Errors of other verbs: a submission cannot raise them."""


def test_every_error_of_the_environment_is_systemic_or_about_one_job() -> None:
    """An error class with exit status 6 that is new has to be sorted into one of the two."""
    flow_kinds = [
        kind for kind in vars(flow_errors).values() if isinstance(kind, type) and issubclass(kind, ProxxError)
    ]
    kinds = {kind for kind in (*ERROR_CLASSES.values(), *flow_kinds) if kind.status == ENVIRONMENT}
    assert kinds == {*SYSTEMIC, StoreDamaged, *NEVER}
