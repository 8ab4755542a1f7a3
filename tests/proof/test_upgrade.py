"""What another profile or toolchain would make: decided by creation's rules, made, compared, never published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from proxx.contracts.errors import Interrupted
from proxx.contracts.event import Worker
from proxx.contracts.job import JobSpec
from proxx.contracts.profile import ProfileSpec, find_profile
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.proof.compare import ReencodeSession
from proxx.proof.sample import SampledClip
from proxx.proof.upgrade import ClipPrediction, PredictedOutcome, UpgradeChange, predict_clip
from tests.support.finished import FORGED
from tests.support.jobs import create, half_second
from tests.support.makemedia import make, picture, sound

WORKER: Final = Worker(host="here", pid=1, user="editor")
PRORES: Final = "prores_proxy_half"


def yard(tmp_path: Path) -> ReencodeSession:
    folder = tmp_path / "again"
    folder.mkdir(exist_ok=True)
    return ReencodeSession(folder=folder, worker=WORKER)


def pick(job: JobSpec, expected: str = FORGED) -> SampledClip:
    return SampledClip(spec=job, index=0, expected=expected, made_by=WORKER, attempt=1)


def next_version(name: str, **rules: dict[str, Any]) -> ProfileSpec:
    """The next version of a profile, with other rules in some of its parts."""
    plain = find_profile(name).to_json()
    for part, rule in rules.items():
        plain[part] = {**plain[part], **rule} if isinstance(plain[part], dict) else rule  # type: ignore[dict-item]
    version = plain["version"]
    assert isinstance(version, int)
    plain["version"] = version + 1
    return ProfileSpec.model_validate_json(json.dumps(plain))


def look(job: JobSpec, tmp_path: Path, change: UpgradeChange, expected: str = FORGED) -> ClipPrediction:
    place = yard(tmp_path)
    there = {path for path in tmp_path.rglob("*") if path.is_file()}
    foreseen = predict_clip(pick(job, expected), change, place)
    assert list(place.folder.iterdir()) == []
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == there
    return foreseen


def told(foreseen: ClipPrediction) -> dict[str, tuple[str, str, bool]]:
    return {one.name: (one.old, one.new, one.relinks) for one in foreseen.differences}


def ours(tmp_path: Path, profile: str = PRORES) -> JobSpec:
    return create((half_second("clip.mov"),), tmp_path / "out", profile)


# --- another profile -------------------------------------------------------------------------------------


def test_the_same_rules_make_the_same_bytes(tmp_path: Path) -> None:
    job = ours(tmp_path)
    first = look(job, tmp_path, UpgradeChange(profile=next_version(PRORES)))
    assert (first.outlook, first.differences, first.problem) == (PredictedOutcome.RELINKS, (), None)
    assert first.found is not None
    again = look(job, tmp_path, UpgradeChange(profile=next_version(PRORES)), first.found)
    assert (again.outlook, again.found) == (PredictedOutcome.SAME, first.found)
    assert again.output == job.clips[0].outputs[0].uri


@pytest.mark.parametrize(
    ("rules", "differences"),
    [
        ({"size": {"n": 4}}, {"size": ("160x120", "80x60", True)}),
        (
            {"audio": {"encoder": "pcm_s16le", "codec": "pcm_s16le", "bits": 16}},
            {"audio.0.codec": ("pcm_s24le", "pcm_s16le", True), "audio.0.bits": ("24", "16", True)},
        ),
        ({"timecode": {"missing": "zero"}}, {}),  # the source has one
    ],
    ids=["size", "bits", "timecode"],
)
def test_a_profile_that_relinks(
    rules: dict[str, Any], differences: dict[str, tuple[str, str, bool]], tmp_path: Path
) -> None:
    foreseen = look(ours(tmp_path), tmp_path, UpgradeChange(profile=next_version(PRORES, **rules)))
    assert (foreseen.outlook, foreseen.problem) == (PredictedOutcome.RELINKS, None)
    assert told(foreseen) == differences


@pytest.mark.parametrize(
    ("rules", "differences"),
    [
        (
            {"audio": {"mode": "mono"}},
            {
                "audio.tracks": ("1", "2", False),
                "audio.0.channels": ("2", "1", False),
                "audio.1.channels": ("none", "1", False),
                "audio.1.samples": ("none", "23040", False),
            },
        ),
        ({"reel": {"carried": "none"}}, {"reel": ("A001", "none", False)}),
    ],
    ids=["tracks", "reel"],
)
def test_a_profile_that_does_not_relink(
    rules: dict[str, Any], differences: dict[str, tuple[str, str, bool]], tmp_path: Path
) -> None:
    foreseen = look(ours(tmp_path), tmp_path, UpgradeChange(profile=next_version(PRORES, **rules)))
    assert (foreseen.outlook, foreseen.problem) == (PredictedOutcome.BREAKS, None)
    assert {name: each for name, each in told(foreseen).items() if not each[2]} == differences


def test_a_timecode_that_was_not_there(tmp_path: Path) -> None:
    job = create((make("bare.mov", *picture(), "-c:v", "mpeg4", "-threads", "1"),), tmp_path / "out", PRORES)
    zero = next_version(PRORES, timecode={"missing": "zero"})
    foreseen = look(job, tmp_path, UpgradeChange(profile=zero))
    assert foreseen.outlook == PredictedOutcome.BREAKS
    assert told(foreseen) == {"timecode": ("none", "00:00:00:00", False)}


def test_another_rate_of_sound_and_another_container(tmp_path: Path) -> None:
    source = make(
        "cd.mov",
        *(*picture(size="640x360"), *sound("mono", rate=44100), "-c:v", "mpeg4", "-threads", "1"),
        *("-c:a", "pcm_s16le", "-timecode", "01:00:00:00"),
    )
    job = create((source,), tmp_path / "out", "dnxhr_lb")
    foreseen = look(job, tmp_path, UpgradeChange(profile=find_profile("dnxhr_lb_mxf")))
    assert foreseen.outlook == PredictedOutcome.BREAKS
    assert {name: each for name, each in told(foreseen).items() if not each[2]} == {
        "name": ("cd.mov", "cd.mxf", False),
        "audio.0.samples": ("21168", "23040", False),
    }
    assert foreseen.output == str(tmp_path / "out/cd.mxf")


def test_another_encoder_is_said(tmp_path: Path) -> None:
    foreseen = look(ours(tmp_path, "prores_proxy"), tmp_path, UpgradeChange(profile=find_profile("dnxhr_lb")))
    assert foreseen.outlook == PredictedOutcome.RELINKS
    assert told(foreseen)["picture.codec"] == ("prores Proxy", "dnxhd DNXHR LB", True)


@pytest.mark.parametrize(
    ("rules", "code", "said"),
    [
        ({"rates": ["24"]}, "SOURCE_UNSUPPORTED", "does not write its frame rate, 25"),
        ({"toolchains": ["full"]}, "PREFLIGHT_REFUSED", "is not made with the static toolchain"),
    ],
)
def test_a_clip_that_would_be_refused(rules: dict[str, Any], code: str, said: str, tmp_path: Path) -> None:
    foreseen = look(ours(tmp_path), tmp_path, UpgradeChange(profile=next_version(PRORES, **rules)))
    assert (foreseen.outlook, foreseen.found, foreseen.output) == (PredictedOutcome.REFUSED, None, None)
    assert foreseen.problem is not None
    assert foreseen.problem.code == code
    assert said in foreseen.problem.message


def test_a_proxy_that_would_replace_its_source(tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(make("clip.mp4", *picture("320x240"), "-c:v", "mpeg4", "-threads", "1").read_bytes())
    job = create((source,), tmp_path, PRORES)
    foreseen = look(job, tmp_path, UpgradeChange(profile=find_profile("h264_review_mp4")))
    assert foreseen.outlook == PredictedOutcome.REFUSED
    assert foreseen.problem is not None
    assert foreseen.problem.code == "OUTPUT_CLAIMED"


# --- another toolchain -----------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["prores_proxy", "h264_review_mp4"])
def test_another_toolchain(profile: str, tmp_path: Path) -> None:
    """ffmpeg 9 in the place of 8: whatever the bytes, an edit finds the proxy."""
    job = ours(tmp_path, profile)
    static = look(job, tmp_path, UpgradeChange(toolchain=find_toolchain("static")))
    assert static.found is not None
    assert (
        look(job, tmp_path, UpgradeChange(toolchain=find_toolchain("static")), static.found).outlook
        == PredictedOutcome.SAME
    )
    full = look(job, tmp_path, UpgradeChange(toolchain=find_toolchain("full")), static.found)
    assert full.outlook == (PredictedOutcome.SAME if full.found == static.found else PredictedOutcome.RELINKS)
    assert full.differences == ()


def test_the_job_s_own_toolchain_is_not_here(tmp_path: Path) -> None:
    """Then a profile cannot be judged by itself; the toolchain that is here can."""
    job = ours(tmp_path)
    gone = job.model_copy(update={"toolchain": job.toolchain.model_copy(update={"ffmpeg_version": "n7"})})
    foreseen = look(gone, tmp_path, UpgradeChange(profile=next_version(PRORES)))
    assert (foreseen.outlook, foreseen.problem and foreseen.problem.code) == (
        PredictedOutcome.NOT_JUDGED,
        "TOOLCHAIN_MISMATCH",
    )
    assert look(gone, tmp_path, UpgradeChange(toolchain=find_toolchain("static"))).outlook == PredictedOutcome.RELINKS


# --- sources ---------------------------------------------------------------------------------------------


def spoilt(change: Callable[[Path], object], tmp_path: Path) -> ClipPrediction:
    source = tmp_path / "clip.mov"
    source.write_bytes(half_second("clip.mov").read_bytes())
    job = create((source,), tmp_path / "out", PRORES)
    change(source)
    return look(job, tmp_path, UpgradeChange(profile=next_version(PRORES)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda path: path.unlink(), "SOURCE_MISSING"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "SOURCE_CHANGED"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "SOURCE_CHANGED"),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "SOURCE_CHANGED"),  # no media file any more
    ],
    ids=["gone", "longer", "a byte", "zeros"],
)
def test_a_source_that_is_not_the_one(change: Callable[[Path], object], code: str, tmp_path: Path) -> None:
    foreseen = spoilt(change, tmp_path)
    assert foreseen.outlook == PredictedOutcome.NOT_JUDGED
    assert foreseen.problem is not None
    assert foreseen.problem.code == code


def test_accepted_damage_is_accepted_again(tmp_path: Path) -> None:
    """What was decided about the source is not another decision of the profile's."""
    job = ours(tmp_path)
    (clip,) = job.clips
    accepted = clip.model_copy(update={"recipe": clip.recipe.model_copy(update={"decode_errors": "accept"})})
    damaged = job.model_copy(update={"clips": (accepted,)})
    assert look(damaged, tmp_path, UpgradeChange(profile=next_version(PRORES))).outlook == PredictedOutcome.RELINKS


def test_it_can_be_stopped_while_a_source_is_read(tmp_path: Path) -> None:
    place = yard(tmp_path)
    asked = iter([False, True])
    place.should_stop = lambda: next(asked, True)
    with pytest.raises(Interrupted):
        predict_clip(pick(ours(tmp_path)), UpgradeChange(profile=next_version(PRORES)), place)
    assert list(place.folder.iterdir()) == []
