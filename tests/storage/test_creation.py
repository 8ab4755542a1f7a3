"""Jobs created from buckets and from places below roots: the same as from folders, also with hostile names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from proxx.contracts.errors import DiskFull, PreflightRefused
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.output_names import DEFAULT_TEMPLATE
from proxx.contracts.profile import find_profile
from proxx.create.discover import discover
from proxx.create.jobs import Created, create_jobs
from proxx.create.request import CreateRequest
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.files.places import Places
from proxx.store.base import MemoryStore
from tests.objects.ground import Ground
from tests.storage.running import codes, run
from tests.support.jobs import half_second

BUCKETS = pytest.mark.parametrize("ground", ["moto", "rgw"], indirect=True)
"""For tests that do not apply to folders."""


def made(places: Places, sources: Sequence[str], output: str = "proxies:/", work: Path | None = None) -> Created:
    toolchain = find_toolchain("static")
    request = CreateRequest(
        sources=tuple(sources),
        profile=find_profile("prores_proxy_half"),
        toolchain=toolchain.identity,
        output=output,
        name="test",
        template=DEFAULT_TEMPLATE,
        clips_per_job=None,
        leave_out_refused=False,
        accept_damage=(),
        date="2026-01-02",
        places=places,
        work=work,
    )
    return create_jobs(request, ffprobe=toolchain.ffprobe, decoders=decoders(toolchain.ffmpeg))


def refused(places: Places, sources: Sequence[str], output: str = "proxies:/") -> list[tuple[str, str]]:
    """Returns path and code of each problem."""
    with pytest.raises(PreflightRefused) as caught:
        made(places, sources, output)
    return [(problem.path, problem.code) for problem in caught.value.problems]


def clip(number: int = 0) -> bytes:
    return half_second(f"clip{number}.mov", f"01:00:0{number}:00").read_bytes()


def sources_of(job: JobSpec) -> list[str]:
    return [clip.source.files[0].uri for clip in job.clips]


def outputs_of(job: JobSpec) -> list[str]:
    return [clip.outputs[0].uri for clip in job.clips]


@pytest.fixture
def card(ground: Ground) -> Ground:
    ground.put("media:/card/A001/clip0.mov", clip(0))
    ground.put("media:/card/A001/clip1.mov", clip(1))
    return ground


@pytest.mark.parametrize(
    "given", [("media:/card",), ("media:/card/",), ("media:/",), ("media:/card/A001/clip0.mov", "media:/card/A001/")]
)
def test_sources_can_be_a_root_a_folder_and_a_file(card: Ground, given: tuple[str, ...], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (job,) = made(card.places(), given, work=work).jobs
    assert sources_of(job) == ["media:/card/A001/clip0.mov", "media:/card/A001/clip1.mov"]
    assert list(work.iterdir()) == []


def test_every_kind_gives_the_same_spec(card: Ground) -> None:
    """With one job id: the target of a root is not part of the spec."""
    (job,) = made(card.places(), ["media:/card"]).jobs
    local = Ground("file", card.root / "local")
    for number in (0, 1):
        local.put(f"media:/card/A001/clip{number}.mov", clip(number))
    (same,) = made(local.places(), ["media:/card"]).jobs
    assert spec_bytes(job) == spec_bytes(same)
    assert codes(run(card, job)) == ["COMPLETED", "COMPLETED"]
    assert card.names() == ["A001/clip0.mov", "A001/clip1.mov"]


@BUCKETS
def test_a_bucket_can_be_named_by_its_url(card: Ground) -> None:
    """Without roots: a prefix, an object and the bucket itself."""
    assert card.bucket is not None
    bucket, plain = card.bucket.url, replace(card.places(), roots=Places().roots)
    whole = [f"{bucket}/media/card/A001/clip{number}.mov" for number in (0, 1)]
    for given in (f"{bucket}/media/card", f"{bucket}/media/card/", bucket, f"{bucket}/"):
        (job,) = made(plain, [given], f"{bucket}/out").jobs
        assert sources_of(job) == whole
    (job,) = made(plain, whole[:1], f"{bucket}/out/").jobs
    assert outputs_of(job) == [f"{bucket}/out/clip0.mov"]
    assert codes(run(card, job, places=plain)) == ["COMPLETED"]
    (job,) = made(card.places(), whole[:1]).jobs
    assert sources_of(job) == ["media:/card/A001/clip0.mov"], "with roots a file has one name"


HOSTILE = ("a b.mov", "é日本.mov", "[bold]x%20+&=?#.mov", "new\nline.mov", "\x1b[31m.mov", "-'\";.mov")


def test_hostile_names(ground: Ground) -> None:
    names = [name for name in HOSTILE if ground.kind != "moto" or "\n" not in name]  # moto refuses such a key
    for number, name in enumerate(names):
        ground.put(f"media:/{name}", clip(number))
    (job,) = made(ground.places(), ["media:/"]).jobs
    assert sorted(sources_of(job)) == sorted(f"media:/{name}" for name in names)
    assert set(codes(run(ground, job))) == {"COMPLETED"}
    assert sorted(ground.names()) == sorted(names)
    (one,) = made(ground.places(), [f"media:/{HOSTILE[2]}"]).jobs
    assert sources_of(one) == [f"media:/{HOSTILE[2]}"]


@BUCKETS
def test_keys_that_are_passed_over_in_a_bucket(card: Ground) -> None:
    assert card.bucket is not None
    for key in ("folder/", "a//b.mov", "a/../c.mov", "./d.mov", ".hidden.mov", ".trash/e.mov", "notes.txt", "card/"):
        card.bucket.put(f"media/{key}", b"x")
    created = made(card.places(), ["media:/"])
    assert len(created.jobs[0].clips) == 2
    passed = {one.path.removeprefix("media:/"): one.reason for one in created.passed_over}
    assert {"a//b.mov", "a/../c.mov", "./d.mov", ".hidden.mov", ".trash/e.mov", "notes.txt"} <= passed.keys()
    assert not any(name.endswith("/") for name in passed)
    for given in ("media:/a/../c.mov", "media:/a//b.mov", f"{card.bucket.url}/media/a/../c.mov"):
        assert refused(card.places(), [given])[0][1] == "PLACE_UNREACHABLE"


def test_a_playlist_named_like_a_movie_is_refused_and_not_followed(card: Ground) -> None:
    card.put("media:/card/A001/list.mov", b"#EXTM3U\n#EXTINF:1,\nclip0.mov\n#EXT-X-ENDLIST\n")
    card.put("media:/card/A001/concat.mov", b"ffconcat version 1.0\nfile clip0.mov\n")
    assert refused(card.places(), ["media:/card"]) == [
        ("media:/card/A001/concat.mov", "SOURCE_UNREADABLE"),
        ("media:/card/A001/list.mov", "SOURCE_UNREADABLE"),
    ]


def test_the_output_folder_inside_the_sources_is_passed_over(card: Ground) -> None:
    card.put("media:/card/made/clip0.mov", clip(0))
    found = discover(["media:/card"], card.places().spot("media:/card/made"), card.places())
    assert [candidate.given.rpartition("/")[2] for candidate in found.candidates] == ["clip0.mov", "clip1.mov"]
    (job,) = made(card.places(), ["media:/card"], "media:/card/made/").jobs
    assert len(job.clips) == 2
    assert outputs_of(job)[0] == "media:/card/made/A001/clip0.mov"


def test_a_missing_source(ground: Ground) -> None:
    assert refused(ground.places(), ["media:/none.mov"])[0] == ("media:/none.mov", "SOURCE_MISSING")
    assert refused(ground.places(), ["nowhere:/x.mov"])[0][1] in ("PLACE_UNREACHABLE", "SOURCE_MISSING")


@BUCKETS
def test_an_extension_longer_than_a_file_system_allows(ground: Ground) -> None:
    ground.put(f"media:/clip0.mov.{'x' * 300}", clip(0))
    created = made(ground.places(), [f"media:/clip0.mov.{'x' * 300}"])
    assert codes(run(ground, created.jobs[0])) == ["COMPLETED"]


@BUCKETS
def test_no_space_for_a_copy(card: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxx.create.local_copy.free_bytes", lambda _: 1 << 20)
    with pytest.raises(DiskFull):
        made(card.places(), ["media:/card"])


# --- links that leave a root -----------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> Ground:
    ground = Ground("file", tmp_path)
    for name in ("media", "proxies", "store", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "clip0.mov").write_bytes(clip(0))
    return ground


def test_a_link_that_leaves_its_root_is_refused_at_creation(folders: Ground) -> None:
    (folders.root / "media" / "link.mov").symlink_to(folders.root / "outside" / "clip0.mov")
    (folders.root / "media" / "away").symlink_to(folders.root / "outside")
    assert refused(folders.places(), ["media:/link.mov"]) == [("media:/link.mov", "SOURCE_UNREADABLE")]
    assert {code for _, code in refused(folders.places(), ["media:/away"])} == {"SOURCE_UNREADABLE"}
    folders.put("media:/good.mov", clip(0))
    (folders.root / "proxies" / "away").symlink_to(folders.root / "outside")
    assert refused(folders.places(), ["media:/good.mov"], "proxies:/away") == [("--output", "OUTPUT_UNWRITABLE")]
    folders.put("media:/card/away/good.mov", clip(0))
    assert refused(folders.places(), ["media:/card"]) == [("media:/card/away/good.mov", "OUTPUT_UNWRITABLE")]


def test_a_link_that_leaves_its_root_is_refused_in_a_run(folders: Ground) -> None:
    job = folders.job(clips=2)
    (folders.root / "media" / "clip0.mov").rename(folders.root / "outside" / "same.mov")
    (folders.root / "media" / "clip0.mov").symlink_to(folders.root / "outside" / "same.mov")
    assert codes(run(folders, job)) == ["SOURCE_UNREADABLE", "COMPLETED"]
    (folders.root / "proxies").rename(folders.root / "moved")
    (folders.root / "proxies").mkdir()
    (folders.root / "proxies" / "clip1.mov").symlink_to(folders.root / "outside" / "clip1.mov")
    result = run(folders, job, attempt=2)
    assert codes(result)[1] == "OUTPUT_UNWRITABLE"
    assert not (folders.root / "outside" / "clip1.mov").exists()


def test_a_link_that_stays_in_its_root_is_followed(folders: Ground) -> None:
    folders.put("media:/real/clip0.mov", clip(0))
    (folders.root / "media" / "link.mov").symlink_to("real/clip0.mov")
    (job,) = made(folders.places(), ["media:/link.mov"]).jobs
    assert codes(run(folders, job, store=MemoryStore())) == ["COMPLETED"]
