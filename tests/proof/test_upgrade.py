"""Predictions of another profile or toolchain: decided by the rules of creation, made, compared, never published."""

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


def new_session(tmp_path: Path) -> ReencodeSession:
    folder = tmp_path / "again"
    folder.mkdir(exist_ok=True)
    return ReencodeSession(folder=folder, worker=WORKER)


def sampled(job: JobSpec, expected: str = FORGED) -> SampledClip:
    return SampledClip(spec=job, index=0, expected=expected, made_by=WORKER, attempt=1)


def next_version(name: str, **rules: dict[str, Any]) -> ProfileSpec:
    """Returns the next version of a profile, with other rules in some of its sections."""
    plain = find_profile(name).to_json()
    for section, rule in rules.items():
        plain[section] = {**plain[section], **rule} if isinstance(plain[section], dict) else rule  # type: ignore[dict-item]
    version = plain["version"]
    assert isinstance(version, int)
    plain["version"] = version + 1
    return ProfileSpec.model_validate_json(json.dumps(plain))


def predict(job: JobSpec, tmp_path: Path, change: UpgradeChange, expected: str = FORGED) -> ClipPrediction:
    """Predicts clip 0 of a job, and asserts that no file is left behind."""
    session = new_session(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    prediction = predict_clip(sampled(job, expected), change, session)
    assert list(session.folder.iterdir()) == []
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    return prediction


def differences_of(prediction: ClipPrediction) -> dict[str, tuple[str, str, bool]]:
    return {each.name: (each.old, each.new, each.relinks) for each in prediction.differences}


def half_second_job(tmp_path: Path, profile: str = PRORES) -> JobSpec:
    return create((half_second("clip.mov"),), tmp_path / "out", profile)


# --- another profile -------------------------------------------------------------------------------------


def test_the_same_rules_make_the_same_bytes(tmp_path: Path) -> None:
    job = half_second_job(tmp_path)
    first = predict(job, tmp_path, UpgradeChange(profile=next_version(PRORES)))
    assert (first.outlook, first.differences, first.problem) == (PredictedOutcome.RELINKS, (), None)
    assert first.found is not None
    again = predict(job, tmp_path, UpgradeChange(profile=next_version(PRORES)), first.found)
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
def test_a_profile_that_keeps_relinking(
    rules: dict[str, Any], differences: dict[str, tuple[str, str, bool]], tmp_path: Path
) -> None:
    prediction = predict(half_second_job(tmp_path), tmp_path, UpgradeChange(profile=next_version(PRORES, **rules)))
    assert (prediction.outlook, prediction.problem) == (PredictedOutcome.RELINKS, None)
    assert differences_of(prediction) == differences


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
def test_a_profile_that_breaks_relinking(
    rules: dict[str, Any], differences: dict[str, tuple[str, str, bool]], tmp_path: Path
) -> None:
    prediction = predict(half_second_job(tmp_path), tmp_path, UpgradeChange(profile=next_version(PRORES, **rules)))
    assert (prediction.outlook, prediction.problem) == (PredictedOutcome.BREAKS, None)
    assert {name: each for name, each in differences_of(prediction).items() if not each[2]} == differences


def test_a_timecode_that_the_old_proxy_lacks_breaks_relinking(tmp_path: Path) -> None:
    job = create((make("bare.mov", *picture(), "-c:v", "mpeg4", "-threads", "1"),), tmp_path / "out", PRORES)
    zero = next_version(PRORES, timecode={"missing": "zero"})
    prediction = predict(job, tmp_path, UpgradeChange(profile=zero))
    assert prediction.outlook == PredictedOutcome.BREAKS
    assert differences_of(prediction) == {"timecode": ("none", "00:00:00:00", False)}


def test_another_sound_rate_and_another_container_break_relinking(tmp_path: Path) -> None:
    source = make(
        "cd.mov",
        *(*picture(size="640x360"), *sound("mono", rate=44100), "-c:v", "mpeg4", "-threads", "1"),
        *("-c:a", "pcm_s16le", "-timecode", "01:00:00:00"),
    )
    job = create((source,), tmp_path / "out", "dnxhr_lb")
    prediction = predict(job, tmp_path, UpgradeChange(profile=find_profile("dnxhr_lb_mxf")))
    assert prediction.outlook == PredictedOutcome.BREAKS
    assert {name: each for name, each in differences_of(prediction).items() if not each[2]} == {
        "name": ("cd.mov", "cd.mxf", False),
        "audio.0.samples": ("21168", "23040", False),
    }
    assert prediction.output == str(tmp_path / "out/cd.mxf")


def test_another_encoder_is_a_difference(tmp_path: Path) -> None:
    prediction = predict(
        half_second_job(tmp_path, "prores_proxy"), tmp_path, UpgradeChange(profile=find_profile("dnxhr_lb"))
    )
    assert prediction.outlook == PredictedOutcome.RELINKS
    assert differences_of(prediction)["picture.codec"] == ("prores Proxy", "dnxhd DNXHR LB", True)


@pytest.mark.parametrize(
    ("rules", "code", "message"),
    [
        ({"rates": ["24"]}, "SOURCE_UNSUPPORTED", "does not write its frame rate, 25"),
        ({"toolchains": ["full"]}, "PREFLIGHT_REFUSED", "is not made with the static toolchain"),
    ],
)
def test_a_clip_that_creation_would_refuse(rules: dict[str, Any], code: str, message: str, tmp_path: Path) -> None:
    prediction = predict(half_second_job(tmp_path), tmp_path, UpgradeChange(profile=next_version(PRORES, **rules)))
    assert (prediction.outlook, prediction.found, prediction.output) == (PredictedOutcome.REFUSED, None, None)
    assert prediction.problem is not None
    assert prediction.problem.code == code
    assert message in prediction.problem.message


def test_a_proxy_that_would_replace_its_source_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(make("clip.mp4", *picture("320x240"), "-c:v", "mpeg4", "-threads", "1").read_bytes())
    job = create((source,), tmp_path, PRORES)
    prediction = predict(job, tmp_path, UpgradeChange(profile=find_profile("h264_review_mp4")))
    assert prediction.outlook == PredictedOutcome.REFUSED
    assert prediction.problem is not None
    assert prediction.problem.code == "OUTPUT_CLAIMED"


# --- another toolchain -----------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["prores_proxy", "h264_review_mp4"])
def test_another_toolchain_keeps_relinking(profile: str, tmp_path: Path) -> None:
    """ffmpeg 9 instead of 8: whatever the bytes, an edit relinks to the proxy."""
    job = half_second_job(tmp_path, profile)
    static = predict(job, tmp_path, UpgradeChange(toolchain=find_toolchain("static")))
    assert static.found is not None
    assert (
        predict(job, tmp_path, UpgradeChange(toolchain=find_toolchain("static")), static.found).outlook
        == PredictedOutcome.SAME
    )
    full = predict(job, tmp_path, UpgradeChange(toolchain=find_toolchain("full")), static.found)
    assert full.outlook == (PredictedOutcome.SAME if full.found == static.found else PredictedOutcome.RELINKS)
    assert full.differences == ()


def test_without_the_job_s_own_toolchain_only_another_one_is_judged(tmp_path: Path) -> None:
    """A new profile alone needs the job's own toolchain; an installed toolchain can be judged."""
    job = half_second_job(tmp_path)
    gone = job.model_copy(update={"toolchain": job.toolchain.model_copy(update={"ffmpeg_version": "n7"})})
    prediction = predict(gone, tmp_path, UpgradeChange(profile=next_version(PRORES)))
    assert (prediction.outlook, prediction.problem and prediction.problem.code) == (
        PredictedOutcome.NOT_JUDGED,
        "TOOLCHAIN_MISMATCH",
    )
    assert (
        predict(gone, tmp_path, UpgradeChange(toolchain=find_toolchain("static"))).outlook == PredictedOutcome.RELINKS
    )


# --- sources ---------------------------------------------------------------------------------------------


def predict_with_source(change: Callable[[Path], object], tmp_path: Path) -> ClipPrediction:
    source = tmp_path / "clip.mov"
    source.write_bytes(half_second("clip.mov").read_bytes())
    job = create((source,), tmp_path / "out", PRORES)
    change(source)
    return predict(job, tmp_path, UpgradeChange(profile=next_version(PRORES)))


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
def test_a_missing_or_changed_source_is_not_judged(
    change: Callable[[Path], object], code: str, tmp_path: Path
) -> None:
    prediction = predict_with_source(change, tmp_path)
    assert prediction.outlook == PredictedOutcome.NOT_JUDGED
    assert prediction.problem is not None
    assert prediction.problem.code == code


def test_an_unexpected_error_in_the_source_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("boxes nest")

    job = half_second_job(tmp_path)
    monkeypatch.setattr("proxx.create.examine.probe", fail)
    prediction = predict(job, tmp_path, UpgradeChange(profile=next_version(PRORES)))
    assert prediction.outlook == PredictedOutcome.NOT_JUDGED
    assert prediction.problem is not None
    assert (prediction.problem.code, "(RuntimeError)" in prediction.problem.message) == ("SOURCE_UNREADABLE", True)


def test_accepted_damage_is_accepted_again(tmp_path: Path) -> None:
    """The decision to accept a damaged source is the user's and stays, whatever the profile."""
    job = half_second_job(tmp_path)
    (clip,) = job.clips
    accepted = clip.model_copy(update={"recipe": clip.recipe.model_copy(update={"decode_errors": "accept"})})
    damaged = job.model_copy(update={"clips": (accepted,)})
    assert predict(damaged, tmp_path, UpgradeChange(profile=next_version(PRORES))).outlook == PredictedOutcome.RELINKS


def test_a_stop_request_interrupts_while_a_source_is_read(tmp_path: Path) -> None:
    session = new_session(tmp_path)
    requests = iter([False, True])
    session.should_stop = lambda: next(requests, True)
    with pytest.raises(Interrupted):
        predict_clip(sampled(half_second_job(tmp_path)), UpgradeChange(profile=next_version(PRORES)), session)
    assert list(session.folder.iterdir()) == []
