"""The address and the users of a test's object store, and a plain client for its buckets."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import IO, Any, Final

import botocore.config
import botocore.exceptions
import botocore.session

REGION: Final = "us-east-1"
_SESSION: Final = botocore.session.Session()  # shared: each session parses the whole description of S3
_SESSION_LOCK: Final = threading.Lock()


@dataclass(frozen=True)
class Keys:
    access: str
    secret: str
    token: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """A server's URL and one user's keys. name: "moto" or "rgw"."""

    name: str
    url: str
    keys: Keys

    @property
    def environment(self) -> dict[str, str]:
        """The variables a client needs to find the server."""
        token = {"AWS_SESSION_TOKEN": self.keys.token} if self.keys.token else {}
        return {
            "AWS_ACCESS_KEY_ID": self.keys.access,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **token,
        }

    def at(self, url: str) -> Endpoint:
        """Returns the same server at another address, for example through a proxy."""
        return replace(self, url=url)

    def to(self, keys: Keys) -> Endpoint:
        """Returns the same server for another user."""
        return replace(self, keys=keys)

    def bucket(self, name: str) -> Bucket:
        return Bucket(self, name)


def client(endpoint: Endpoint, service: str = "s3", *, read_timeout: float = 60) -> Any:  # noqa: ANN401
    """Returns a client of botocore that sends each request once. read_timeout: seconds."""
    config = botocore.config.Config(
        retries={"max_attempts": 0, "mode": "standard", "total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=read_timeout,
        max_pool_connections=50,
        s3={"addressing_style": "path"},
    )
    with _SESSION_LOCK:
        return _SESSION.create_client(
            service,
            region_name=REGION,
            endpoint_url=endpoint.url,
            aws_access_key_id=endpoint.keys.access,
            aws_secret_access_key=endpoint.keys.secret,
            aws_session_token=endpoint.keys.token,
            config=config,
        )


@dataclass(frozen=True)
class Refusal:
    """The answer of a server that refused a request."""

    status: int
    code: str


def refusal(error: botocore.exceptions.ClientError) -> Refusal:
    answer = error.response
    return Refusal(int(answer["ResponseMetadata"]["HTTPStatusCode"]), str(answer["Error"]["Code"]))


class Bucket:
    """A bucket as a test sees it, without the code under test."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self.client = client(endpoint)

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def make(self) -> Bucket:
        self.client.create_bucket(Bucket=self.name)
        return self

    def put(self, key: str, body: bytes | IO[bytes], **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """Puts an object. more: arguments of PutObject, such as IfNoneMatch="*" or Metadata."""
        answer: dict[str, Any] = self.client.put_object(Bucket=self.name, Key=key, Body=body, **more)
        return answer

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def head(self, key: str) -> dict[str, Any] | None:
        """Returns the answer of HeadObject, None if there is no such object."""
        try:
            answer: dict[str, Any] = self.client.head_object(Bucket=self.name, Key=key)
        except botocore.exceptions.ClientError as error:
            if refusal(error).status == 404:
                return None
            raise
        return answer

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [str(entry["Key"]) for page in pages for entry in page.get("Contents", ())]

    def contents(self, prefix: str = "") -> dict[str, bytes]:
        return {key: self.get(key) for key in self.keys(prefix)}

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def delete_all(self, prefix: str = "") -> None:
        """Deletes every object and aborts every unfinished upload."""
        for key in self.keys(prefix):
            self.delete(key)
        for key, upload in self.uploads(prefix):
            self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)

    def uploads(self, prefix: str = "") -> list[tuple[str, str]]:
        """Returns key and id of every multipart upload that is neither completed nor aborted."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
        return [(str(entry["Key"]), str(entry["UploadId"])) for page in pages for entry in page.get("Uploads", ())]

    def set_policy(self, statements: list[Mapping[str, Any]]) -> None:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.client.put_bucket_policy(Bucket=self.name, Policy=policy)
