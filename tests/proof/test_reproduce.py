"""Encoding again elsewhere: the same bytes, a fair sample that everyone gets alike, nothing of the job touched."""

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


def made(tmp_path: Path, profile: str = "prores_proxy", clips: int = 2) -> tuple[JobSpec, MemoryStore]:
    job, store = make_job(tmp_path / "out", profile, clips), MemoryStore()
    assert execute(spec_bytes(job), RunEnvironment(store=store, worker=WORKER, run_id="run-1")).status == "COMPLETED"
    return job, store


def shop(tmp_path: Path, places: Places | None = None) -> EncodeSite:
    folder = tmp_path / "again"
    folder.mkdir()
    return EncodeSite(installed=find_toolchain("static"), folder=folder, worker=WORKER, places=places or Places())


@pytest.mark.clause("V1", lead=True)
@pytest.mark.parametrize("profile", ["prores_proxy", "dnxhr_lb_mxf", "h264_review_mp4"])
def test_the_same_bytes(profile: str, tmp_path: Path) -> None:
    """`proxx reproduce` encodes the same clips elsewhere: the same bytes."""
    job, store = made(tmp_path, profile)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    objects = store.list("")
    expected = expected_bytes(job, (0, 1), records(store, job.job_id), Places())
    again = reproduce(job, expected, shop(tmp_path))
    assert reproduction_failure(again) is None
    assert [one.found for one in again] == [expected[0], expected[1]]
    assert [one.path.read_bytes() for one in again if one.path] == [before[path] for path in sorted(before)]
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert store.list("") == objects


@pytest.mark.clause("V1")
def test_the_same_bytes_on_each_ground(ground: Ground, tmp_path: Path) -> None:
    """The sources from where they are, the second encode in a folder of its own, though it is in no root."""
    job, store = ground.job(clips=1), ground.store()
    site = RunEnvironment(store=store, worker=WORKER, run_id="run-1", places=ground.places())
    assert execute(spec_bytes(job), site).status == "COMPLETED"
    before, objects = ground.facts(), store.list("")
    for known in (records(store, job.job_id), {}):
        expected = expected_bytes(job, (0,), known, ground.places())
        assert expected == {0: ground.outputs()["clip0.mov"]}
    (again,) = reproduce(job, expected, shop(tmp_path, ground.places()))
    assert (again.problem, again.found) == (None, expected[0])
    assert ground.facts() == before
    assert store.list("") == objects
    assert not [path for path in (tmp_path / "again" / "work").iterdir() if "source" in path.name]


def test_other_bytes_and_other_failures_are_all_told(tmp_path: Path) -> None:
    job, store = made(tmp_path, clips=3)
    known = dict(expected_bytes(job, (0, 1, 2), records(store, job.job_id), Places()))
    known[0] = "sha256:" + "0" * 64
    source = job.clips[1].source.files[0]
    gone = source.model_copy(update={"uri": "/nowhere/gone.mov"})
    moved = job.clips[1].model_copy(update={"source": job.clips[1].source.model_copy(update={"files": (gone,)})})
    job = job.model_copy(update={"clips": (job.clips[0], moved, job.clips[2])})
    again = reproduce(job, known, shop(tmp_path))
    assert [one.problem.code if one.problem else None for one in again] == ["OTHER_BYTES", "SOURCE_MISSING", None]
    mismatch = reproduction_failure(again)
    assert isinstance(mismatch, ReproduceMismatch)
    assert len(mismatch.problems) == 2
    assert again[0].path is not None
    assert again[0].path.exists()
    left = reproduction_failure(again[1:])
    assert isinstance(left, ReproduceIncomplete), "a source that is gone says nothing of the first encode"
    assert (left.status, "1 of 2 clips could not be judged" in left.message) == (6, True)


def test_records_that_differ_need_no_second_encode(tmp_path: Path) -> None:
    job, store = made(tmp_path, clips=2)
    known = records(store, job.job_id)
    odd = {**known, 1: replace(known[1], attempt=2, differing=(1,))}
    expected = expected_bytes(job, (0, 1), odd, Places())
    (told,) = recorded_differently(job, expected, odd)
    assert told.problem is not None
    assert (told.index, told.differs, told.problem.code) == (1, True, "RECORDS_DIFFER")
    assert told.problem.message == "attempt 2 recorded other bytes than attempt 1."
    assert recorded_differently(job, expected, known) == ()


def test_it_is_watched_and_can_be_stopped(tmp_path: Path) -> None:
    job, store = made(tmp_path)
    expected = expected_bytes(job, (0, 1), records(store, job.job_id), Places())
    steps: list[Step] = []
    place = shop(tmp_path)
    stopping = EncodeSite(
        installed=place.installed,
        folder=place.folder,
        worker=WORKER,
        should_stop=lambda: any(isinstance(step, ClipEnded) for step in steps),
        watch=steps.append,
    )
    with pytest.raises(Interrupted):
        reproduce(job, expected, stopping)
    assert [type(step) for step in (steps[0], steps[-1])] == [ClipStarted, ClipEnded]


# --- what is compared, and of which clips ----------------------------------------------------------------


def test_without_a_record_the_published_file_counts(tmp_path: Path) -> None:
    job, store = made(tmp_path)
    known = records(store, job.job_id)
    assert expected_bytes(job, (0, 1), {}, Places()) == {index: known[index].sha256 for index in (0, 1)}
    Path(job.clips[1].outputs[0].uri).unlink()
    assert expected_bytes(job, (0, 1), known, Places()) == {index: known[index].sha256 for index in (0, 1)}
    with pytest.raises(JobUnknown) as refused:
        expected_bytes(job, (0, 1), {}, Places())
    assert refused.value.clip == 1


@given(st.integers(1, 40), st.fractions(Fraction(1, 1000), 1))
def test_a_sample(count: int, share: Fraction) -> None:
    clips = CLIPS[:count]
    chosen = choose_clips(clips, share)
    assert chosen == tuple(sorted(set(chosen)))
    assert 1 <= len(chosen) <= count
    assert len(chosen) >= share * count > len(chosen) - 1 or len(chosen) == 1
    picked = {clips[index].fingerprint for index in chosen}
    assert picked == set(sorted(one.fingerprint for one in clips)[: len(chosen)])
    turned = choose_clips(clips[::-1], share)
    assert {clips[::-1][index].fingerprint for index in turned} == picked  # the order of the job does not matter
