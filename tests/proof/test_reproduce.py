"""Clips encoded again: the same bytes, a sample that is fair and the same for everyone, the job unchanged."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.errors import Interrupted, JobUnknown, ReproduceIncomplete, ReproduceMismatch
from proxx.contracts.event import Worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import RunEnvironment, execute
from proxx.engine.steps import ClipEnded, ClipStarted, Step
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.files.places import Places
from proxx.proof.reproduce import (
    EncodeSite,
    choose_clips,
    expected_bytes,
    recorded_differently,
    reproduce,
    reproduction_failure,
)
from proxx.proof.verify import records
from proxx.store.base import MemoryStore
from tests.objects.ground import Ground
from tests.support.jobs import make_job
from tests.support.specs import clip

WORKER = Worker(host="here", pid=1, user="editor")
CLIPS = tuple(clip(index) for index in range(40))


def finished_job(tmp_path: Path, profile: str = "prores_proxy", clips: int = 2) -> tuple[JobSpec, MemoryStore]:
    job, store = make_job(tmp_path / "out", profile, clips), MemoryStore()
    assert execute(spec_bytes(job), RunEnvironment(store=store, worker=WORKER, run_id="run-1")).status == "COMPLETED"
    return job, store


def new_site(tmp_path: Path, places: Places | None = None) -> EncodeSite:
    folder = tmp_path / "again"
    folder.mkdir()
    return EncodeSite(installed=find_toolchain("static"), folder=folder, worker=WORKER, places=places or Places())


@pytest.mark.clause("V1", lead=True)
@pytest.mark.parametrize("profile", ["prores_proxy", "dnxhr_lb_mxf", "h264_review_mp4"])
def test_a_second_encode_has_the_same_bytes(profile: str, tmp_path: Path) -> None:
    """`reproduce` encodes the clips in another folder and changes neither the outputs nor the store."""
    job, store = finished_job(tmp_path, profile)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    objects = store.list("")
    expected = expected_bytes(job, (0, 1), records(store, job.job_id), Places())
    again = reproduce(job, expected, new_site(tmp_path))
    assert reproduction_failure(again) is None
    assert [clip.found for clip in again] == [expected[0], expected[1]]
    assert [clip.path.read_bytes() for clip in again if clip.path] == [before[path] for path in sorted(before)]
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert store.list("") == objects


@pytest.mark.clause("V1")
def test_a_second_encode_has_the_same_bytes_from_folders_and_buckets(ground: Ground, tmp_path: Path) -> None:
    """Sources are read below their roots; the second encode is in a folder of its own that is below no root."""
    job, store = ground.job(clips=1), ground.store()
    environment = RunEnvironment(store=store, worker=WORKER, run_id="run-1", places=ground.places())
    assert execute(spec_bytes(job), environment).status == "COMPLETED"
    before, objects = ground.facts(), store.list("")
    for known in (records(store, job.job_id), {}):
        expected = expected_bytes(job, (0,), known, ground.places())
        assert expected == {0: ground.outputs()["clip0.mov"]}
    (again,) = reproduce(job, expected, new_site(tmp_path, ground.places()))
    assert (again.problem, again.found) == (None, expected[0])
    assert ground.facts() == before
    assert store.list("") == objects
    assert not [path for path in (tmp_path / "again" / "work").iterdir() if "source" in path.name]


def test_every_difference_and_failure_is_reported(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path, clips=3)
    known = dict(expected_bytes(job, (0, 1, 2), records(store, job.job_id), Places()))
    known[0] = "sha256:" + "0" * 64
    source = job.clips[1].source.files[0]
    gone = source.model_copy(update={"uri": "/nowhere/gone.mov"})
    moved = job.clips[1].model_copy(update={"source": job.clips[1].source.model_copy(update={"files": (gone,)})})
    job = job.model_copy(update={"clips": (job.clips[0], moved, job.clips[2])})
    again = reproduce(job, known, new_site(tmp_path))
    assert [clip.problem.code if clip.problem else None for clip in again] == ["OTHER_BYTES", "SOURCE_MISSING", None]
    mismatch = reproduction_failure(again)
    assert isinstance(mismatch, ReproduceMismatch)
    assert len(mismatch.problems) == 2
    assert again[0].path is not None
    assert again[0].path.exists()
    incomplete = reproduction_failure(again[1:])
    assert isinstance(incomplete, ReproduceIncomplete), "a missing source says nothing about the first encode"
    assert (incomplete.status, "1 of 2 clips could not be judged" in incomplete.message) == (6, True)


def test_records_that_differ_need_no_second_encode(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path, clips=2)
    known = records(store, job.job_id)
    differing = {**known, 1: replace(known[1], attempt=2, differing=(1,))}
    expected = expected_bytes(job, (0, 1), differing, Places())
    (clip,) = recorded_differently(job, expected, differing)
    assert clip.problem is not None
    assert (clip.index, clip.differs, clip.problem.code) == (1, True, "RECORDS_DIFFER")
    assert clip.problem.message == "Attempt 2 recorded other bytes than attempt 1."
    assert recorded_differently(job, expected, known) == ()


def test_it_reports_progress_and_can_be_stopped(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path)
    expected = expected_bytes(job, (0, 1), records(store, job.job_id), Places())
    steps: list[Step] = []
    site = new_site(tmp_path)
    stopping = EncodeSite(
        installed=site.installed,
        folder=site.folder,
        worker=WORKER,
        should_stop=lambda: any(isinstance(step, ClipEnded) for step in steps),
        watch=steps.append,
    )
    with pytest.raises(Interrupted):
        reproduce(job, expected, stopping)
    assert [type(step) for step in (steps[0], steps[-1])] == [ClipStarted, ClipEnded]


# --- the expected bytes and the chosen clips --------------------------------------------------------------


def test_without_a_record_the_published_file_is_expected(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path)
    known = records(store, job.job_id)
    assert expected_bytes(job, (0, 1), {}, Places()) == {index: known[index].sha256 for index in (0, 1)}
    Path(job.clips[1].outputs[0].uri).unlink()
    assert expected_bytes(job, (0, 1), known, Places()) == {index: known[index].sha256 for index in (0, 1)}
    with pytest.raises(JobUnknown) as refused:
        expected_bytes(job, (0, 1), {}, Places())
    assert refused.value.clip == 1


@given(st.integers(1, 40), st.fractions(Fraction(1, 1000), 1))
def test_a_sample_is_the_share_with_the_lowest_fingerprints(count: int, share: Fraction) -> None:
    clips = CLIPS[:count]
    chosen = choose_clips(clips, share)
    assert chosen == tuple(sorted(set(chosen)))
    assert 1 <= len(chosen) <= count
    assert len(chosen) >= share * count > len(chosen) - 1 or len(chosen) == 1
    picked = {clips[index].fingerprint for index in chosen}
    assert picked == set(sorted(each.fingerprint for each in clips)[: len(chosen)])
    reversed_job = choose_clips(clips[::-1], share)
    assert {
        clips[::-1][index].fingerprint for index in reversed_job
    } == picked  # the order in the job does not matter
