"""The client: credentials and endpoint of the standard chain only, and no feature of a library turned back on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from proxx.contracts.errors import ToolchainMissing
from proxx.s3 import client as module
from proxx.s3.bucket import Bucket
from proxx.s3.client import LIBRARIES, PayloadMismatch, RequestTrace
from tests.cli.command import environment
from tests.objects.kinds import speaking_to
from tests.objects.line import PATIENT, Line
from tests.s3.test_transport import a_wire, answering

CREDENTIALS = """
from fsspec.asyn import sync
from proxx.s3.client import make_file_system, open_client
files = make_file_system(5)
client = sync(files.loop, open_client, files)
keys = client._request_signer._credentials
print(keys.access_key, keys.secret_key, keys.token, client.meta.endpoint_url, client.meta.config.signature_version)
"""
OTHER = "http://elsewhere.invalid"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"FSSPEC_S3_KEY": "other", "FSSPEC_S3_SECRET": "other", "FSSPEC_S3_TOKEN": "other"},
        {"FSSPEC_S3_ENDPOINT_URL": OTHER},
        {"FSSPEC_S3": json.dumps({"anon": True, "client_kwargs": {"endpoint_url": OTHER}})},
        {"FSSPEC_S3_USERNAME": "other", "FSSPEC_S3_PASSWORD": "other"},
        {"FSSPEC_S3_PROFILE": "other"},
        {"FSSPEC_S3A_KEY": "other", "FSSPEC_S3A_SECRET": "other"},
        {"FSSPEC_CONFIG_DIR": "conf"},
    ],
    ids=lambda variables: "-".join(variables) or "none",
)
def test_the_configuration_of_fsspec_has_no_effect(variables: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "conf.json").write_text(json.dumps({"s3": {"key": "other", "endpoint_url": OTHER}}))
    standard = {
        "AWS_ACCESS_KEY_ID": "standard",
        "AWS_SECRET_ACCESS_KEY": "own",
        "AWS_ENDPOINT_URL_S3": "http://server.invalid",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": str(tmp_path),
    }
    process = subprocess.run(
        [sys.executable, "-c", CREDENTIALS],
        env={**environment(**standard), **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stdout.split() == ["standard", "own", "None", "http://server.invalid", "s3v4"], process.stderr


# --- a library that lost a switch ----------------------------------------------------------------------------


@pytest.fixture
def bucket(moto_line: Line) -> Iterator[Bucket]:
    """A bucket reached by a client of its own, which is not created yet."""
    moto_line.way.forget()
    with speaking_to(moto_line.bucket.endpoint.at(moto_line.way.url)):
        yield Bucket(a_wire(PATIENT, 5), moto_line.bucket.name)
    moto_line.way.forget()


def refused(bucket: Bucket, reason: str) -> None:
    """A first request is refused for the reason, with the installed versions, and is not resent."""
    with pytest.raises(ToolchainMissing, match=reason) as caught:
        bucket.head("key")
    assert (caught.value.code, caught.value.status) == ("TOOLCHAIN_MISSING", 6)
    for library in LIBRARIES:
        assert f"{library} {version(library)}" in str(caught.value)
    assert bucket.wire.journal.take() == ()


def test_the_installed_libraries_have_every_switch(bucket: Bucket) -> None:
    assert bucket.head("key") is None
    bucket.create("created-by-test-client", b"1", "nonce")
    bucket.remove_own("created-by-test-client")


def test_settings_that_s3fs_adds_are_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.spec.apply_config", lambda _, options: {**options, "key": "other"})
    refused(bucket, "s3fs applied settings of its own configuration")


def test_a_file_system_without_set_session_is_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("s3fs.S3FileSystem.set_session")
    refused(bucket, "S3FileSystem has no set_session")


def test_an_http_session_without_its_hook_is_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("aiobotocore.httpsession.AIOHTTPSession._get_session")
    refused(bucket, "AIOHTTPSession has no _get_session")


def test_a_client_without_events_is_refused() -> None:
    class FileSystem:
        async def set_session(self) -> object:
            return object()

    with pytest.raises(ToolchainMissing, match=r"no meta\.events\.register_last"):
        asyncio.run(module.open_client(FileSystem()))


def test_aiohttp_without_the_switch_for_resends_is_refused() -> None:
    trace = RequestTrace(operations=1)

    async def request() -> None:
        module.current_trace.set(trace)
        await module._PlainSession(object()).request("GET")

    with pytest.raises(ToolchainMissing, match="ClientSession has no _retry_connection"):
        asyncio.run(request())
    assert trace.requests == 0


def test_an_http_session_that_is_not_used_is_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if botocore ignored `http_session_cls`."""
    from aiobotocore.httpsession import AIOHTTPSession

    monkeypatch.setattr(module, "_plain_http_session", lambda: AIOHTTPSession)
    with pytest.raises(ToolchainMissing, match="1 operations and 0 requests passed the hooks"):
        list(bucket.pages("no-such-prefix/"))


def test_an_event_that_is_not_raised_is_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if botocore had renamed the event: nothing is sent."""
    monkeypatch.setattr(module, "_begin_operation", lambda **_: None)
    refused(bucket, "it would send a request a second time, or its events are not connected")


def test_a_redirect_of_botocore_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if botocore no longer looked at the mark that the hook leaves."""

    def only_count(**_: object) -> None:
        trace = module.current_trace.get()
        assert trace is not None
        trace.begin_operation()

    monkeypatch.setattr(module, "_begin_operation", only_count)
    headers = {"Content-Type": "application/xml", "x-amz-bucket-region": "eu-west-1"}
    body = b"<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1:9</Endpoint></Error>"
    with answering(301, headers, body) as (server, requests), speaking_to(server):
        with pytest.raises(ToolchainMissing, match="it would send a request a second time"):
            list(Bucket(a_wire(PATIENT, 5), "bucket").pages("a/"))
        assert len(requests) == 1


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("signed", ["", "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_a_body_that_is_not_signed_is_not_sent(method: str, signed: str) -> None:
    trace = RequestTrace(operations=1)
    with pytest.raises(ToolchainMissing, match="the body of a request is not signed"):
        trace.admit_request(method, signed)
    assert trace.requests == 0


def test_a_body_that_is_signed_for_other_bytes_is_not_sent() -> None:
    trace = RequestTrace(operations=1, payload=f"sha256:{'a' * 64}")
    with pytest.raises(PayloadMismatch, match=f"sha256:{'b' * 64} instead of sha256:{'a' * 64}"):
        trace.admit_request("PUT", "b" * 64)
    assert trace.requests == 0
