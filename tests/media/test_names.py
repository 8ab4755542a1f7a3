"""A file with any name is read, and its proxy has exactly the same name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Final

import pytest

from proxx.contracts.errors import PreflightRefused
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, read_spec, spec_bytes
from proxx.engine.execute import RunEnvironment, execute
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.proof.verify import records, verification_failure, verify_proxies
from proxx.store.opening import open_store
from tests.cli.command import CODE, environment
from tests.support.jobs import create, half_second

LONGEST: Final = 255 - len(".mov")

# Names that a shell, ffmpeg, a template, a terminal or a file system might interpret.
NAMES: Final = [
    "-x", "--help", "--", "a:b", "concat:a|b", "pipe:1", "file:a", "data:,a", "subfile,,start,0,end,9,,:a", "%03d",
    "%s%n%%", "[1]", "*", "[a-z]?", "{a,b}", "'single'", '"double"', "`id`", "$(touch owned)", "~", "a;b&c|d>e", " a",
    "a ", "a.", "..a", "...", "#a", "@a", "a=b,c", "a\\b", "a\\", "\\n", "tab\t", "new\nline", "return\r", "\x01",
    "\x1b[31mred", "\x7f\x85", "\u2028", "\u202egnp", "\ufeff", "{source_name}", "{index}", "{output}", "{source}",
    "{ffmpeg}", "file:{output}", "{", "{0}", "NUL", "\U0001f3ac", "\u00fc", "e\u0301", "\u1100\u1161", "\u0130",
    "\u0646\u0635", "\u6f22" * 60, "x" * 200, "y" * LONGEST,
]  # fmt: skip


def card_of(folder: Path, names: list[str]) -> tuple[Path, ...]:
    folder.mkdir(parents=True)
    clip = half_second("clip.mov")
    return tuple(Path(shutil.copy(clip, folder / f"{name}.mov")) for name in names)


def run_and_verify(job: JobSpec, root: Path) -> set[str]:
    """Runs the job, verifies its proxies as `proxx verify` does, and returns their sha256."""
    store = open_store(str(root / "store"))
    result = execute(spec_bytes(job), RunEnvironment(store=store, worker=this_worker(), run_id="names"))
    assert [clip.failure for clip in result.clips if clip.failure] == []
    (root / "words").mkdir()
    found = verify_proxies(job, records(store, job.job_id), find_toolchain("static"), root / "words")
    assert verification_failure(found) is None
    return {clip.output_sha256 or "" for clip in result.clips}


def names_in(folder: Path) -> list[bytes]:
    return sorted(os.fsencode(path.name) for path in folder.iterdir())


def test_every_name_is_kept_byte_for_byte(tmp_path: Path) -> None:
    sources = card_of(tmp_path / "card", NAMES)
    before = names_in(tmp_path / "card")
    job = create(sources, tmp_path / "proxies", "prores_proxy_half")
    assert read_spec(spec_bytes(job)) == job
    digests = run_and_verify(job, tmp_path)
    assert len(digests) == 1, "the bytes of a proxy must not depend on its name"
    assert names_in(tmp_path / "proxies") == sorted(f"{name}.mov".encode() for name in NAMES)
    assert names_in(tmp_path / "card") == before
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("profile", ["dnxhr_lb_mxf", "h264_review_mp4"])
def test_other_containers_keep_such_names_too(tmp_path: Path, profile: str) -> None:
    names = ["-x", "%03d", "concat:a", "new\nline", "{output}", "e\u0301", "a\\b", "'", "[1]", "\U0001f3ac"]
    job = create(card_of(tmp_path / "card", names), tmp_path / "proxies", profile)
    run_and_verify(job, tmp_path)
    ending = "mxf" if profile.endswith("mxf") else "mp4"
    assert names_in(tmp_path / "proxies") == sorted(f"{name}.{ending}".encode() for name in names)


@pytest.mark.parametrize(
    "name", ["-o", "a:b", "%03d", "new\nline", "{output}", "e\u0301", "a\\", " ", "[1]", "pipe:1"]
)
def test_folders_may_have_such_names_too(tmp_path: Path, name: str) -> None:
    job = create(card_of(tmp_path / "card" / name, [name]), tmp_path / "proxies" / name / name, "prores_proxy_half")
    run_and_verify(job, tmp_path)
    assert [path.read_bytes()[4:8] for path in (tmp_path / "proxies" / name / name).iterdir()] == [b"ftyp"]
    assert names_in(tmp_path / "proxies") == [name.encode()]


def test_two_unicode_forms_of_one_name_are_refused(tmp_path: Path) -> None:
    """Linux keeps both apart; the file systems of transfer drives do not."""
    forms = [unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD")]
    sources = card_of(tmp_path / "card", forms)
    assert len(names_in(tmp_path / "card")) == 2
    with pytest.raises(PreflightRefused) as caught:
        create(sources, tmp_path / "proxies", "prores_proxy_half")
    assert [problem.code for problem in caught.value.problems] == ["OUTPUT_CLAIMED"]
    assert not (tmp_path / "proxies").exists()


def test_a_name_that_would_be_too_long_for_the_proxy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    source = Path(shutil.copy(half_second("clip.mov"), tmp_path / "card" / ("x" * 252 + ".ts")))
    with pytest.raises(PreflightRefused, match="longer than 255 bytes"):
        create((source,), tmp_path / "proxies", "prores_proxy_half")


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    source = Path(shutil.copy(half_second("clip.mov"), tmp_path / "card" / os.fsdecode(b"\xff.mov")))
    with pytest.raises(PreflightRefused) as caught:
        create((source,), tmp_path / "proxies", "prores_proxy_half")
    assert "not valid UTF-8" in caught.value.problems[0].message
    str(caught.value).encode()


@pytest.mark.clause("I5")
@pytest.mark.parametrize(
    "settings",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8"},
        {"LANG": "tr_TR.UTF-8", "LC_ALL": ""},
    ],
    ids=lambda settings: settings["LC_ALL"] or "tr",
)
def test_names_on_a_command_line_are_kept_in_any_locale(tmp_path: Path, settings: dict[str, str]) -> None:
    """Relative names as arguments, typed in the folder of the files."""
    names = ["-x", "a:b", "e\u0301", "\u0130", "\U0001f3ac"]  # names that a shell or locale could change
    card = tmp_path / "card"
    card_of(card, names)

    def proxx(*arguments: str) -> str:
        argv = [sys.executable, "-c", CODE, *arguments]
        done = subprocess.run(argv, capture_output=True, cwd=card, check=False, env=environment(**settings))
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    where = ("--output", "../proxies", "--spec", "../job.json", "--profile", "prores_proxy_half")
    proxx("create", *where, "--", *(f"{name}.mov" for name in names))
    proxx("--store", "../store", "run", "../job.json")
    proxx("--store", "../store", "verify", "../job.json")
    assert names_in(tmp_path / "proxies") == sorted(f"{name}.mov".encode() for name in names)
