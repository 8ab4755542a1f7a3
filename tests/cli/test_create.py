"""`proxx create`: what it prints and writes, what it never overwrites, what it refuses."""

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
    """A folder with three good clips and a sidecar."""
    folder = tmp_path / "card"
    folder.mkdir()
    for number in (1, 2, 10):
        clip = half_second(f"A{number}.mov", f"01:00:{number:02d}:00")
        (folder / f"A{number}.mov").write_bytes(clip.read_bytes())
    (folder / "A1.xml").write_text("<x/>")
    return folder


def create(capsys: Capture, card: Path, spec: Path | str, *args: object) -> Answer:
    options = ("--profile", "prores_proxy", "--output", card.parent / "out", "--spec", spec)
    return call(capsys, "create", card, *options, *args)


def test_one_job_is_written(card: Path, tmp_path: Path, capsys: Capture) -> None:
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


def test_json_has_every_job_and_list(card: Path, tmp_path: Path, capsys: Capture) -> None:
    data = create(capsys, card, tmp_path / "day1.json", "--json", "--name", "Tag 1").json
    job = read_spec((tmp_path / "day1.json").read_bytes())
    assert job.name == "Tag 1"
    assert (data["job_id"], data["clips"], data["spec"]) == (job.job_id, 3, str(tmp_path / "day1.json"))
    assert data["specs"] == [{"spec": data["spec"], "job_id": job.job_id, "clips": 3}]
    assert [ignored["path"] for ignored in data["passed_over"]] == [str(card / "A1.xml")]
    assert (data["left_out"], data["conformed"]) == ([], [])
    assert 0 < data["space"]["low"] < data["space"]["high"]


def test_the_same_work_is_the_same_job(card: Path, tmp_path: Path, capsys: Capture) -> None:
    ids = {create(capsys, card, tmp_path / f"{n}.json", "--json").json["job_id"] for n in range(2)}
    assert len(ids) == 1


def test_several_jobs_are_written_to_a_folder(card: Path, tmp_path: Path, capsys: Capture) -> None:
    data = create(capsys, card, tmp_path / "specs", "--clips-per-job", "2", "--json").json
    assert "job_id" not in data
    assert [each["clips"] for each in data["specs"]] == [2, 1]
    assert sorted(path.name for path in (tmp_path / "specs").iterdir()) == ["card-001.json", "card-002.json"]
    for each in data["specs"]:
        assert read_spec(Path(each["spec"]).read_bytes()).job_id == each["job_id"]


def test_one_job_can_be_written_to_a_folder(card: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "specs").mkdir()
    assert create(capsys, card, tmp_path / "specs", "--name", "../a/b\n").status == 0
    assert [path.name for path in (tmp_path / "specs").iterdir()] == ["_._a_b_.json"]
    assert create(capsys, card, f"{tmp_path}/new/").status == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["card.json"]


def test_the_next_command_is_printed(card: Path, tmp_path: Path, capsys: Capture) -> None:
    job = create(capsys, card, tmp_path / "day1.json")
    assert job.out.splitlines()[-1] == f"Next: proxx run {tmp_path}/day1.json"
    jobs = create(capsys, card, tmp_path / "specs", "--clips-per-job", "2")
    assert jobs.out.splitlines()[-1] == f"Next, for each spec: proxx run {tmp_path}/specs/card-001.json"


def test_a_spec_is_never_overwritten(card: Path, tmp_path: Path, capsys: Capture) -> None:
    spec = tmp_path / "day1.json"
    spec.write_text("mine")
    answer = create(capsys, card, spec, "--json")
    assert (answer.status, answer.code) == (3, "PREFLIGHT_REFUSED")
    assert "never overwritten" in answer.json["error"]["problems"][0]["message"]
    assert "--leave-out-refused" not in answer.json["error"]["remedy"]  # that would not help
    assert spec.read_text() == "mine"
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "nowhere")
    assert create(capsys, card, link).status == 3


def test_all_specs_are_written_or_none(card: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "card-002.json").write_text("mine")
    assert create(capsys, card, tmp_path / "specs", "--clips-per-job", "1").status == 3
    assert {path.name: path.read_text() for path in (tmp_path / "specs").iterdir()} == {"card-002.json": "mine"}


@pytest.mark.parametrize("spec", ["no/such/folder/x.json", "card/A1.xml/x.json"])
def test_an_impossible_spec_path_is_refused_before_any_source_is_read(
    spec: str, card: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxx.create.jobs.create_jobs", lambda *_, **__: pytest.fail("a source was read"))
    assert create(capsys, card, tmp_path / spec).status == 3


def test_all_problems_are_reported_together_and_can_be_left_out(card: Path, tmp_path: Path, capsys: Capture) -> None:
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
def test_wrong_options_are_refused(args: list[str], code: str, card: Path, tmp_path: Path, capsys: Capture) -> None:
    answer = create(capsys, card, tmp_path / "day1.json", *args, "--json")
    assert (answer.status, answer.code) == (3, code)
    assert answer.json["error"]["problems"]


@pytest.mark.parametrize(
    "args",
    [
        ["--template", "{nonsense}"],
        ["--output", "ftp://host/x"],
        ["--accept-damage", "Z9.mov"],
        ["--template", "{profile}/same"],
        ["--template", "{profile}/same", "--leave-out-refused"],
    ],
)
def test_a_wrong_command_is_not_answered_with_leaving_files_out(
    args: list[str], card: Path, tmp_path: Path, capsys: Capture
) -> None:
    answer = create(capsys, card, tmp_path / "day1.json", *args)
    assert answer.err.splitlines()[-1] == "  Correct the command. Nothing was written."
    assert "PREFLIGHT_REFUSED: " not in "".join(answer.err.splitlines()[1:])


def test_leaving_files_out_is_offered_only_if_some_remain(card: Path, tmp_path: Path, capsys: Capture) -> None:
    (card / "C1.r3d").write_bytes(b"RED2" * 100)
    some = create(capsys, card, tmp_path / "day1.json").err
    assert some.splitlines()[-1].startswith("  Fix the problems listed, or leave those files out")
    assert "REDCINE-X PRO or DaVinci Resolve. Or leave it out with --leave-out-refused." in some
    for clip in card.glob("*.mov"):
        clip.unlink()
    alone = create(capsys, card, tmp_path / "day1.json")
    assert alone.err.splitlines()[-1] == "  Fix the problems listed. Nothing was written."
    (card / "C1.r3d").unlink()
    empty = create(capsys, card, tmp_path / "day1.json")
    assert empty.err.splitlines()[-1] == "  Correct the command. Nothing was written."


@pytest.mark.parametrize("roots", [(), ("--root", "other={}")])
def test_a_name_below_an_unknown_root_says_what_to_set(
    roots: tuple[str, ...], tmp_path: Path, capsys: Capture
) -> None:
    options = ("--profile", "prores_proxy", "--output", "other:/out" if roots else tmp_path / "out")
    given = tuple(word.format(tmp_path) for word in roots)
    answer = call(capsys, "create", "media:/A001", *options, "--spec", tmp_path / "day1.json", *given)
    assert answer.status == 3
    assert "No root is called `media`: set --root media=… or PROXX_ROOTS.\n" in answer.err
    assert "no such file" not in answer.err
    missing = call(capsys, "create", tmp_path / "none", *options, "--spec", tmp_path / "day1.json", *given)
    assert "There is no such file or folder. Check the path." in missing.err


def test_a_custom_profile_is_used(card: Path, tmp_path: Path, capsys: Capture) -> None:
    custom = tmp_path / "mine.toml"
    custom.write_text(call(capsys, "profiles", "h264_quarter").out.replace('"h264_quarter"', '"mine"'))
    assert create(capsys, card, tmp_path / "day1.json", "--profile", custom).status == 0
    assert read_spec((tmp_path / "day1.json").read_bytes()).profile.name == "mine"
    custom.write_text(custom.read_text() + "\n[nonsense]\nx = 1\n")
    answer = create(capsys, card, tmp_path / "day2.json", "--profile", custom, "--json")
    assert (answer.status, answer.code) == (3, "PROFILE_INVALID")
    assert answer.json["error"]["problems"][0]["path"] == "nonsense"


def test_a_warning_if_the_proxies_may_not_fit(
    card: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxx.files.workdir.free_bytes", lambda _: 1000)
    assert "WARNING: the proxies may not fit" in create(capsys, card, tmp_path / "day1.json").out


@pytest.mark.parametrize(
    ("name", "file"), [("day 1", "day 1"), ("-x", "_x"), (".x", "_x"), ("a/b", "a_b"), ("é" * 190, "é" * 100)]
)
def test_a_job_name_becomes_a_safe_file_name(name: str, file: str) -> None:
    assert file_name(name) == file
