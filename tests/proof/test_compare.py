"""Clips of finished jobs encoded again: the same bytes, different bytes, or not judged on this machine."""

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


def new_session(tmp_path: Path) -> ReencodeSession:
    folder = tmp_path / "again"
    folder.mkdir(exist_ok=True)
    return ReencodeSession(folder=folder, worker=WORKER)


def compare_all(store: Store, session: ReencodeSession, *, not_made_on: str | None = None) -> list[ComparedClip]:
    scope = SampleScope(share=Fraction(1), not_made_on=not_made_on)
    return [compare_clip(item, session) for item in sample(store, scope, SampleTally())]


def verdicts(compared: list[ComparedClip]) -> dict[tuple[str, int], tuple[Comparison, str | None]]:
    return {
        (clip.of.spec.job_id, clip.of.index): (clip.verdict, clip.problem.code if clip.problem else None)
        for clip in compared
        if isinstance(clip.of, SampledClip)
    }


def altered(job: JobSpec, change: Callable[[JobSpec], dict[str, object]]) -> SampledClip:
    """Returns clip 0 of a changed job, as another machine could have recorded it."""
    content = job.model_copy(update=change(job))
    changed = seal(
        JobContent(
            schema_="proxx.job/1",
            name=content.name,
            profile=content.profile,
            toolchain=content.toolchain,
            clips=content.clips,
            left_out=(),
        )
    )
    return SampledClip(spec=changed, index=0, expected=FORGED, made_by=THERE, attempt=1)


@pytest.mark.clause("V1")
@pytest.mark.clause("T5")
def test_only_the_clip_with_a_forged_record_differs(tmp_path: Path) -> None:
    """Three jobs of two machines; no store and no output is changed."""
    store = MemoryStore()
    first = finish(store, tmp_path / "first", 2)
    second = finish(store, tmp_path / "second", 1, profile="h264_review_mp4", worker=THERE)
    third = finish(store, tmp_path / "third", 1, profile="dnxhr_lb_mxf")
    fleet = forged(store, first, 1)
    objects = {key: fleet.read(key) for key in fleet.list("")}
    outputs = {path: path.read_bytes() for path in tmp_path.rglob("*.m*") if path.is_file()}
    session = new_session(tmp_path)
    compared = compare_all(fleet, session)
    assert verdicts(compared) == {
        (first.job_id, 0): (Comparison.SAME, None),
        (first.job_id, 1): (Comparison.DIFFERS, "OTHER_BYTES"),
        (second.job_id, 0): (Comparison.SAME, None),
        (third.job_id, 0): (Comparison.SAME, None),
    }
    (differing,) = (clip for clip in compared if clip.verdict == Comparison.DIFFERS)
    assert differing.kept is not None
    assert differing.kept.read_bytes() == outputs[Path(first.clips[1].outputs[0].uri)]
    assert list(session.folder.iterdir()) == [differing.kept]
    assert {key: fleet.read(key) for key in fleet.list("")} == objects
    assert {path: path.read_bytes() for path in outputs} == outputs
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second", "third", "again"}

    of_others = compare_all(fleet, new_session(tmp_path), not_made_on=HERE.host)
    assert verdicts(of_others) == {(second.job_id, 0): (Comparison.SAME, None)}
    assert isinstance(of_others[0].of, SampledClip)
    assert of_others[0].of.made_by == THERE


def test_a_clip_that_this_machine_cannot_encode_is_not_judged(tmp_path: Path) -> None:
    """The toolchain is another one, the source is gone or changed, or its root is not set."""
    job = create((half_second("clip.mov"),), tmp_path / "out", "prores_proxy")
    (clip,) = job.clips
    (file,) = clip.source.files

    def with_source(**update: object) -> dict[str, object]:
        files = (file.model_copy(update=update),)
        return {"clips": (clip.model_copy(update={"source": clip.source.model_copy(update={"files": files})}),)}

    clips = {
        "TOOLCHAIN_MISMATCH": altered(
            job, lambda spec: {"toolchain": spec.toolchain.model_copy(update={"ffmpeg_version": "n9"})}
        ),
        "SOURCE_MISSING": altered(job, lambda _: with_source(uri="/nowhere/gone.mov")),
        "SOURCE_CHANGED": altered(job, lambda _: with_source(digest=FORGED)),
        "PLACE_UNREACHABLE": altered(job, lambda _: with_source(uri="media:/gone.mov")),
    }
    session = new_session(tmp_path)
    for code, sampled in clips.items():
        judged = compare_clip(sampled, session)
        assert (judged.verdict, judged.kept) == (Comparison.NOT_JUDGED, None)
        assert judged.problem is not None
        assert judged.problem.code == code
    assert list(session.folder.iterdir()) == []


def test_an_encode_that_fails_now_is_a_difference(tmp_path: Path) -> None:
    job = create((half_second("clip.mov"),), tmp_path / "out", "prores_proxy")
    (clip,) = job.clips
    fewer = clip.model_copy(update={"expect": clip.expect.model_copy(update={"frames": 11})})
    judged = compare_clip(altered(job, lambda _: {"clips": (fewer,)}), new_session(tmp_path))
    assert judged.verdict == Comparison.DIFFERS
    assert judged.problem is not None
    assert judged.problem.code == "FRAMES_MISMATCH"


def test_only_the_source_must_be_reachable(tmp_path: Path) -> None:
    """A machine that audits does not need the root of the proxies."""
    source = half_second("clip.mov")
    job = create((source,), tmp_path / "out", "prores_proxy")
    store = MemoryStore()
    run(store, job)
    (original,) = sample(store, SampleScope(share=Fraction(1)), SampleTally())
    assert isinstance(original, SampledClip)
    (clip,) = job.clips
    file = clip.source.files[0].model_copy(update={"uri": f"media:/{source.name}"})
    output = clip.outputs[0].model_copy(update={"uri": "proxies:/clip.mov"})
    below_roots = clip.model_copy(
        update={"source": clip.source.model_copy(update={"files": (file,)}), "outputs": (output,)}
    )
    sampled = SampledClip(
        spec=altered(job, lambda _: {"clips": (below_roots,)}).spec,
        index=0,
        expected=original.expected,
        made_by=HERE,
        attempt=1,
    )
    session = new_session(tmp_path)
    session.places = Places(roots=Roots((Root("media", str(source.parent)),)))
    assert compare_clip(sampled, session).verdict == Comparison.SAME


def test_attempts_that_recorded_other_bytes_differ(tmp_path: Path) -> None:
    job = create((half_second("clip.mov"),), tmp_path / "out", "prores_proxy")
    sampled = SampledClip(spec=job, index=0, expected=FORGED, made_by=HERE, attempt=2, differing=(1,))
    judged = compare_clip(sampled, new_session(tmp_path))
    assert judged.verdict == Comparison.DIFFERS
    assert judged.problem is not None
    assert judged.problem.code == "RECORDS_DIFFER"


def test_a_stop_request_interrupts_between_clips_and_within_one(tmp_path: Path) -> None:
    long = make("long.mov", *picture(size="640x480", seconds="20"), "-c:v", "mpeg4", "-g", "1", "-threads", "1")
    store, job = MemoryStore(), create((long,), tmp_path / "out", "prores_proxy")
    sampled = SampledClip(spec=job, index=0, expected=FORGED, made_by=HERE, attempt=1)
    steps: list[Step] = []
    session = new_session(tmp_path)
    session.watch, session.should_stop = steps.append, lambda: bool(steps)
    with pytest.raises(Interrupted):
        compare_clip(sampled, session)
    assert not [step for step in steps if isinstance(step, ClipEnded)]
    with pytest.raises(Interrupted):
        compare_clip(sampled, session)
    assert list(session.folder.iterdir()) == []
    assert store.list("") == ()
