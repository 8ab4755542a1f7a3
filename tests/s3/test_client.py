"""The client's credentials and endpoint: of the standard chain, whatever fsspec is configured to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import environment

FOUND = """
from fsspec.asyn import sync
from proxx.s3 import client as wireclient
files = wireclient.make_file_system(5)
client = sync(files.loop, wireclient.client_of, files)
keys = client._request_signer._credentials
print(keys.access_key, keys.secret_key, keys.token, client.meta.endpoint_url, client.meta.config.signature_version)
"""
OTHER = "http://elsewhere.invalid"


@pytest.mark.parametrize(
    "said",
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
    ids=lambda said: "-".join(said) or "none",
)
def test_nothing_of_fsspecs_own_configuration_counts(said: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "conf.json").write_text(json.dumps({"s3": {"key": "other", "endpoint_url": OTHER}}))
    standard = {
        "AWS_ACCESS_KEY_ID": "standard",
        "AWS_SECRET_ACCESS_KEY": "own",
        "AWS_ENDPOINT_URL_S3": "http://server.invalid",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", FOUND],
        env={**environment(**standard), **said},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["standard", "own", "None", "http://server.invalid", "s3v4"], done.stderr
