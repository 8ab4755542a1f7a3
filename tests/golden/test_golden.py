"""The contracts are what their golden files hold, and one changed character of either is noticed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxx.contracts.canonical import read_json
from tests.golden.goldens import FOLDER, WHAT_IT_TAKES, differences

REPO = Path(__file__).parents[2]


@pytest.mark.clause("P1", lead=True)
def test_the_contracts_are_as_they_were() -> None:
    """Schemas, specs, results, codes, catalogue and fingerprints are those of the golden files."""
    found = differences()
    assert not found, "\n".join((*found, WHAT_IT_TAKES))


def test_the_sentence_says_what_a_deliberate_change_takes() -> None:
    for part in ("python -m tests.golden.remake", "schema version number", "CHANGELOG.md", "refused by name"):
        assert part in WHAT_IT_TAKES


def test_a_missing_file_fails_and_is_not_made(tmp_path: Path) -> None:
    assert len(differences(tmp_path / "none")) == 5
    for name in sorted(file.name for file in FOLDER.iterdir()):
        folder = tmp_path / name
        shutil.copytree(FOLDER, folder)
        (folder / name).unlink()
        assert differences(folder) == (f"{name}: the golden file is missing",)
        assert not (folder / name).exists()


def test_a_file_of_no_contract_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "g")
    (tmp_path / "g" / "old.json").write_text("{}")
    assert differences(tmp_path / "g") == ("old.json: no contract makes this file",)


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.glob("*")))
def test_one_changed_character_of_a_golden_file_is_noticed(name: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "g")
    data = (FOLDER / name).read_bytes()
    for place in range(0, len(data), max(len(data) // 7, 1)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        (tmp_path / "g" / name).write_bytes(changed)
        assert differences(tmp_path / "g"), f"byte {place} of {name}"


@pytest.mark.parametrize("name", [file.name for file in sorted(FOLDER.glob("*.json"))])
def test_golden_files_are_canonical_json(name: str) -> None:
    if not name.endswith(".schema.json"):
        read_json((FOLDER / name).read_bytes())


CHANGES = [
    ("contracts/job.py", "proxx.job/1", "proxx.job/1", ""),  # nothing changed: nothing said
    ("contracts/fingerprint.py", r'b"\n"', r'b" "', "does not read the golden files"),
    ("contracts/profile.py", "ge=1, le=9999)", "ge=1, le=9998)", "profile.schema.json"),
    ("contracts/profile.py", "fields: Literal", "field: Literal", "does not read the golden files"),
    ("contracts/recipe.py", "frames: int = Field(ge=1)", "frames: int = Field(ge=0)", "job.schema.json"),
    ("contracts/job.py", "proxx.clip/1", "proxx.clip/2", "does not read the golden files"),
    ("contracts/model.py", "[0-9a-f]{64}$", "[0-9a-f]{63}$", "does not read the golden files"),
    ("contracts/result.py", "frames: int = Field(gt=0)", "frames: int = Field(gt=1)", "result.schema.json"),
    ("contracts/event.py", '"clip.started"', '"clip.starter"', "event.schema.json"),
    ("contracts/errors.py", '"DISK_FULL"', '"DISC_FULL"', "codes.json"),
    ("catalogue/prores_proxy.toml", "version = 1\n", "version = 2\n", "catalogue.json"),
]


@pytest.mark.parametrize(("file", "old", "new", "said"), CHANGES, ids=[f"{c[0]}-{c[3]}" for c in CHANGES])
@pytest.mark.clause("P1")
def test_one_changed_character_of_a_contract_is_noticed(
    file: str, old: str, new: str, said: str, tmp_path: Path
) -> None:
    shutil.copytree(REPO / "proxx", tmp_path / "proxx", ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / "proxx" / file).read_text(encoding="utf-8")
    assert old in text, f"{file} no longer says {old!r}: name another character of it here"
    (tmp_path / "proxx" / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.check"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert (done.returncode, said in done.stdout) == (1 if said else 0, True), done.stdout
    assert (WHAT_IT_TAKES in done.stdout) == bool(said)


PLAN = """
import pathlib, sys, proxx.contracts.job, proxx.ffmpeg.command
spec = proxx.contracts.job.read_spec(pathlib.Path(sys.argv[1]).read_bytes())
print(spec.job_id, *[proxx.ffmpeg.command.plan_command(spec.profile, clip).argv for clip in spec.clips], sep="\\n")
"""


@pytest.mark.clause("F3", lead=True)
def test_a_spec_needs_no_catalogue(tmp_path: Path) -> None:
    """What a job is and which commands it runs stay as they were when all profiles change or go."""
    shutil.copytree(REPO / "proxx", tmp_path / "proxx", ignore=shutil.ignore_patterns("__pycache__"))

    def plan() -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [sys.executable, "-c", PLAN, str(FOLDER / "job.json")]
        return subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    before = plan()
    assert before.count("ffmpeg") >= 2
    for file in (tmp_path / "proxx" / "catalogue").iterdir():
        file.write_text("changed")
    assert plan() == before
    shutil.rmtree(tmp_path / "proxx" / "catalogue")
    assert plan() == before


@pytest.mark.clause("P1")
@pytest.mark.parametrize(
    ("record", "file", "named"),
    [
        ("proxx.profile/1", "profile", "profile"),
        ("proxx.job/1", "job", "job_id"),
        ("proxx.toolchain/1", "toolchain", "toolchain"),
        ("proxx.result/1", "result", "result"),
    ],
)
def test_anyone_can_make_the_fingerprints_without_proxx(record: str, file: str, named: str) -> None:
    fingerprints = json.loads((FOLDER / "fingerprints.json").read_bytes())
    preimage = f"{record}\n".encode() + (FOLDER / f"{file}.canonical.json").read_bytes()
    assert hashlib.sha256(preimage).hexdigest() == fingerprints[named]
