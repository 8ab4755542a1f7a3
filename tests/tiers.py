"""Puts each test into one tier: quick (the default), servers, long, hosts or bench. CONTRIBUTING.md has the table.

The tier follows from what a test uses and where it stands, so that no test has to remember it: a server it starts
makes it `servers`, a folder of long tests makes it `long`. `bench` is written at the modules. `quick`, written at a
test, keeps it in the quick tier all the same: the flow run that every change is tried with.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

SERVERS: Final = frozenset(
    {"moto", "rgw", "moto_kind", "rgw_kind", "object_server", "server", "prefect", "pool", "on_postgresql"}
)
"""Fixtures that start a server, or stand on one that does."""

SERVER_FILES: Final = (
    "tests/flows/test_demo.py",
    "tests/flows/test_embedding.py",
    "tests/flows/test_operator.py",
    "tests/objects/",
)
"""Tests that start servers by commands, as people do."""

LONG: Final = (
    *("tests/faults/", "tests/media/", "tests/scale/", "tests/storage/"),
    *("tests/property/test_protocol", "tests/property/test_job.py"),
    *("tests/cli/test_run.py", "tests/cli/test_reproduce.py", "tests/proof/test_upgrade.py"),
    *("tests/clauses/test_table.py", "tests/clauses/test_clauses.py", "tests/flows/test_removal.py"),
    "tests/create/test_jobs.py::test_every_real_file",
    "tests/doctor/test_golden.py::test_the_same_bytes_on_other_cpus",
    "tests/ffmpeg/test_probe.py::test_counts_of_camera_files",
)
"""Tests that together take many minutes: every stop, every combination, every CPU level."""

_ON_A_SERVER: Final = re.compile(r"[\[-](moto|rgw)[-\]]")
"""The part of a test's id that says it runs on object storage."""

_HOSTS: Final = "tests/cluster/"


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks one collected test with its tier."""
    if item.get_closest_marker("bench") or item.get_closest_marker("hosts"):
        return
    on_a_server = _ON_A_SERVER.search(item.name) is not None
    if item.get_closest_marker("quick"):
        if on_a_server:  # the same test on object storage
            item.own_markers = [mark for mark in item.own_markers if mark.name != "quick"]
            item.add_marker(pytest.mark.servers)
    elif item.nodeid.startswith(_HOSTS):
        item.add_marker(pytest.mark.hosts)
    elif on_a_server or uses_a_server(item):
        item.add_marker(pytest.mark.servers)
    elif item.nodeid.startswith(LONG):
        item.add_marker(pytest.mark.long)
    else:
        item.add_marker(pytest.mark.quick)


def uses_a_server(item: pytest.Item) -> bool:
    """Whether the test starts or uses a Prefect server, PostgreSQL or object storage."""
    return item.nodeid.startswith(SERVER_FILES) or bool(frozenset(getattr(item, "fixturenames", ())) & SERVERS)
