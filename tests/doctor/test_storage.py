"""The storage checks of `proxx doctor` in a bucket."""

from __future__ import annotations

import pytest

from proxx.doctor import storage
from proxx.files.places import Places
from proxx.files.preflight import TRIAL
from proxx.files.roots import make_roots
from proxx.s3 import multipart
from proxx.s3.bucket import Bucket
from tests.objects.kinds import Kind
from tests.objects.line import fresh


@pytest.mark.parametrize("kind", ["moto", "rgw"], indirect=True)
@pytest.mark.parametrize("argument", ["proxies:/", "proxies:/day1", "proxies:/day1/"])
def test_unfinished_uploads_below_a_root_are_listed(kind: Kind, argument: str) -> None:
    assert kind.bucket is not None and kind.wire is not None
    at = fresh()
    bucket = Bucket(kind.wire, kind.bucket.name)
    left = multipart.begin_upload(bucket, f"{at}/day1/a.mov", "own")
    multipart.begin_upload(bucket, f"{at}x/b.mov", "own")
    places = Places(roots=make_roots((f"proxies={kind.bucket.url}/{at}",)), wire=kind.wire)
    good, found = storage.check_output(argument, places)
    assert (good.area, good.ok, found.area) == ("output", True, "leftovers")
    assert left in found.sentence
    assert kind.bucket.keys(f"{at}/") == []
    assert kind.bucket.keys(f"{at}//") == []


@pytest.mark.parametrize("kind", ["moto", "rgw"], indirect=True)
def test_a_test_object_of_a_killed_job_is_listed(kind: Kind) -> None:
    assert kind.bucket is not None and kind.wire is not None
    place = f"{fresh()}/day1"
    kind.bucket.put(f"{place}/{TRIAL}0", b"")
    good, found = storage.check_output(f"{kind.bucket.url}/{place}", Places(wire=kind.wire))
    assert (good.area, good.ok, found.area, found.ok) == ("output", True, "leftovers", True)
    assert f"{place}/{TRIAL}0" in found.sentence and found.remedy
    assert kind.bucket.keys(f"{place}/") == [f"{place}/{TRIAL}0"], "it may belong to a running job"
