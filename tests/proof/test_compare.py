"""Finished jobs of a whole store encoded again: what is the same, what differs, what this machine cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from proxx.contracts.errors import Interrupted
from proxx.contracts.event import Worker
from proxx.contracts.job import JobContent, JobSpec, seal
from proxx.engine.steps import ClipEnded, Step
from proxx.files.places import Places
from proxx.files.roots import Root, Roots
from proxx.proof.compare import ComparedClip, Comparison, ReencodeSession, compare_clip
from proxx.proof.sample import SampledClip, SampleScope, SampleTally, sample
from proxx.store.base import MemoryStore, Store
from tests.support.finished import FORGED, HERE, THERE, finish, forged, run
from tests.support.jobs import create, half_second
from tests.support.makemedia import make, picture

WORKER = Worker(host="third", pid=3, user="auditor")


def yard(tmp_path: Path) -> ReencodeSession:
    folder = tmp_path / "again"
    folder.mkdir(exist_ok=True)
    return ReencodeSession(folder=folder, worker=WORKER)


def audit(store: Store, place: ReencodeSession, *, not_made_on: str | None = None) -> list[ComparedClip]:
    wanted = SampleScope(share=Fraction(1), not_made_on=not_made_on)
    return [compare_clip(found, place) for found in sample(store, wanted, SampleTally())]


def told(judged: list[ComparedClip]) -> dict[tuple[str, int], tuple[Comparison, str | None]]:
    return {
        (one.of.spec.job_id, one.of.index): (one.verdict, one.problem.code if one.problem else None)
        for one in judged
        if isinstance(one.of, SampledClip)
    }


def altered(job: JobSpec, change: Callable[[JobSpec], dict[str, object]]) -> SampledClip:
    """Clip 0 of a job that is changed, as another machine would have made it."""
    content = job.model_copy(update=change(job))
    other = seal(
        JobContent(
            schema_="proxx.job/1",
            name=content.name,
            profile=content.profile,
            toolchain=content.toolchain,
            clips=content.clips,
            left_out=(),
        )
    )
    return SampledClip(spec=other, index=0, expected=FORGED, made_by=THERE, attempt=1)


@pytest.mark.clause("V1")
@pytest.mark.clause("T5")
def test_a_fleet(tmp_path: Path) -> None:
    """Three jobs of two machines: each clip the same, but for the one whose record was forged. Nothing is touched."""
    store = MemoryStore()
    first = finish(store, tmp_path / "first", 2)
    second = finish(store, tmp_path / "second", 1, profile="h264_review_mp4", worker=THERE)
    third = finish(store, tmp_path / "third", 1, profile="dnxhr_lb_mxf")
    fleet = forged(store, first, 1)
    objects = {key: fleet.read(key) for key in fleet.list("")}
    outputs = {path: path.read_bytes() for path in tmp_path.rglob("*.m*") if path.is_file()}
    place = yard(tmp_path)
    judged = audit(fleet, place)
    assert told(judged) == {
        (first.job_id, 0): (Comparison.SAME, None),
        (first.job_id, 1): (Comparison.DIFFERS, "OTHER_BYTES"),
        (second.job_id, 0): (Comparison.SAME, None),
        (third.job_id, 0): (Comparison.SAME, None),
    }
    (wrong,) = (one for one in judged if one.verdict == Comparison.DIFFERS)
    assert wrong.kept is not None
    assert wrong.kept.read_bytes() == outputs[Path(first.clips[1].outputs[0].uri)]
    assert list(place.folder.iterdir()) == [wrong.kept]
    assert {key: fleet.read(key) for key in fleet.list("")} == objects
    assert {path: path.read_bytes() for path in outputs} == outputs
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second", "third", "again"}

    other = audit(fleet, yard(tmp_path), not_made_on=HERE.host)
    assert told(other) == {(second.job_id, 0): (Comparison.SAME, None)}
    assert isinstance(other[0].of, SampledClip)
    assert other[0].of.made_by == THERE


def test_what_this_machine_cannot_tell_is_said_of_each(tmp_path: Path) -> None:
    """Another toolchain, another CPU's flags, a source that is gone or another, a place that is not here."""
    job = create((half_second("clip.mov"),), tmp_path / "out", "prores_proxy")
    (clip,) = job.clips
    (file,) = clip.source.files

    def source(**update: object) -> dict[str, object]:
        files = (file.model_copy(update=update),)
        return {"clips": (clip.model_copy(update={"source": clip.source.model_copy(update={"files": files})}),)}

    picks = {
        "TOOLCHAIN_MISMATCH": altered(
            job, lambda one: {"toolchain": one.toolchain.model_copy(update={"ffmpeg_version": "n9"})}
        ),
        "SOURCE_MISSING": altered(job, lambda _: source(uri="/nowhere/gone.mov")),
        "SOURCE_CHANGED": altered(job, lambda _: source(digest=FORGED)),
        "PLACE_UNREACHABLE": altered(job, lambda _: source(uri="media:/gone.mov")),
    }
    place = yard(tmp_path)
    for code, pick in picks.items():
        judged = compare_clip(pick, place)
        assert (judged.verdict, judged.kept) == (Comparison.NOT_JUDGED, None)
        assert judged.problem is not None
        assert judged.problem.code == code
    assert list(place.folder.iterdir()) == []


def test_an_encode_that_fails_now_is_a_difference(tmp_path: Path) -> None:
    job = create((half_second("clip.mov"),), tmp_path / "out", "prores_proxy")
    (clip,) = job.clips
    fewer = clip.model_copy(update={"expect": clip.expect.model_copy(update={"frames": 11})})
    judged = compare_clip(altered(job, lambda _: {"clips": (fewer,)}), yard(tmp_path))
    assert judged.verdict == Comparison.DIFFERS
    assert judged.problem is not None
    assert judged.problem.code == "FRAMES_MISMATCH"


def test_only_the_source_has_to_be_within_reach(tmp_path: Path) -> None:
    """Where the proxies are, an auditing machine need not know."""
    source = half_second("clip.mov")
    job = create((source,), tmp_path / "out", "prores_proxy")
    store = MemoryStore()
    run(store, job)
    (found,) = sample(store, SampleScope(share=Fraction(1)), SampleTally())
    assert isinstance(found, SampledClip)
    (clip,) = job.clips
    file = clip.source.files[0].model_copy(update={"uri": f"media:/{source.name}"})
    output = clip.outputs[0].model_copy(update={"uri": "proxies:/clip.mov"})
    named = clip.model_copy(
        update={"source": clip.source.model_copy(update={"files": (file,)}), "outputs": (output,)}
    )
    pick = SampledClip(
        spec=altered(job, lambda _: {"clips": (named,)}).spec,
        index=0,
        expected=found.expected,
        made_by=HERE,
        attempt=1,
    )
    place = yard(tmp_path)
    place.places = Places(roots=Roots((Root("media", str(source.parent)),)))
    assert compare_clip(pick, place).verdict == Comparison.SAME


def test_attempts_that_recorded_other_bytes_differ(tmp_path: Path) -> None:
    job = create((half_second("clip.mov"),), tmp_path / "out", "prores_proxy")
    pick = SampledClip(spec=job, index=0, expected=FORGED, made_by=HERE, attempt=2, differing=(1,))
    judged = compare_clip(pick, yard(tmp_path))
    assert judged.verdict == Comparison.DIFFERS
    assert judged.problem is not None
    assert judged.problem.code == "RECORDS_DIFFER"


def test_it_is_stopped_between_clips_and_within_one(tmp_path: Path) -> None:
    long = make("long.mov", *picture(size="640x480", seconds="20"), "-c:v", "mpeg4", "-g", "1", "-threads", "1")
    store, job = MemoryStore(), create((long,), tmp_path / "out", "prores_proxy")
    pick = SampledClip(spec=job, index=0, expected=FORGED, made_by=HERE, attempt=1)
    steps: list[Step] = []
    place = yard(tmp_path)
    place.watch, place.should_stop = steps.append, lambda: bool(steps)
    with pytest.raises(Interrupted):
        compare_clip(pick, place)
    assert not [step for step in steps if isinstance(step, ClipEnded)]
    with pytest.raises(Interrupted):
        compare_clip(pick, place)
    assert list(place.folder.iterdir()) == []
    assert store.list("") == ()
