"""The exit status of `proxx submit` when several would be right."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import pytest
from proxx_flows.cli.submitting import GRAVEST, gravest_status
from proxx_flows.common import errors as flow_errors

from proxx.console.exit_status import BUG, ENVIRONMENT, INTERRUPTED
from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors_by_code import ERROR_CLASSES

FLOW_ERRORS: Final = [
    kind for kind in vars(flow_errors).values() if isinstance(kind, type) and issubclass(kind, ProxxError)
]
STATUSES: Final = sorted(
    {kind.status for kind in (*ERROR_CLASSES.values(), *FLOW_ERRORS)} | {BUG, ENVIRONMENT, INTERRUPTED}
)
"""Every exit status of a failure that the product has."""


def test_every_status_of_the_product_is_ranked() -> None:
    assert sorted(GRAVEST) == [0, *STATUSES]
    assert STATUSES == [1, 2, 3, 4, 5, 6, 70, 130]


@pytest.mark.parametrize("status", STATUSES)
def test_a_failure_never_becomes_success(status: int) -> None:
    assert gravest_status({status}) == status
    assert gravest_status({0, status}) == status


def test_of_two_statuses_the_graver_one_is_reported() -> None:
    for graver, other in combinations(GRAVEST, 2):
        assert gravest_status({graver, other}) == graver


def test_an_unknown_status_is_graver_than_every_known_one() -> None:
    assert gravest_status({99, *GRAVEST}) == 99
    assert gravest_status({99, 100, 0}) == 100


def test_no_failure_is_success() -> None:
    assert gravest_status(()) == 0
    assert gravest_status({0}) == 0
