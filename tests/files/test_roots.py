"""Places of a spec on this machine, with and without roots. Problems name the field of the spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.errors import PlaceUnreachable, RootsInvalid
from proxx.contracts.job import JobContent, JobSpec, seal
from proxx.files.roots import InBucket, OnDisk, OutOfReach, Roots, Spot, parse_roots, require_places_here
from tests.support import specs
from tests.support.edits import edited

ROOTS = parse_roots("media=/mnt/media;proxies=s3://bucket/edit")


def job(path: str, place: str) -> JobSpec:
    plain = specs.job(2).to_json()
    content = {key: plain[key] for key in plain if key not in ("job_id", "seals")}
    return seal(JobContent.model_validate(_tuples(edited(content, path, place))))


def _tuples(value: object) -> object:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(
    ("roots", "place", "spot"),
    [
        (Roots(), "/proxies/s3:/a.mov", OnDisk(Path("/proxies/s3:/a.mov"))),
        (Roots(), "s3://bucket/a/b c.mov", InBucket("bucket", "a/b c.mov")),
        (ROOTS, "media:/A001/a.mov", OnDisk(Path("/mnt/media/A001/a.mov"), within=Path("/mnt/media"))),
        (ROOTS, "proxies:/A001/a.mov", InBucket("bucket", "edit/A001/a.mov")),
        (parse_roots("all=s3://bucket"), "all:/a.mov", InBucket("bucket", "a.mov")),
        (ROOTS.allowing(Path("/tmp/x")), "/tmp/x/a.mov", OnDisk(Path("/tmp/x/a.mov"))),  # noqa: S108
    ],
)
def test_a_place_and_its_name_lead_to_each_other(roots: Roots, place: str, spot: Spot) -> None:
    assert roots.spot(place) == spot
    if not roots.loose:
        assert roots.name(spot) == place


@pytest.mark.clause("T6")
@pytest.mark.parametrize(
    ("roots", "place", "reason"),
    [
        (Roots(), "media:/card/a.mov", "no root named 'media' \\(none are set\\)"),
        (Roots(), "C:/a.mov", "no root named 'C'"),
        (Roots(), "s3://B_/a.mov", "does not name a bucket"),
        (ROOTS, "/mnt/media/a.mov", "plain path"),
        (ROOTS, "s3://bucket/edit/a.mov", "names a bucket"),
        (ROOTS, "other:/a.mov", "no root named 'other' \\(it has media, proxies\\)"),
    ],
)
def test_a_place_out_of_reach_is_refused_by_its_field(roots: Roots, place: str, reason: str) -> None:
    with pytest.raises(OutOfReach, match=reason):
        roots.spot(place)
    for path in ("clips[1].source.files[0].uri", "clips[1].outputs[0].uri"):
        with pytest.raises(PlaceUnreachable) as refused:
            require_places_here(job(path, place), roots)
        assert refused.value.status == 6
        messages = {problem.path: problem.message for problem in refused.value.problems}
        assert place.partition("/")[0].rstrip(":") in messages[path]


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(PlaceUnreachable) as refused:
        require_places_here(specs.job(3), ROOTS)  # plain paths, with roots set
    assert len(refused.value.problems) == 6


def test_a_place_outside_the_roots_has_no_name() -> None:
    for spot in (OnDisk(Path("/mnt/media2/a.mov")), OnDisk(Path("/mnt")), InBucket("bucket", "editor/a.mov")):
        with pytest.raises(OutOfReach, match="below none of the roots"):
            ROOTS.name(spot)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("media", ["media"]),
        ("Media=/mnt", ["Media"]),
        ("s3=/mnt", ["s3"]),
        ("media=mnt", ["media"]),
        ("media=/", ["media"]),
        ("media=s3://UPPER/x", ["media"]),
        ("a=/mnt/x;b=/mnt/x/y", ["b"]),
        ("a=/mnt/X;b=/mnt/x", ["b"]),  # the same place on a file system that ignores case
        ("a=s3://bucket/x;b=s3://bucket", ["b"]),
        ("a=/one;a=/two", ["a"]),
        ("a=x;b=y;c=/z", ["a", "b"]),  # all at once
    ],
)
def test_invalid_roots_are_refused(text: str, problems: list[str]) -> None:
    with pytest.raises(RootsInvalid) as refused:
        parse_roots(text)
    assert [problem.path for problem in refused.value.problems] == problems
    assert refused.value.status == 2


@given(st.lists(st.text("abcé .", min_size=1).filter(lambda part: part not in (".", "..")), min_size=1, max_size=4))
def test_a_name_leads_back_to_its_place(parts: list[str]) -> None:
    place = f"media:/{'/'.join(parts)}"
    assert ROOTS.name(ROOTS.spot(place)) == place
