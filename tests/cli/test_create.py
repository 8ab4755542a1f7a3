"""`proxx create`: what it prints, what it writes and never overwrites, how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxx.cli.spec_files import file_name
from proxx.contracts.job import read_spec
from tests.cli.command import Answer, call
from tests.support.jobs import half_second

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Three clips, a sidecar, and nothing wrong."""
    folder = tmp_path / "card"
    folder.mkdir()
    for number in (1, 2, 10):
        made = half_second(f"A{number}.mov", f"01:00:{number:02d}:00")
        (folder / f"A{number}.mov").write_bytes(made.read_bytes())
    (folder / "A1.xml").write_text("<x/>")
    return folder


def create(capsys: Capture, card: Path, spec: Path | str, *args: object) -> Answer:
    said = ("--profile", "prores_proxy", "--output", card.parent / "out", "--spec", spec)
    return call(capsys, "create", card, *said, *args)


def test_one_job(card: Path, tmp_path: Path, capsys: Capture) -> None:
    answer = create(capsys, card, tmp_path / "day1.json")
    assert (answer.status, answer.err) == (0, "")
    job = read_spec((tmp_path / "day1.json").read_bytes())
    assert [Path(clip.source.files[0].uri).name for clip in job.clips] == ["A1.mov", "A2.mov", "A10.mov"]
    assert f"{tmp_path}/day1.json: job {job.job_id}, 3 clips" in answer.out
    assert "A1.xml: a sidecar" in answer.out
    assert "3 proxies, about " in answer.out
    assert "are free there" in answer.out
    assert "colour assumed" in answer.out
    assert not (tmp_path / "out").exists()


def test_json(card: Path, tmp_path: Path, capsys: Capture) -> None:
    data = create(capsys, card, tmp_path / "day1.json", "--json", "--name", "Tag 1").json
    job = read_spec((tmp_path / "day1.json").read_bytes())
    assert job.name == "Tag 1"
    assert (data["job_id"], data["clips"], data["spec"]) == (job.job_id, 3, str(tmp_path / "day1.json"))
    assert data["specs"] == [{"spec": data["spec"], "job_id": job.job_id, "clips": 3}]
    assert [one["path"] for one in data["passed_over"]] == [str(card / "A1.xml")]
    assert (data["left_out"], data["conformed"]) == ([], [])
    assert 0 < data["space"]["low"] < data["space"]["high"]


def test_the_same_work_is_the_same_job(card: Path, tmp_path: Path, capsys: Capture) -> None:
    ids = {create(capsys, card, tmp_path / f"{n}.json", "--json").json["job_id"] for n in range(2)}
    assert len(ids) == 1


def test_several_jobs_into_a_folder(card: Path, tmp_path: Path, capsys: Capture) -> None:
    data = create(capsys, card, tmp_path / "specs", "--clips-per-job", "2", "--json").json
    assert "job_id" not in data
    assert [one["clips"] for one in data["specs"]] == [2, 1]
    assert sorted(path.name for path in (tmp_path / "specs").iterdir()) == ["card-001.json", "card-002.json"]
    for one in data["specs"]:
        assert read_spec(Path(one["spec"]).read_bytes()).job_id == one["job_id"]


def test_a_folder_for_one_job(card: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "specs").mkdir()
    assert create(capsys, card, tmp_path / "specs", "--name", "../a/b\n").status == 0
    assert [path.name for path in (tmp_path / "specs").iterdir()] == ["_._a_b_.json"]
    assert create(capsys, card, f"{tmp_path}/new/").status == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["card.json"]


def test_a_spec_is_never_overwritten(card: Path, tmp_path: Path, capsys: Capture) -> None:
    spec = tmp_path / "day1.json"
    spec.write_text("mine")
    answer = create(capsys, card, spec, "--json")
    assert (answer.status, answer.code) == (3, "PREFLIGHT_REFUSED")
    assert "never overwritten" in answer.json["error"]["problems"][0]["message"]
    assert spec.read_text() == "mine"
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "nowhere")
    assert create(capsys, card, link).status == 3


def test_all_specs_or_none(card: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "card-002.json").write_text("mine")
    assert create(capsys, card, tmp_path / "specs", "--clips-per-job", "1").status == 3
    assert {path.name: path.read_text() for path in (tmp_path / "specs").iterdir()} == {"card-002.json": "mine"}


@pytest.mark.parametrize("spec", ["no/such/folder/x.json", "card/A1.xml/x.json"])
def test_a_place_that_cannot_be_is_refused_before_any_reading(
    spec: str, card: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxx.create.jobs.create_jobs", lambda *_, **__: pytest.fail("it was read"))
    assert create(capsys, card, tmp_path / spec).status == 3


def test_all_problems_at_once_then_left_out(card: Path, tmp_path: Path, capsys: Capture) -> None:
    (card / "B1\x1b[31m.mov").write_bytes(b"no film at all")
    (card / "C1.r3d").write_bytes(b"RED2" * 100)
    spec = tmp_path / "day1.json"
    answer = create(capsys, card, spec)
    assert answer.status == 3
    assert "B1\\x1b[31m.mov" in answer.err
    assert "C1.r3d: SOURCE_UNSUPPORTED" in answer.err
    assert "\x1b" not in answer.err
    assert not spec.exists()
    answer = create(capsys, card, spec, "--leave-out-refused")
    assert answer.status == 0
    assert "LEFT OUT, refused (2):" in answer.out
    assert "C1.r3d: SOURCE_UNSUPPORTED" in answer.out
    assert "\x1b" not in answer.out
    assert len(read_spec(spec.read_bytes()).left_out) == 2


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--profile", "no_such"], "PROFILE_INVALID"),
        (["--template", "{nonsense}"], "PREFLIGHT_REFUSED"),
        (["--accept-damage", "Z9.mov"], "PREFLIGHT_REFUSED"),
        (["--template", "{profile}/same"], "PREFLIGHT_REFUSED"),
    ],
)
def test_refused_requests(args: list[str], code: str, card: Path, tmp_path: Path, capsys: Capture) -> None:
    answer = create(capsys, card, tmp_path / "day1.json", *args, "--json")
    assert (answer.status, answer.code) == (3, code)
    assert answer.json["error"]["problems"]


def test_a_profile_of_ones_own(card: Path, tmp_path: Path, capsys: Capture) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(call(capsys, "profiles", "h264_quarter").out.replace('"h264_quarter"', '"mine"'))
    assert create(capsys, card, tmp_path / "day1.json", "--profile", mine).status == 0
    assert read_spec((tmp_path / "day1.json").read_bytes()).profile.name == "mine"
    mine.write_text(mine.read_text() + "\n[nonsense]\nx = 1\n")
    answer = create(capsys, card, tmp_path / "day2.json", "--profile", mine, "--json")
    assert (answer.status, answer.code) == (3, "PROFILE_INVALID")
    assert answer.json["error"]["problems"][0]["path"] == "nonsense"


def test_it_warns_where_the_proxies_may_not_fit(
    card: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxx.files.workdir.free_bytes", lambda _: 1000)
    assert "WARNING: the proxies may not fit" in create(capsys, card, tmp_path / "day1.json").out


@pytest.mark.parametrize(
    ("name", "file"), [("day 1", "day 1"), ("-x", "_x"), (".x", "_x"), ("a/b", "a_b"), ("é" * 190, "é" * 100)]
)
def test_names_of_spec_files(name: str, file: str) -> None:
    assert file_name(name) == file
