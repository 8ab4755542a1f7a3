"""Places: where each place of a spec is, links that leave a root, and roots that a link makes the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxx.contracts.errors import RootsInvalid
from proxx.files.places import SINGLE, Places, leads_out, require_apart
from proxx.files.roots import InBucket, OnDisk, OutOfReach, make_roots
from proxx.s3.multipart import PART
from tests.objects.kinds import Kind
from tests.objects.line import fresh
from tests.s3.test_bucket import NAMES


def rooted(**targets: str) -> Places:
    return Places(roots=make_roots(tuple(f"{name}={target}" for name, target in targets.items())))


def test_without_roots_a_place_is_its_path_or_url() -> None:
    places = Places()
    assert places.spot("/media/a b.mov") == OnDisk(Path("/media/a b.mov"))
    assert places.spot("s3://bucket/a/b.mov") == InBucket("bucket", "a/b.mov")
    assert places.bucket(InBucket("bucket", "a")).name == "bucket"
    assert places.bucket(InBucket("bucket", "a")).wire is places.wire
    assert (places.single, places.part) == (SINGLE, PART) == (5 << 30, 64 << 20)


def test_with_roots_only_they_and_an_allowed_folder_are_used(tmp_path: Path) -> None:
    places = rooted(media=str(tmp_path / "media"), proxies="s3://bucket/edit")
    assert places.spot("media:/a.mov") == OnDisk(tmp_path / "media/a.mov", within=tmp_path / "media")
    assert places.spot("proxies:/a/b.mov") == InBucket("bucket", "edit/a/b.mov")
    own = tmp_path / "work"
    for place in (str(own / "copy"), "s3://bucket/edit/a.mov", "other:/a.mov"):
        with pytest.raises(OutOfReach):
            places.spot(place)
    allowed = places.allowing(own)
    assert allowed.spot(str(own / "copy")) == OnDisk(own / "copy")
    assert allowed.wire is places.wire
    for place in (str(tmp_path / "elsewhere"), "s3://bucket/edit/a.mov"):
        with pytest.raises(OutOfReach):
            allowed.spot(place)


@pytest.mark.parametrize("kind", ["moto", "rgw"], indirect=True)
def test_a_name_is_used_unchanged_as_a_key(kind: Kind, tmp_path: Path) -> None:
    """No part of a key is decoded, joined or cut between the spec and the bucket."""
    assert kind.bucket is not None and kind.wire is not None
    at = fresh()
    plain = Places(wire=kind.wire)
    root = Places(roots=make_roots((f"proxies={kind.bucket.url}/{at}",)), wire=kind.wire)
    made = tmp_path / "made"
    made.write_bytes(b"proxy")
    for name in NAMES:
        spot = root.spot(f"proxies:/{name}")
        assert spot == plain.spot(f"{kind.bucket.url}/{at}/{name}") == InBucket(kind.bucket.name, f"{at}/{name}")
        assert isinstance(spot, InBucket)
        root.bucket(spot).create_from(spot.key, made, "own", lambda: None)
        assert root.roots.name(spot) == f"proxies:/{name}"
    assert sorted(kind.bucket.keys(f"{at}/")) == sorted(f"{at}/{name}" for name in NAMES)


def test_a_link_that_leaves_its_root(tmp_path: Path) -> None:
    for name in ("media/inside", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "media/link").symlink_to(tmp_path / "outside")
    (tmp_path / "media/near").symlink_to("inside")
    (tmp_path / "media/clip.mov").symlink_to(tmp_path / "outside/clip.mov")
    places = rooted(media=str(tmp_path / "media"))
    for place, out in {
        "inside/a.mov": False, "near/a.mov": False, "not/there/a.mov": False, "link/a.mov": True, "clip.mov": True,
    }.items():  # fmt: skip
        spot = places.spot(f"media:/{place}")
        assert isinstance(spot, OnDisk)
        assert leads_out(spot) == out, place
    assert not leads_out(OnDisk(tmp_path / "media/link/a.mov"))  # without roots any link may be followed


def test_a_root_can_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "media").symlink_to("volume")
    spot = rooted(media=str(tmp_path / "media")).spot("media:/a.mov")
    assert isinstance(spot, OnDisk)
    assert not leads_out(spot)


def test_roots_that_a_link_makes_the_same_are_refused(tmp_path: Path) -> None:
    (tmp_path / "volume/day").mkdir(parents=True)
    (tmp_path / "link").symlink_to("volume/day")
    apart = rooted(media=str(tmp_path / "volume/day"), other=str(tmp_path / "elsewhere"), far="s3://bucket/volume")
    require_apart(apart.roots)
    for first, second in (("volume", "link"), ("link", "volume")):
        with pytest.raises(RootsInvalid) as caught:
            require_apart(rooted(media=str(tmp_path / first), more=str(tmp_path / second)).roots)
        (problem,) = caught.value.problems
        assert (problem.path, problem.code) == ("more", "ROOTS_INVALID")
        assert "media" in problem.message
