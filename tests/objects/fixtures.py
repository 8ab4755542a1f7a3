"""What tests on object stores share: each server once a session, started when the first test asks for it.

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


@pytest.fixture
def spoken_to(object_server: Endpoint, object_proxy: Proxy) -> Iterator[Proxy]:
    """The environment says that the server is where `object_proxy` is."""
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
    """A way to one server after the other, to be broken; whole again afterwards."""
    found: Line = request.getfixturevalue(f"{request.param}_line")
    found.way.forget()
    yield found
    found.way.forget()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """One kind of store after the other."""
    if request.param in ("moto", "rgw"):
        found: Kind = request.getfixturevalue(f"{request.param}_kind")
        return found
    return Kind(request.param, tmp_path)


@pytest.fixture
def new_store(kind: Kind) -> Callable[[], Store]:
    """Each call gives another store, made and empty but for its store.json."""
    return kind.new


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    """A store of each kind, made and empty but for its store.json."""
    return new_store()


@pytest.fixture(scope="session")
def rgw_owner(rgw: Rgw) -> Endpoint:
    """A user who has the buckets of all grounds: making one takes longer than a test's own requests."""
    return rgw.as_user(rgw.user(_fresh("owner")))


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Folders, then a bucket of moto, then one of Ceph; this process finds them as any process does."""
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


def _fresh(what: str) -> str:
    return f"{what}-{secrets.token_hex(6)}"
