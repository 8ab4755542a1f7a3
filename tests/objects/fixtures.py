"""What tests on object stores share: each server once a session, started when the first test asks for it.

In tests/conftest.py: `pytest_plugins = ["tests.objects.fixtures"]`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.objects.endpoint import Bucket, Endpoint
from tests.objects.fault import Proxy, proxying
from tests.objects.moto import Moto, running_moto
from tests.objects.rgw import Rgw, running_rgw


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rgw]:
    """A real Ceph RGW. Whoever stops it starts it again."""
    with running_rgw(tmp_path_factory.mktemp("rgw") / "cluster") as running:
        yield running


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with running_moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(params=["moto", "rgw"])
def object_server(request: pytest.FixtureRequest) -> Endpoint:
    """One server after the other, as a user of the test's own."""
    if request.param == "moto":
        moto: Moto = request.getfixturevalue("moto")
        return moto.as_user()
    rgw: Rgw = request.getfixturevalue("rgw")
    return rgw.as_user(rgw.user(_fresh("user")))


@pytest.fixture
def bucket(object_server: Endpoint) -> Iterator[Bucket]:
    """A new bucket on the server, empty again afterwards."""
    made = object_server.bucket(_fresh("bucket")).make()
    yield made
    made.delete_all()


@pytest.fixture
def object_proxy(object_server: Endpoint) -> Iterator[Proxy]:
    """A way to the server that can be broken: `object_server.at(object_proxy.url)`."""
    with proxying(object_server.url) as proxy:
        yield proxy


def _fresh(what: str) -> str:
    return f"{what}-{secrets.token_hex(6)}"
