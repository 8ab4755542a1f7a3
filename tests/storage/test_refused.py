"""Unusable storage is refused before any encode, with every problem and without any credential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Final

import pytest

from proxx.contracts.job import JobSpec
from proxx.contracts.output_names import DEFAULT_TEMPLATE
from proxx.store.attempts import read_attempts
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from proxx.store.registration import is_registered
from proxx.store.status import job_status
from tests.cli.command import Answer, environment, proxx
from tests.objects import rules
from tests.objects.endpoint import Bucket, Endpoint, Keys
from tests.objects.fault import proxying
from tests.objects.ground import Ground
from tests.objects.rgw import Rgw
from tests.support.jobs import create, half_second, write_spec

NO_PROFILE: Final = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}


@dataclass(frozen=True)
class Bench:
    """A job with sources and outputs in two buckets of Ceph, and a store in a folder, which always works."""

    root: Path
    user: str
    endpoint: Endpoint
    media: Bucket
    proxies: Bucket
    job: JobSpec

    @property
    def store(self) -> FileStore:
        return FileStore(self.root / "store")

    def environment(self, endpoint: Endpoint | None = None, roots: Mapping[str, str] | None = None) -> dict[str, str]:
        targets = {"media": self.media.url, "proxies": self.proxies.url, **(roots or {})}
        return {
            **(endpoint or self.endpoint).environment,
            **NO_PROFILE,
            "PROXX_STORE": str(self.root / "store"),
            "PROXX_ROOTS": ";".join(f"{name}={target}" for name, target in targets.items()),
        }

    def run(self, here: Mapping[str, str], attempt: int = 1) -> Answer:
        """Runs the real command in a process with this environment and no other setting of object storage."""
        spec = write_spec(self.job, self.root / "job.json")
        kept = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
        return proxx("run", spec, "--json", "--attempt", attempt, env={**kept, **here})

    def everything_written(self) -> bytes:
        """Returns the bytes of all files of the store, and of the spec."""
        return b"".join(path.read_bytes() for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def bench(rgw: Rgw, tmp_path: Path) -> Bench:
    user = f"bench-{token_hex(4)}"
    endpoint = rgw.as_user(rgw.user(user))
    media, proxies = (endpoint.bucket(f"{name}-{token_hex(4)}").make() for name in ("media", "proxies"))
    (tmp_path / "store").mkdir()
    for name in ("media", "proxies"):
        (tmp_path / "local" / name).mkdir(parents=True)
    job = Ground("file", tmp_path / "local").job(clips=2)
    for path in (tmp_path / "local" / "media").iterdir():
        media.put(path.name, path.read_bytes())
    return Bench(tmp_path, user, endpoint, media, proxies, job)


def refused(
    bench: Bench, here: Mapping[str, str], *causes: tuple[str, str], left: Sequence[str] = (), before: int = 0
) -> None:
    """Checks that the run is refused.

    causes: URL of the bucket and code of each problem. left: keys in the output bucket. before: earlier refusals.
    """
    answer = bench.run(here)
    assert (answer.status, answer.code) == (6, "STORAGE_REFUSED"), answer.out + answer.err
    problems = answer.json["error"]["problems"]
    assert [(problem["path"].rstrip("/"), problem["code"]) for problem in problems] == list(causes)
    assert all(problem["message"].endswith(".") and problem["remedy"].endswith(".") for problem in problems)
    assert read_attempts(bench.store, bench.job.job_id) == ()
    assert not is_registered(bench.store, bench.job.job_id)
    assert bench.proxies.keys() == list(left)
    refusals = job_status(bench.store, bench.job.job_id).refusals
    assert len(refusals) == before + 1
    assert all(f"{url}" in (refusals[-1].detail or "") for url, _ in causes)
    no_credential(bench, here, answer)


def no_credential(bench: Bench, here: Mapping[str, str], answer: Answer) -> None:
    everything = bench.everything_written() + answer.out.encode() + answer.err.encode()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert name not in here or here[name].encode() not in everything, name


def test_usable_storage_is_accepted_and_the_trial_is_deleted(bench: Bench) -> None:
    here = bench.environment()
    answer = bench.run(here)
    assert answer.status == 0, answer.out
    assert bench.proxies.keys() == ["clip0.mov", "clip1.mov"]
    no_credential(bench, here, answer)


def test_read_only_keys(bench: Bench, rgw: Rgw) -> None:
    reader = rgw.as_user(rgw.user(bench.user, read_only=True))
    refused(bench, bench.environment(reader), (bench.proxies.url, "DENIED"))


def test_a_bucket_policy_that_denies_writing(bench: Bench, rgw: Rgw) -> None:
    for bucket in (bench.media, bench.proxies):
        things = [f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.name}/*"]
        reading = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"]}
        bucket.set_policy([{**reading, "Resource": things}])
    other = rgw.as_user(rgw.user(f"reader-{token_hex(4)}"))
    refused(bench, bench.environment(other), (bench.proxies.url, "DENIED"))


def test_a_policy_that_denies_one_folder_of_two(bench: Bench, rgw: Rgw, tmp_path: Path) -> None:
    """It is reported before the first clip is made."""
    ground = Ground("file", tmp_path / "local")
    sources = ("media:/cards/A001/a.mov", "media:/cards/B001/b.mov", "media:/cards/B001/c.mov")
    for number, source in enumerate(sources):
        data = half_second(source[-5:], f"03:00:0{number}:00").read_bytes()
        ground.put(source, data)
        bench.media.put(source.removeprefix("media:/"), data)
    card = ("media:/cards",)
    job = create(card, "proxies:/", "prores_proxy_half", places=ground.places(), template=DEFAULT_TEMPLATE)
    two = replace(bench, job=job)
    policy = {"Effect": "Allow", "Principal": "*"}
    bench.media.set_policy([{**policy, "Action": "s3:*", "Resource": things(bench.media, "", "/*")}])
    bench.proxies.set_policy([{**policy, "Action": "s3:*", "Resource": things(bench.proxies, "", "/A001/*")}])
    other = rgw.as_user(rgw.user(f"half-{token_hex(4)}"))
    refused(two, two.environment(other), (f"{bench.proxies.url}/B001", "DENIED"))


def things(bucket: Bucket, *parts: str) -> list[str]:
    return [f"arn:aws:s3:::{bucket.name}{part}" for part in parts]


def test_a_quota_that_is_used_up(bench: Bench, rgw: Rgw) -> None:
    bench.proxies.put("filler", bytes(100_000))
    rgw.user(bench.user, quota_bytes=100_000)
    refused(bench, bench.environment(), (bench.proxies.url, "FULL"), left=["filler"])


def test_all_missing_buckets_are_reported_at_once(bench: Bench) -> None:
    gone = {name: f"s3://gone-{token_hex(4)}" for name in ("media", "proxies")}
    refused(bench, bench.environment(roots=gone), *((url, "NO_BUCKET") for url in gone.values()))
    one = {"media": gone["media"]}
    refused(bench, bench.environment(roots=one), (gone["media"], "NO_BUCKET"), before=1)


@pytest.mark.parametrize("what", ["none", "secret", "key"])
def test_credentials(bench: Bench, what: str) -> None:
    keys = bench.endpoint.keys
    wrong = {"secret": Keys(keys.access, keys.secret[::-1]), "key": Keys(keys.access[::-1], keys.secret)}
    here = bench.environment(bench.endpoint.to(wrong.get(what, keys)))
    if what == "none":
        here = {
            name: value for name, value in here.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        }
    cause = "NO_CREDENTIALS" if what == "none" else "CREDENTIALS_REFUSED"
    refused(bench, here, (bench.media.url, cause), (bench.proxies.url, cause))


def test_a_token_that_has_expired(bench: Bench) -> None:
    """Ceph issues none that lives less than 15 minutes, so the proxy gives AWS's answer."""
    keys = Keys(bench.endpoint.keys.access, bench.endpoint.keys.secret, "a-session-token-that-is-secret-too")
    with proxying(bench.endpoint.url) as way:
        way.on(rules.Answer(400, "ExpiredToken"), times=None)
        here = bench.environment(bench.endpoint.to(keys).at(way.url))
        refused(bench, here, *((url, "CREDENTIALS_EXPIRED") for url in (bench.media.url, bench.proxies.url)))


def test_a_server_that_cannot_be_reached(bench: Bench) -> None:
    initialize_store(bench.store, resends=0)
    here = bench.environment(bench.endpoint.at("http://127.0.0.1:9"))
    refused(bench, here, *((url, "UNREACHABLE") for url in (bench.media.url, bench.proxies.url)))


def test_storage_that_replaces(bench: Bench) -> None:
    """The trial object is deleted before the second one is sent, so the server accepts it."""
    with proxying(bench.endpoint.url) as way:
        way.on(rules.Before(bench.proxies.delete_all), method="PUT", path=r"/\.proxx-trial-", nth=2)
        here = bench.environment(bench.endpoint.at(way.url))
        refused(bench, here, (bench.proxies.url, "STORAGE_REFUSED"))


def test_a_quota_that_fills_up_during_the_job(bench: Bench, rgw: Rgw) -> None:
    first, second = (len(data) for data in made(bench).values())
    rgw.user(bench.user, quota_bytes=first + second // 2)
    here = bench.environment()
    answer = bench.run(here)
    assert answer.status == 1, answer.out + answer.err
    assert answer.json["stopped"]["code"] == "DISK_FULL"
    assert [clip["status"] for clip in answer.json["clips"]] == ["COMPLETED", "FAILED"]
    assert bench.proxies.keys() == ["clip0.mov"]
    attempt = read_attempts(bench.store, bench.job.job_id)[0]
    (failed,) = [event for event in attempt.events if event.type == "clip.failed"]
    assert "quota" in str(failed.envelope.notes["detail"])
    no_credential(bench, here, answer)
    rgw.user(bench.user, quota_bytes=10 * (first + second))
    assert bench.run(here, attempt=2).status == 0
    assert bench.proxies.contents() == made(bench)


def made(bench: Bench) -> dict[str, bytes]:
    """Returns the proxies of the job as made on folders."""
    root = bench.root / "local"
    if not (root / "proxies/clip1.mov").exists():
        here = bench.environment(roots={name: str(root / name) for name in ("media", "proxies")})
        (root / "store").mkdir()
        assert bench.run({**here, "PROXX_STORE": str(root / "store")}).status == 0
    return {path.name: path.read_bytes() for path in sorted((root / "proxies").iterdir())}
