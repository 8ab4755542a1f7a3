"""Clock shifts are parsed, and other texts are refused."""

from __future__ import annotations

import pytest

from tests.cluster.clock import seconds
from tests.cluster.plan import SHIFTS


def test_a_shift_is_parsed_into_seconds() -> None:
    assert [seconds(shift) for shift in SHIFTS] == [18_000, -25_200, 259_200, -2_592_000]
    assert [seconds(shift) for shift in ("+0", "+10m", "-1")] == [0, 600, -1]
    with pytest.raises(AssertionError):
        seconds("5h")
