"""`profiles`, `doctor`, `verify`, `reproduce` and `demo`: output and exit statuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec
from proxx.contracts.profile import catalogue
from proxx.doctor.finding import Finding
from proxx.engine.execute import register_job
from proxx.store.file import FileStore
from tests.cli.command import ALONE, Answer, call, proxx
from tests.objects.ground import Ground
from tests.support.jobs import make_job, write_spec

Capture = pytest.CaptureFixture[str]


def test_profiles_are_listed(capsys: Capture) -> None:
    answer = call(capsys, "profiles")
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[0].split()[:3] == ["NAME", "FILE", "SIZE"]
    for name, line in zip(catalogue(), lines[1:], strict=False):
        assert line.startswith(f"{name} ")
    listed = call(capsys, "profiles", "--json").json["profiles"]
    assert [profile["name"] for profile in listed] == list(catalogue())
    assert all(len(profile["fingerprint"]) == 64 for profile in listed)


@pytest.mark.parametrize("name", catalogue())
def test_a_profile_is_printed_in_full(name: str, capsys: Capture) -> None:
    assert tomllib.loads(call(capsys, "profiles", name).out)["name"] == name


def test_an_unknown_profile_is_exit_status_3_and_the_known_ones_are_named(capsys: Capture) -> None:
    answer = call(capsys, "profiles", "prores")
    assert answer.status == 3
    assert "prores_proxy" in answer.err
    assert answer.err.count("PROFILE_INVALID") == 1  # the problem does not repeat the code of the error


@pytest.mark.parametrize("healthy", [True, False])
def test_doctor_prints_its_findings(healthy: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = (
        Finding("python", True, "Python."),
        Finding("toolchain \x1b", healthy, "Here.", "" if healthy else "Do."),
    )
    monkeypatch.setattr("proxx.doctor.machine.examine_machine", lambda *_, **__: findings)
    answer = call(capsys, "doctor")
    assert answer.status == (0 if healthy else 6)
    assert ("BAD  toolchain \\x1b: Here.\n     -> Do." in answer.out) is not healthy
    data = call(capsys, "doctor", "--json").json
    assert data["healthy"] is healthy
    assert data["findings"][0] == {"area": "python", "ok": True, "sentence": "Python.", "remedy": ""}


def completed_job(ground: Ground, capsys: Capture) -> tuple[JobSpec, Path]:
    """Returns a completed job of three clips and its spec file."""
    job = ground.job("prores_proxy", 3)
    spec = write_spec(job, ground.root / "job.json")
    assert call(capsys, "run", spec).status == 0
    return job, spec


def bytes_at(ground: Ground, place: str) -> bytes:
    data = ground.get(place)
    assert data is not None, f"nothing is at {place}"
    return data


@pytest.mark.parametrize("ground", ["file", "rgw"], indirect=True)
def test_verify_finds_missing_and_changed_proxies(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    job, spec = completed_job(ground, capsys)
    work = tmp_path / "work"
    assert call(capsys, "verify", spec, "--work", work, "--json").code == "WORK_UNUSABLE"
    work.mkdir()
    answer = call(capsys, "verify", spec, "--work", work)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.count("ok  sha256:") == 3
    assert list(work.iterdir()) == []
    ground.delete(job.clips[0].outputs[0].uri)
    changed = job.clips[2].outputs[0].uri
    ground.put(changed, bytes_at(ground, changed)[:-1])
    answer = call(capsys, "verify", spec)
    assert answer.status == 5
    assert "VERIFY_MISMATCH: 2 of 3 proxies" in answer.err
    assert f"  clip 1 {job.clips[0].outputs[0].uri}: PROXY_MISSING: " in answer.err
    assert f"  clip 3 {changed}: PROXY_CHANGED: " in answer.err
    assert "clips[" not in answer.err
    data = call(capsys, "verify", spec, "--json", "--store", ground.target("store"))
    assert (data.status, data.json["verified"], data.code) == (5, False, "VERIFY_MISMATCH")
    problems = [clip["problem"]["code"] if clip["problem"] else None for clip in data.json["clips"]]
    assert problems == ["PROXY_MISSING", None, "PROXY_CHANGED"]


def test_verify_of_proxies_that_were_never_made_names_no_file_to_move(tmp_path: Path, capsys: Capture) -> None:
    job = make_job(tmp_path / "out", "prores_proxy", 2)
    spec, store = write_spec(job, tmp_path / "job.json"), FileStore(tmp_path / "store")
    register_job(job, spec.read_bytes(), store, this_worker(), "run-1")
    answer = call(capsys, "--store", tmp_path / "store", "verify", spec)
    assert answer.status == 5
    assert answer.err.splitlines()[1:] == [
        *(
            f"  clip {number} {tmp_path}/out/clip{number - 1}.mov: NOT_MADE: "
            "The job has not made this proxy yet. See `proxx status`."
            for number in (1, 2)
        ),
        "  The job has not made these proxies yet: see `proxx status`.",
    ]


def test_verify_of_an_unknown_job_is_exit_status_3(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(ground.job("prores_proxy"), tmp_path / "job.json")
    answer = call(capsys, "--store", ground.target("another"), "verify", spec, "--json")
    assert (answer.status, answer.code) == (3, "JOB_UNKNOWN")


@pytest.mark.parametrize("ground", ["file", "rgw"], indirect=True)
def test_reproduce_compares_bytes_and_keeps_different_ones(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    job, spec = completed_job(ground, capsys)
    another = ("--store", ground.target("another"))
    work = tmp_path / "work"
    work.mkdir()
    answer = call(capsys, "reproduce", spec, "--work", work)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.count("same        sha256:") == 3
    assert list(work.iterdir()) == []
    sampled = call(capsys, *another, "reproduce", spec, "--sample", "34%", "--json").json
    assert (sampled["reproduced"], sampled["of_clips"], len(sampled["clips"])) == (True, 3, 2)
    # Without the job's record the published files are compared: the changed one differs, its second encode is kept.
    changed = job.clips[1].outputs[0].uri
    right = bytes_at(ground, changed)
    ground.put(changed, right + b"x")
    answer = call(capsys, *another, "reproduce", spec, "--work", work)
    assert answer.status == 5
    assert "REPRODUCE_MISMATCH: 1 of 3" in answer.err
    (kept,) = work.rglob("*.mov")
    assert kept.read_bytes() == right
    assert str(kept) in answer.out
    # A missing source is not a difference: the clip cannot be compared on this machine.
    ground.delete(job.clips[0].source.files[0].uri)
    gone = call(capsys, "reproduce", spec, "--sample", "100%")
    assert (gone.status, "REPRODUCE_INCOMPLETE: 1 of 3" in gone.err) == (6, True)
    assert (gone.out.count("NOT JUDGED  sha256:"), gone.out.count("same        sha256:")) == (1, 2)


@pytest.mark.parametrize("share", ["0%", "101%", "5", "five", "-1%", "1e1%", "٥%"])
def test_a_sample_must_be_a_percentage(share: str, tmp_path: Path, capsys: Capture) -> None:
    assert call(capsys, "reproduce", tmp_path / "x.json", f"--sample={share}").status == 2


def test_reproduce_of_an_unknown_job_is_exit_status_3(ground: Ground, tmp_path: Path, capsys: Capture) -> None:
    spec = write_spec(ground.job("prores_proxy"), tmp_path / "job.json")
    answer = call(capsys, "--store", ground.target("another"), "reproduce", spec, "--json")
    assert (answer.status, answer.code) == (3, "JOB_UNKNOWN")
    assert call(capsys, "reproduce", spec, "--work", tmp_path / "none", "--json").code == "WORK_UNUSABLE"


def test_demo_runs_every_command_in_an_empty_folder(tmp_path: Path) -> None:
    answer = proxx("demo", cwd=tmp_path, code=ALONE)
    assert (answer.status, answer.err) == (0, "")
    for verb in ("create", "run", "verify", "reproduce", "status", "history"):
        assert any(line.startswith("$ proxx ") and f" {verb}" in line for line in answer.out.splitlines())
    assert "all 3 clips" not in answer.out  # that is the label of the bar
    assert sorted(path.name for path in (tmp_path / "proxx-demo/proxies").rglob("*.mov")) == [
        "A001C001.mov",
        "B001C001.mov",
        "IMG_0001.mov",
    ]
    shown = _shown_commands(answer)
    assert proxx(*shown[-1], cwd=tmp_path).status == 0  # a printed command can be pasted
    again = proxx("demo", cwd=tmp_path, code=ALONE)
    assert again.status == 2
    assert "not touched" in again.err


def _shown_commands(answer: Answer) -> list[list[str]]:
    return [line.removeprefix("$ proxx ").split() for line in answer.out.splitlines() if line.startswith("$ proxx ")]
