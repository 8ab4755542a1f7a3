"""A ground in a bucket, reached through a faulty proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.objects.fault import Proxy, proxying
from tests.objects.fixtures import new_ground
from tests.objects.ground import Ground


@dataclass(frozen=True)
class Way:
    """A ground that is reached through the proxy."""

    ground: Ground
    proxy: Proxy


@pytest.fixture(params=["moto", "rgw"])
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    made = new_ground(request, request.param, tmp_path)
    with proxying(made.endpoint.url) as proxy:
        ground = replace(made, url=proxy.url)
        for name, value in ground.environment.items():
            monkeypatch.setenv(name, value)
        yield Way(ground, proxy)
