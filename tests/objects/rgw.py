"""A Ceph RGW for the session: a monitor, one OSD that keeps everything in memory, and the gateway that speaks S3."""

from __future__ import annotations

import json
import secrets
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.objects.endpoint import Endpoint, Keys, client
from tests.objects.process import Daemon, free_port, listens, program, run

INSIDE: Final = "127.0.0.1"  # the address of monitor and OSD, whatever the gateway's is

CONF: Final = """\
[global]
fsid = {fsid}
mon_host = v2:{inside}:{monitor}
mon_initial_members = a
public_addr = {inside}
ms_bind_msgr1 = false
keyring = {folder}/keyring
run_dir = {folder}
admin_socket =
pid_file =
log_file = {folder}/$name.log
log_to_stderr = false
err_to_stderr = true
crash_dir = {folder}
mon_data = {folder}/mon
osd_data = {folder}/osd
rgw_data = {folder}/rgw
osd_class_dir = {classes}
# One copy and one placement group in each pool: the least to create and to wait for.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
rgw_rados_pool_pg_num_min = 1
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
# Otherwise each change of the cluster map waits a second.
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
osd_objectstore = memstore
memstore_device_bytes = 17179869184
rgw_frontends = beast endpoint={address}:{port} tcp_nodelay=1
rgw_thread_pool_size = 64
# Deleted objects free their memory soon, not after hours.
rgw_gc_obj_min_wait = 2
rgw_gc_processor_period = 5
# A quota counts the current objects, not those of minutes ago.
rgw_bucket_quota_ttl = 0
# A killed gateway is forgotten soon: creating a user waits for that.
objecter_tick_interval = 0.5
osd_client_watch_timeout = 3
"""
TOKENS: Final = """\
rgw_s3_auth_use_sts = true
rgw_sts_key = {key}
"""
ALL_OF_S3: Final = {"Effect": "Allow", "Action": ["s3:*", "sts:*"], "Resource": "*"}


class Rgw:
    """One cluster and its gateway. `stop`, `kill` and `start` act on the gateway: the objects stay.

    tokens: it issues session tokens and checks them. Then it answers AccessDenied to an unknown key.
    """

    def __init__(self, folder: Path, address: str = INSIDE, *, tokens: bool = False) -> None:
        self._programs = {
            name: program(name, "radosgw ceph-mon ceph-osd ceph-common")
            for name in ("radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool")
        }
        self.folder = folder
        self.address = address
        self.port = free_port(address)
        self.endpoint = f"http://{address}:{self.port}"
        self._tokens = tokens
        self._users: set[str] = set()
        self._cluster: list[Daemon] = []
        self._gateway: Daemon | None = None

    def start_cluster(self) -> None:
        """Starts monitor and OSD. Nothing waits for them here: the gateway does."""
        self.folder.mkdir(parents=True)
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()
        fsid, disk, monitor = str(uuid.uuid4()), str(uuid.uuid4()), free_port(INSIDE)
        classes = next(iter(sorted(Path("/usr/lib").glob("*/rados-classes"))), "")
        text = CONF.format(
            fsid=fsid, folder=self.folder, inside=INSIDE, monitor=monitor, address=self.address, port=self.port,
            classes=classes,
        )  # fmt: skip
        self._conf.write_text(text + (TOKENS.format(key=secrets.token_hex(8)) if self._tokens else ""))
        self._make_keyring()
        self._do("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:{INSIDE}:{monitor}]", "monmap")
        self._do("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        self._cluster.append(self._run("ceph-mon", "-f", "-i", "a"))
        self._do("ceph", "osd", "new", disk)
        self._do("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._cluster.append(self._run("ceph-osd", "-f", "-i", "0"))

    def start(self) -> None:
        """Returns when the gateway accepts requests."""
        self._gateway = self._run("radosgw", "-f", "-n", "client.rgw")
        self._gateway.until(lambda: listens(self.address, self.port), "the gateway listens")

    def stop(self) -> None:
        """Ends the gateway cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the gateway as a crash does."""
        self._end(signal.SIGKILL)

    def end(self) -> None:
        self.kill()
        for daemon in reversed(self._cluster):
            daemon.end()

    @property
    def pid(self) -> int:
        """The process id of the gateway."""
        assert self._gateway is not None, "the gateway does not run"
        return self._gateway.pid

    def user(
        self, name: str, *, read_only: bool = False, quota_bytes: int | None = None, quota_objects: int | None = None
    ) -> Keys:
        """Returns new keys of the user, who is created if absent.

        read_only: the keys see everything the user sees and can write nothing. Quotas apply to each bucket.
        """
        keys = Keys(f"AK{secrets.token_hex(9).upper()}", secrets.token_urlsafe(30).replace("-", "x"))
        chosen = (f"--access-key={keys.access}", f"--secret-key={keys.secret}")
        uid = f"--uid={name}"
        if name not in self._users:
            self._admin("user", "create", uid, f"--display-name={name}", *(() if read_only else chosen))
            self._users.add(name)
        elif not read_only:
            self._admin("key", "create", uid, "--key-type=s3", *chosen)
        if read_only:
            subuser = f"--subuser={name}:{keys.access.lower()}"
            self._admin("subuser", "create", uid, subuser, "--access=read", "--key-type=s3", *chosen)
        self._limit(uid, quota_bytes, quota_objects)
        return keys

    def temporary(self, name: str) -> Keys:
        """Returns keys with a session token, valid for at least 15 minutes. Needs a server with tokens."""
        user = self.as_user(self.user(name))
        self._admin("caps", "add", f"--uid={name}", "--caps=user-policy=*")
        policy = json.dumps({"Version": "2012-10-17", "Statement": [ALL_OF_S3]})
        client(user, "iam").put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
        issued = client(user, "sts").get_session_token()["Credentials"]
        return Keys(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])

    def as_user(self, keys: Keys) -> Endpoint:
        return Endpoint("rgw", self.endpoint, keys)

    @property
    def _conf(self) -> Path:
        return self.folder / "ceph.conf"

    def _limit(self, uid: str, size: int | None, objects: int | None) -> None:
        if size is None and objects is None:
            return
        limits = [f"--max-size={size}" if size is not None else "", f"--max-objects={objects}" if objects else ""]
        self._admin("quota", "set", "--quota-scope=bucket", uid, *filter(None, limits))
        self._admin("quota", "enable", "--quota-scope=bucket", uid)

    def _admin(self, *arguments: str) -> None:
        self._do("radosgw-admin", *arguments)

    def _make_keyring(self) -> None:
        """Creates one file with the keys of all daemons; the monitor takes its users from it."""
        everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
        for name in ("mon.", "client.admin", "client.rgw", "osd.0"):
            create = ("--create-keyring",) if name == "mon." else ()
            self._do("ceph-authtool", "keyring", *create, "--gen-key", "-n", name, *everything)

    def _do(self, name: str, *arguments: str) -> str:
        plain = name in ("monmaptool", "ceph-authtool")
        return run([self._programs[name], *(() if plain else ("-c", str(self._conf))), *arguments], self.folder)

    def _run(self, name: str, *arguments: str) -> Daemon:
        return Daemon([self._programs[name], "-c", str(self._conf), *arguments], self.folder / f"{name}.output")

    def _end(self, number: signal.Signals) -> None:
        if self._gateway is not None:
            self._gateway.end(number)
            self._gateway = None


@contextmanager
def running_rgw(folder: Path, address: str = INSIDE, *, tokens: bool = False) -> Iterator[Rgw]:
    """Runs a gateway at the address while the block runs. The folder must not exist."""
    rgw = Rgw(folder, address, tokens=tokens)
    try:
        rgw.start_cluster()
        rgw.start()
        yield rgw
    finally:
        rgw.end()
