"""Places of a spec as paths: full paths only, anything else is refused by its field before anything is begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxx.errors import SpecInvalid
from proxx.job import JobContent, JobSpec, seal
from proxx.reach import local_path, require_reachable
from tests import specs
from tests.edits import edited


def job(path: str, place: str) -> JobSpec:
    plain = specs.job(2).to_json()
    content = {key: plain[key] for key in plain if key not in ("job_id", "seals")}
    return seal(JobContent.model_validate(_tuples(edited(content, path, place))))


def _tuples(value: object) -> object:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def test_full_paths_are_reached() -> None:
    require_reachable(specs.job(3))
    assert local_path("/proxies/s3:/a.mov") == Path("/proxies/s3:/a.mov")


@pytest.mark.parametrize("path", ["clips[1].source.files[0].uri", "clips[1].outputs[0].uri"])
@pytest.mark.parametrize("place", ["s3://bucket/a.mov", "media:/card/a.mov", "C:/a.mov"])
def test_other_places_are_refused_by_their_field(path: str, place: str) -> None:
    with pytest.raises(SpecInvalid) as refused:
        require_reachable(job(path, place))
    assert [(one.path, place in one.message) for one in refused.value.problems] == [(path, True)]
    with pytest.raises(ValueError, match="no file of this machine"):
        local_path(place)
