"""Puts each test into one tier: quick (the default), servers, long, hosts or bench. CONTRIBUTING.md has the table.

A test that needs a server gets the mark `servers` by the fixtures and parameters it uses, so that no test has to
remember it. `long`, `hosts` and `bench` are written at the test or at the top of its module. `quick`, where it is
written, keeps a test in the quick tier although it uses a server: the flow run that every change is tried with.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

SERVERS: Final = frozenset(
    {"moto", "rgw", "moto_kind", "rgw_kind", "object_server", "server", "prefect", "pool", "on_postgresql"}
)
"""Fixtures that start a server, or stand on one that does."""

_ON_A_SERVER: Final = re.compile(r"[\[-](moto|rgw)[-\]]")
"""The part of a test's id that says it runs on object storage."""

OTHERS: Final = ("servers", "long", "hosts", "bench")


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks one collected test with its tier."""
    if item.get_closest_marker("quick"):
        return
    if uses_a_server(item):
        item.add_marker(pytest.mark.servers)
    if not any(item.get_closest_marker(tier) for tier in OTHERS):
        item.add_marker(pytest.mark.quick)


def uses_a_server(item: pytest.Item) -> bool:
    """Whether the test starts or uses a Prefect server, PostgreSQL or object storage."""
    fixtures = frozenset(getattr(item, "fixturenames", ()))
    return bool(fixtures & SERVERS) or _ON_A_SERVER.search(item.name) is not None
