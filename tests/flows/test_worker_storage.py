"""The worker's check of roots and object storage: each problem is one line, and the worker does not start."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from proxx_flows.worker import check as worker_check

from proxx.store.opening import open_store, store_identity
from tests.objects.endpoint import Bucket, Endpoint
from tests.objects.fault import proxying
from tests.objects.process import free_port
from tests.objects.rgw import Rgw
from tests.objects.rules import Answer

SECRET: Final = "a-secret-that-nobody-may-ever-read"  # noqa: S105  (must not be in any message)


def become(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the environment of this user of this server in the process."""
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the user's own settings and credentials."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("PROXX_STORE", "PROXX_ROOTS", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(worker_check.main, ["--toolchain", "static", *arguments])


def wrong(ended: Result) -> list[str]:
    return [line for line in ended.output.splitlines() if line.startswith("NO")]


def test_a_machine_with_everything_passes(
    object_server: Endpoint, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(object_server, monkeypatch)
    bucket.put("media/rushes/A001.mov", b"1")
    (tmp_path / "cards").mkdir()
    monkeypatch.setenv("PROXX_ROOTS", f"media={bucket.url}/media;proxies={bucket.url}/proxies;cards={tmp_path}/cards")
    store = f"{bucket.url}/store"
    made = check("--store", store, "--make-store", "--resends", "0")
    known = store_identity(open_store(store))
    assert known is not None
    assert (made.exit_code, made.output.splitlines()[0]) == (0, f"{store}: store {known.uuid}."), made.output
    assert known.resends == 0
    again = check("--store", store, "--make-store", "--resends", "3")
    assert again.output.splitlines()[0].endswith(" It existed already: its limit stays at 0 resends.")

    ended = check("--store", store, "--must-exist", "media:/rushes", "--must-write", "proxies:/edit")
    assert ended.exit_code == 0, ended.output
    assert [line for line in ended.output.splitlines() if "s3://" in line or "cards" in line] == [
        f"ok  root media: {bucket.url}/media can be listed.",
        f"ok  root proxies: {bucket.url}/proxies can be listed.",
        f"ok  root cards: {tmp_path}/cards can be listed.",
        f"ok  folder: {bucket.url}/media/rushes/ can be read.",
        f"ok  output: {bucket.url}/proxies/edit: proxies can be published.",
        f"ok  store: {store}: store {known.uuid}, writable, and creates exclusively.",
    ]
    assert bucket.keys("proxies/") == [], "the trial object was removed"

    monkeypatch.delenv("PROXX_ROOTS")
    plain = check("--store", store, "--must-exist", f"{bucket.url}/media", "--must-write", f"{bucket.url}/out")
    assert plain.exit_code == 0, plain.output
    nothing = check("--store", store, "--must-exist", f"{bucket.url}/no", "--must-exist", "s3://x/y")
    assert wrong(nothing) == [
        f"NO  folder: {bucket.url}/no/: there is nothing below it. Check bucket and prefix.",
        "NO  folder: 's3://x/y' does not name a bucket: a bucket name has 3 to 63 lowercase letters, digits, `-` "
        "and `.`. Name a place that this machine has.",
    ]
    empty = check("--store", f"{bucket.url}/other")
    assert wrong(empty) == [
        f"NO  store: There is no store at {bucket.url}/other. Check bucket and prefix. If this is to be a new store: "
        "`python -m proxx_flows.worker.check --make-store`."
    ]


@pytest.mark.clause("T6")
@pytest.mark.parametrize(
    ("roots", "sentence"),
    [
        ("media", "roots: ROOTS_INVALID: The roots cannot be used: media is not a root: write name=/folder"),
        ("media=/nowhere/rushes", "root media: /nowhere/rushes: No such file or directory."),
        ("a=/tmp;b=/tmp", "roots: ROOTS_INVALID: The roots cannot be used: b and a share files"),
    ],
)
def test_roots_that_cannot_be_used_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roots: str, sentence: str
) -> None:
    monkeypatch.setenv("PROXX_ROOTS", roots)
    ended = check("--store", str(tmp_path / "store"), "--make-store")
    assert (ended.exit_code, wrong(ended)[0].startswith(f"NO  {sentence}")) == (6, True), ended.output


def test_a_place_outside_the_roots_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("media", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PROXX_ROOTS", f"media={tmp_path}/media")
    below = check("--store", str(tmp_path / "store"), "--make-store", "--must-write", str(tmp_path / "media"))
    assert below.exit_code == 0, below.output
    ended = check("--store", str(tmp_path / "store"), "--must-exist", str(tmp_path / "other"))
    assert (ended.exit_code, "is below none of the roots of this machine" in wrong(ended)[0]) == (6, True)


def test_resends_need_make_store(tmp_path: Path) -> None:
    assert check("--store", str(tmp_path / "store"), "--resends", "0").exit_code == 2


# --- a machine that would fail its jobs ------------------------------------------------------------------


class Site:
    """A bucket of one user, with a store, rushes and a place for proxies in it."""

    def __init__(self, rgw: Rgw, name: str) -> None:
        self.rgw, self.name = rgw, name
        self.owner = rgw.as_user(rgw.user(name))
        self.bucket = self.owner.bucket(name).make()
        self.bucket.put("rushes/a.mov", b"1")

    def check(self) -> Result:
        """Runs the check for a worker that needs all three."""
        at = self.bucket.url
        return check("--store", f"{at}/store", "--must-exist", f"{at}/rushes", "--must-write", f"{at}/proxies")


@pytest.fixture(scope="module")
def site(rgw: Rgw) -> Site:
    return Site(rgw, "worker-check")


@pytest.fixture
def stocked(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    become(site.owner, monkeypatch)
    assert check("--store", f"{site.bucket.url}/store", "--make-store").exit_code == 0
    return site


def assert_all_three(ended: Result, cause: str) -> None:
    """Checks that each place is one line with the cause, and that the secret is not printed."""
    lines = wrong(ended)
    assert (ended.exit_code, [line.split()[1] for line in lines]) == (6, ["folder:", "output:", "store:"]), lines
    assert all(cause in line for line in lines), lines
    assert SECRET not in ended.output


@pytest.mark.clause("T6")
def test_without_credentials(stocked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert_all_three(stocked.check(), "o credentials were found")


@pytest.mark.clause("T6")
def test_a_wrong_secret(stocked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert_all_three(stocked.check(), "he credentials are refused (SignatureDoesNotMatch")


@pytest.mark.clause("T6")
def test_a_key_that_may_not_write(stocked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    become(stocked.owner.to(stocked.rgw.user(stocked.name, read_only=True)), monkeypatch)
    ended = stocked.check()
    assert wrong(ended) == [
        f"NO  output: {stocked.bucket.url}/proxies: These credentials may not do that (AccessDenied). "
        "Allow it in the bucket's policy or the key's."
    ]


@pytest.mark.clause("T6")
def test_a_policy_without_reading(stocked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that may list and write but not read fail the check, not the first job."""
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{stocked.name}/rushes/*",
    }
    stocked.bucket.set_policy([deny])
    try:
        ended = stocked.check()
    finally:
        stocked.bucket.client.delete_bucket_policy(Bucket=stocked.name)
    (line,) = wrong(ended)
    assert line.startswith(f"NO  folder: {stocked.bucket.url}/rushes/: These credentials may not do that"), line


@pytest.mark.clause("T6")
def test_a_missing_bucket(stocked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    at = "s3://no-such-bucket"
    ended = check("--store", f"{at}/store", "--must-exist", f"{at}/rushes", "--must-write", f"{at}/proxies")
    assert_all_three(ended, "here is no such bucket (NoSuchBucket")


@pytest.mark.clause("T6")
@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "RequestTimeTooSkewed", "his machine's clock and the storage server's differ too much"),
        (403, "ExpiredToken", "he credentials have expired"),
    ],
)
def test_an_error_of_the_storage_server_is_explained(
    stocked: Site, monkeypatch: pytest.MonkeyPatch, status: int, code: str, sentence: str
) -> None:
    with proxying(stocked.owner.url) as proxy:
        proxy.on(Answer(status, code), times=None)
        become(stocked.owner.at(proxy.url), monkeypatch)
        assert_all_three(stocked.check(), sentence)


@pytest.mark.clause("T6")
def test_an_endpoint_that_does_not_answer(stocked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    become(stocked.owner.at(f"http://127.0.0.1:{free_port()}"), monkeypatch)
    assert_all_three(stocked.check(), "he storage server cannot be reached")
