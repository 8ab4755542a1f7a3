"""Fixtures of tests on object stores. Each server runs once a session and starts with the first test that needs it.

In tests/conftest.py: `pytest_plugins = ["tests.objects.fixtures"]`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxx.store.base import Store
from tests.objects.endpoint import Bucket, Endpoint
from tests.objects.fault import Proxy, proxying
from tests.objects.ground import KINDS as GROUNDS
from tests.objects.ground import Ground
from tests.objects.kinds import KINDS, Kind, connected, speaking_to
from tests.objects.line import Line, lined
from tests.objects.moto import Moto, running_moto
from tests.objects.rgw import Rgw, running_rgw


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rgw]:
    """A real Ceph RGW. A test that stops it must start it again."""
    with running_rgw(tmp_path_factory.mktemp("rgw") / "cluster") as running:
        yield running


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with running_moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(params=["moto", "rgw"])
def object_server(request: pytest.FixtureRequest) -> Endpoint:
    """Each server in turn, as a user of the test's own."""
    if request.param == "moto":
        moto: Moto = request.getfixturevalue("moto")
        return moto.as_user()
    rgw: Rgw = request.getfixturevalue("rgw")
    return rgw.as_user(rgw.user(_fresh("user")))


@pytest.fixture
def bucket(object_server: Endpoint) -> Iterator[Bucket]:
    """A new bucket on the server, emptied afterwards."""
    made = object_server.bucket(_fresh("bucket")).make()
    yield made
    made.delete_all()


@pytest.fixture
def object_proxy(object_server: Endpoint) -> Iterator[Proxy]:
    """A faulty proxy in front of the server: `object_server.at(object_proxy.url)`."""
    with proxying(object_server.url) as proxy:
        yield proxy


@pytest.fixture
def spoken_to(object_server: Endpoint, object_proxy: Proxy) -> Iterator[Proxy]:
    """Sets the environment to reach the server through `object_proxy`."""
    with speaking_to(object_server.at(object_proxy.url)):
        yield object_proxy


@pytest.fixture(scope="session")
def moto_kind(moto: Moto, tmp_path_factory: pytest.TempPathFactory) -> Kind:
    bucket = moto.as_user().bucket(_fresh("stores")).make()
    return Kind("moto", tmp_path_factory.getbasetemp(), bucket, connected(bucket))


@pytest.fixture(scope="session")
def rgw_kind(rgw: Rgw, tmp_path_factory: pytest.TempPathFactory) -> Kind:
    bucket = rgw.as_user(rgw.user(_fresh("user"))).bucket(_fresh("stores")).make()
    return Kind("rgw", tmp_path_factory.getbasetemp(), bucket, connected(bucket))


@pytest.fixture(scope="session")
def moto_line(moto_kind: Kind) -> Iterator[Line]:
    assert moto_kind.bucket is not None
    with lined(moto_kind.bucket) as made:
        yield made


@pytest.fixture(scope="session")
def rgw_line(rgw_kind: Kind) -> Iterator[Line]:
    assert rgw_kind.bucket is not None
    with lined(rgw_kind.bucket) as made:
        yield made


@pytest.fixture(params=["moto", "rgw"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    """A connection through a faulty proxy to each server in turn. The proxy starts and ends without rules."""
    line: Line = request.getfixturevalue(f"{request.param}_line")
    line.way.forget()
    yield line
    line.way.forget()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """Each kind of store in turn."""
    if request.param in ("moto", "rgw"):
        kind: Kind = request.getfixturevalue(f"{request.param}_kind")
        return kind
    return Kind(request.param, tmp_path)


@pytest.fixture
def new_store(kind: Kind) -> Callable[[], Store]:
    """Each call returns a new store, empty except for its store.json."""
    return kind.new


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    """A new store of each kind in turn, empty except for its store.json."""
    return new_store()


@pytest.fixture(scope="session")
def rgw_owner(rgw: Rgw) -> Endpoint:
    """The owner of the buckets of all grounds: creating a user is slower than the requests of a test."""
    return rgw.as_user(rgw.user(_fresh("owner")))


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Folders, a bucket of moto and a bucket of Ceph in turn. The environment of this process leads to them."""
    made = new_ground(request, request.param, tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


def new_ground(request: pytest.FixtureRequest, kind: str, root: Path) -> Ground:
    if kind == "file":
        for name in ("media", "proxies", "store"):
            (root / name).mkdir()
        return Ground(kind, root)
    if kind == "moto":
        moto: Moto = request.getfixturevalue("moto")
        endpoint = moto.as_user()
    else:
        endpoint = request.getfixturevalue("rgw_owner")
    return Ground(kind, root, endpoint.bucket(_fresh("ground")).make())


def _fresh(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(6)}"
