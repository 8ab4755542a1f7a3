"""The servers of the tests: where they listen, which objects stay when they end, and that they end."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import botocore.exceptions
import psutil
import pytest

from tests.objects.process import program
from tests.objects.rgw import Rgw, running_rgw


def test_the_objects_stay_when_the_gateway_ends(rgw: Rgw) -> None:
    mine = rgw.as_user(rgw.user("stays")).bucket("stays").make()
    mine.put("key", b"1")
    for end in (rgw.stop, rgw.kill):
        end()
        try:
            with pytest.raises(botocore.exceptions.ConnectionError):
                mine.get("key")
        finally:
            rgw.start()
        assert mine.get("key") == b"1"


def test_the_gateway_listens_at_the_given_address(tmp_path: Path) -> None:
    with running_rgw(tmp_path / "rgw", address="127.0.0.9") as rgw:
        assert rgw.endpoint.startswith("http://127.0.0.9:")
        bucket = rgw.as_user(rgw.user("someone")).bucket("bucket").make()
        assert bucket.keys() == []
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", rgw.port), timeout=10)


HOLDER: Final = """
import sys
from pathlib import Path
from typing import Final
from tests.objects.moto import running_moto
from tests.objects.rgw import running_rgw
folder = Path(sys.argv[1])
with running_rgw(folder / "rgw") as rgw, running_moto(folder / "moto"):
    print("up", flush=True)
    sys.stdin.read()
"""


def test_the_servers_end_with_a_session_that_is_killed(tmp_path: Path) -> None:
    repo = Path(__file__).parents[2]
    session = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"up\n"
        servers = psutil.Process(session.pid).children(recursive=True)
        assert {one.name() for one in servers} >= {"ceph-mon", "ceph-osd", "radosgw"}
        session.kill()
    gone, left = psutil.wait_procs(servers, timeout=60)
    assert len(gone) == 4
    assert not left


def test_a_missing_program_skips_the_test_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="RADOSGW ABSENT"):
        program("radosgw", "radosgw")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install radosgw"):
        program("radosgw", "radosgw")
