"""Measured facts about the servers of the tests, above all where they differ from S3.

A fact that differs between the two is written as {"moto": …, "rgw": …}. moto checks no keys, no quota, no digest.
"""

from __future__ import annotations

import datetime
import hashlib
import http.client
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

from tests.objects.endpoint import REGION, Bucket, Keys, Refusal, refusal
from tests.objects.rgw import Rgw, running_rgw

MIB = 1 << 20
TAKEN = Refusal(412, "PreconditionFailed")
DENIED = Refusal(403, "AccessDenied")
FULL = Refusal(403, "QuotaExceeded")


def refused(request: Callable[[], object]) -> Refusal | None:
    """Returns the refusal of a request, None if the server executed it."""
    try:
        request()
    except botocore.exceptions.ClientError as error:
        return refusal(error)
    return None


def of(server: Bucket, **facts: Refusal | None) -> Refusal | None:
    return facts[server.endpoint.name]


@pytest.fixture
def mine(rgw: Rgw, request: pytest.FixtureRequest) -> Bucket:
    """A bucket on RGW, its user named after the test."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    return rgw.as_user(rgw.user(name)).bucket(f"bucket-{name}").make()


def user(bucket: Bucket) -> str:
    return bucket.name.removeprefix("bucket-")


def test_a_taken_key(bucket: Bucket) -> None:
    bucket.put("key", b"1", IfNoneMatch="*")
    assert refused(lambda: bucket.put("key", b"2", IfNoneMatch="*")) == TAKEN
    assert refused(lambda: bucket.put("key", b"2", IfMatch='"other"')) == TAKEN
    assert bucket.get("key") == b"1"


@pytest.mark.parametrize("size", [3, 6 * MIB])
def test_twenty_writers_race_for_one_key(bucket: Bucket, size: int) -> None:
    """RGW: exactly one wins, the others get 412. moto checks and then writes, and can answer 500."""
    gate = threading.Barrier(20)

    def put(number: int) -> Refusal | None:
        gate.wait()
        return refused(lambda: bucket.put("key", bytes([number]) * size, IfNoneMatch="*"))

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(put, range(20)))
    won = [number for number, answer in enumerate(answers) if answer is None]
    assert bucket.get("key") in [bytes([number]) * size for number in won]
    if bucket.endpoint.name == "rgw":
        assert Counter(answers) == {None: 1, TAKEN: 19}
    else:
        assert set(answers) <= {None, TAKEN, Refusal(500, "500")}


def test_missing_buckets_and_keys(bucket: Bucket) -> None:
    absent = bucket.endpoint.bucket("absent")
    no_bucket = Refusal(404, "NoSuchBucket")
    assert refused(lambda: absent.put("key", b"")) == no_bucket
    assert refused(lambda: absent.get("key")) == no_bucket
    assert refused(absent.keys) == no_bucket
    assert refused(lambda: bucket.get("key")) == Refusal(404, "NoSuchKey")
    assert absent.head("key") is bucket.head("key") is None  # HEAD has no body that tells them apart


def test_wrong_keys(bucket: Bucket) -> None:
    keys = bucket.endpoint.keys

    def put(other: Keys) -> Refusal | None:
        return refused(lambda: bucket.endpoint.to(other).bucket(bucket.name).put("key", b""))

    assert put(Keys("NOBODY", "x")) == of(bucket, moto=None, rgw=Refusal(403, "InvalidAccessKeyId"))
    assert put(Keys(keys.access, "x")) == of(bucket, moto=None, rgw=Refusal(403, "SignatureDoesNotMatch"))
    assert put(Keys(keys.access, keys.secret, "garbage")) is None  # AWS: InvalidToken


def test_keys_with_a_session_token(tmp_path: Path) -> None:
    with running_rgw(tmp_path / "rgw", tokens=True) as rgw:
        given = rgw.temporary("someone")
        assert given.token is not None
        bucket = rgw.as_user(given).bucket("bucket").make()
        bucket.put("key", b"1")
        assert bucket.get("key") == b"1"
        own = rgw.user("someone")

        def get(keys: Keys) -> Refusal | None:
            return refused(lambda: rgw.as_user(keys).bucket("bucket").get("key"))

        assert get(Keys(given.access, given.secret, given.token[:-8] + "AAAAAAA=")) == DENIED
        assert get(Keys(own.access, own.secret, "garbage")) == DENIED
        assert get(Keys("NOBODY", "x")) == DENIED  # InvalidAccessKeyId on a server without tokens


def test_a_clock_that_is_an_hour_late(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    real = botocore.auth.get_current_datetime
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *a, **k: real(*a, **k) - datetime.timedelta(hours=1)
    )
    skewed = of(bucket, moto=None, rgw=Refusal(403, "RequestTimeTooSkewed"))
    assert refused(lambda: bucket.put("key", b"")) == skewed


def test_a_read_only_user(rgw: Rgw, mine: Bucket) -> None:
    mine.put("key", b"1")
    reader = mine.endpoint.to(rgw.user(user(mine), read_only=True)).bucket(mine.name)
    assert reader.get("key") == b"1"
    assert reader.keys() == ["key"]
    assert refused(lambda: reader.put("key", b"2")) == DENIED
    assert refused(lambda: reader.put("key", b"2", IfNoneMatch="*")) == DENIED  # not 412, though the key is taken
    assert refused(lambda: reader.delete("key")) == DENIED
    assert refused(lambda: reader.client.create_multipart_upload(Bucket=mine.name, Key="new")) == DENIED
    assert mine.get("key") == b"1"


def test_another_user_and_a_policy(rgw: Rgw, mine: Bucket) -> None:
    mine.put("key", b"1")
    other = rgw.as_user(rgw.user(f"{user(mine)}-other")).bucket(mine.name)
    assert refused(lambda: other.get("key")) == DENIED
    assert refused(other.make) == Refusal(409, "BucketAlreadyExists")
    principal = {"AWS": [f"arn:aws:iam:::user/{user(mine)}-other"]}
    things = [f"arn:aws:s3:::{mine.name}", f"arn:aws:s3:::{mine.name}/*"]
    mine.set_policy(
        [{"Effect": "Allow", "Principal": principal, "Action": ["s3:GetObject", "s3:PutObject"], "Resource": things}]
    )
    assert other.get("key") == b"1"
    assert refused(lambda: other.put("key", b"2")) is None
    assert refused(other.keys) == DENIED  # listing is not allowed, so a missing key looks the same
    assert refused(lambda: other.get("none")) == DENIED


def test_a_quota(rgw: Rgw, mine: Bucket) -> None:
    """It is checked for each part, not when an upload is created; an upload that exceeds it stays unfinished."""
    rgw.user(user(mine), quota_bytes=10 * MIB, quota_objects=3)
    mine.put("a", bytes(6 * MIB))
    assert refused(lambda: mine.put("b", bytes(6 * MIB))) == FULL
    upload = mine.client.create_multipart_upload(Bucket=mine.name, Key="b")["UploadId"]
    part = {"Bucket": mine.name, "Key": "b", "UploadId": upload, "PartNumber": 1}
    assert refused(lambda: mine.client.upload_part(**part, Body=bytes(6 * MIB))) == FULL
    assert mine.uploads() == [("b", upload)]
    mine.delete_all()
    for key in "abc":
        mine.put(key, b"")
    assert refused(lambda: mine.put("d", b"")) == FULL
    assert refused(lambda: mine.put("a", b"", IfNoneMatch="*")) == FULL  # not 412, though the key is taken
    assert mine.keys() == ["a", "b", "c"]


def test_completing_an_upload_with_a_condition(bucket: Bucket) -> None:
    """RGW 16 ignores the condition and replaces the object."""
    bucket.put("key", b"there")
    upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="key")["UploadId"]
    named = {"Bucket": bucket.name, "Key": "key", "UploadId": upload}
    tag = bucket.client.upload_part(**named, PartNumber=1, Body=b"mine")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    answer = refused(lambda: bucket.client.complete_multipart_upload(**named, MultipartUpload=parts, IfNoneMatch="*"))
    assert answer == of(bucket, moto=TAKEN, rgw=None)
    assert bucket.get("key") == {"moto": b"there", "rgw": b"mine"}[bucket.endpoint.name]


def test_an_upload_completed_twice_and_aborted(bucket: Bucket) -> None:
    upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="key")["UploadId"]
    named = {"Bucket": bucket.name, "Key": "key", "UploadId": upload}
    tag = bucket.client.upload_part(**named, PartNumber=1, Body=b"mine")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    bucket.client.complete_multipart_upload(**named, MultipartUpload=parts)
    assert refused(lambda: bucket.client.complete_multipart_upload(**named, MultipartUpload=parts)) is None
    assert refused(lambda: bucket.client.abort_multipart_upload(**named)) == Refusal(404, "NoSuchUpload")
    assert bucket.get("key") == b"mine"


def test_metadata_comes_back(bucket: Bucket) -> None:
    given = {"proxx-owner": "A1", "sha256": "0f"}
    bucket.put("key", b"1", Metadata=given)
    head = bucket.head("key")
    assert head is not None
    assert head["Metadata"] == given == bucket.client.get_object(Bucket=bucket.name, Key="key")["Metadata"]


def put_signed(bucket: Bucket, signed: bytes, sent: bytes) -> tuple[int, bytes]:
    """PUTs other bytes than those whose sha256 is signed."""
    digest = hashlib.sha256(signed).hexdigest()
    keys = bucket.endpoint.keys
    asked = botocore.awsrequest.AWSRequest(
        "PUT", f"{bucket.endpoint.url}/{bucket.name}/key", data=signed, headers={"x-amz-content-sha256": digest}
    )
    credentials = botocore.credentials.Credentials(keys.access, keys.secret)
    signer = botocore.auth.S3SigV4Auth(credentials, "s3", REGION)
    signer.payload = lambda _: digest
    signer.add_auth(asked)
    connection = http.client.HTTPConnection(urlsplit(bucket.endpoint.url).netloc, timeout=60)
    try:
        connection.request("PUT", f"/{bucket.name}/key", body=sent, headers=dict(asked.headers.items()))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_body_that_differs_from_its_signature(bucket: Bucket) -> None:
    assert put_signed(bucket, b"abc", b"abc")[0] == 200
    bucket.delete("key")
    status, words = put_signed(bucket, b"abc", b"abd")
    if bucket.endpoint.name == "rgw":
        assert status == 400
        assert b"<Code>XAmzContentSHA256Mismatch</Code>" in words
        assert bucket.keys() == []
    else:
        assert status == 200


def test_a_body_that_differs_from_its_checksum(bucket: Bucket) -> None:
    """RGW checks Content-MD5; neither server checks x-amz-checksum-*."""
    wrong = of(bucket, moto=None, rgw=Refusal(400, "BadDigest"))
    assert refused(lambda: bucket.put("key", b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")) == wrong
    assert refused(lambda: bucket.put("key", b"x", ChecksumCRC32="AAAAAA==")) is None
    assert refused(lambda: bucket.put("key", b"x", ChecksumSHA256="A" * 43 + "=")) is None


def test_a_large_object_goes_in_one_request(bucket: Bucket) -> None:
    size = 200 * MIB
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        bucket.put("key", file, ContentLength=size, IfNoneMatch="*")
    head = bucket.head("key")
    assert head is not None
    assert head["ContentLength"] == size
    part = bucket.client.get_object(Bucket=bucket.name, Key="key", Range=f"bytes={size - 5}-")
    assert part["Body"].read() == bytes(5)
