"""The entry: --help without weight, one exit status a kind of failure, verbs from other packages, closed outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxx.cli.lazy import VERBS
from tests.cli.command import ROOT, Answer, call, environment, proxx

HEAVY = (
    "pydantic",
    "rich",
    "prefect",
    "ffmpeg",
    "timecode",
    "proxx_flows",
    "proxx.contracts.job",
    "proxx.ffmpeg.process",
    "proxx.contracts.errors",
)


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from proxx.cli.main import proxx
from proxx.console.running import run_command_line
assert run_command_line(proxx, ["--help"]) == 0
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert f"  {verb} " in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, verb, "--help")
    assert answer.status == 0
    assert answer.out.startswith(f"Usage: proxx {verb}")


@pytest.mark.parametrize(
    "args", [["runn"], ["run"], ["run", "a", "b"], ["run", "--attempt", "0", "a"], ["status", "-x"]]
)
def test_usage_is_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, *args)
    assert answer.status == 2
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_an_escape_in_an_argument_is_shown_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "status", "one", "\x1b[31mtwo")
    assert answer.status == 2
    assert "\x1b" not in answer.err
    assert "\\x1b[31mtwo" in answer.err


def test_a_spec_that_is_not_there_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "run", tmp_path / "no.json")
    assert answer.status == 3
    assert "SPEC_INVALID" in answer.err
    assert "No such file" in answer.err
    assert "Traceback" not in answer.err
    assert call(capsys, "run", "--json", tmp_path).code == "SPEC_INVALID"  # a folder


def test_a_store_that_cannot_be_is_6(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--store", "ftp://host/x", "status").status == 6
    assert call(capsys, "status", "--store", "ftp://host/x", "--json").code == "STORE_REFUSED"


def test_a_bug_is_70_and_shows_its_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("\x1b[2J")

    monkeypatch.setattr("proxx.store.listing.list_jobs", broken)
    answer = call(capsys, "--store", tmp_path / "store", "status")
    assert answer.status == 70
    assert "Traceback" in answer.err
    assert "report" in answer.err
    assert "\x1b" not in answer.err
    assert call(capsys, "--store", tmp_path / "store", "status", "--json").code == "BUG"


def test_an_error_of_the_system_is_6_without_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/some\nwhere")

    monkeypatch.setattr("proxx.store.listing.list_jobs", broken)
    answer = call(capsys, "--store", tmp_path / "store", "status")
    assert (answer.status, answer.err) == (6, "proxx: /some\\nwhere: Permission denied\n")


def test_stopped_by_hand_where_nothing_was_begun_is_130(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("proxx.store.listing.list_jobs", stopped)
    answer = call(capsys, "--store", tmp_path / "store", "status")
    assert answer.status == 130
    assert "Traceback" not in answer.err


def test_a_reader_that_goes_away_is_no_failure() -> None:
    for args in (["profiles"], ["--help"]):
        with subprocess.Popen(
            [sys.executable, "-c", "from proxx.cli.main import main; main()", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        ) as process:
            assert process.stdout and process.stderr
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait() in (0, 1)  # 1 is click's own where help is cut off


def test_an_answer_that_did_not_fit_is_6() -> None:
    with Path("/dev/full").open("w") as full:
        answer = proxx("profiles", stdout=full)
    assert answer.status == 6
    assert "could not be written" in answer.err
    assert "Traceback" not in answer.err


def test_closed_standard_streams(tmp_path: Path) -> None:
    code = "import os; os.closerange(0, 3); os.execv({0!r}, [{0!r}, '-c', {1!r}, 'profiles'])"
    done = subprocess.run(
        [sys.executable, "-c", code.format(sys.executable, "from proxx.cli.main import main; main()")],
        env=environment(),
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0


def test_any_locale_can_be_answered() -> None:
    for changes, status in (({"LC_ALL": "C", "PYTHONUTF8": "0"}, 6), ({"PYTHONIOENCODING": "ascii:strict"}, 3)):
        answer = proxx("status", "Ä中", env=environment(**changes), cwd="/")
        assert answer.status == status
        assert "Traceback" not in answer.err


# --- verbs of other packages -----------------------------------------------------------------------------


def _package(folder: Path, body: str) -> str:
    """A package on a path of its own that offers `submit`, `demo` and `broken`; the path."""
    (folder / "extraverbs.py").write_text(body)
    (folder / "halfthere.py").write_text("import not_installed_anywhere")
    info = folder / "extraverbs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extraverbs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[proxx.commands]\nsubmit = extraverbs:submit\ndemo = extraverbs:demo\nstatus = extraverbs:submit\n"
        "broken = halfthere:verb\ndeleted = notthere:verb\n"
    )
    return str(folder)


VERBS_OF_OTHERS = """
import click, sys
print("imported", file=sys.stderr)

@click.command()
def submit():
    print("submitting")

@click.command()
def demo():
    print("another demo")
"""


def _with(folder: Path, *args: str) -> Answer:
    return proxx(*args, env=environment(PYTHONPATH=f"{folder}:{ROOT}"), cwd=folder)


def test_verbs_of_another_package(tmp_path: Path) -> None:
    _package(tmp_path, VERBS_OF_OTHERS)
    listed = _with(tmp_path, "--help")
    assert "submit" in listed.out
    assert "imported" not in listed.err
    assert _with(tmp_path, "submit").out == "submitting\n"
    assert _with(tmp_path, "demo").out == "another demo\n"
    built_in = _with(tmp_path, "status", "--help")
    assert "imported" not in built_in.err  # a built-in verb is not replaced, and nobody is asked
    broken = _with(tmp_path, "broken")
    assert broken.status == 6
    assert "cannot be loaded" in broken.err
    assert "deleted" not in listed.out
    assert "No such command" in _with(tmp_path, "deleted").err


def test_without_it_they_are_not_there() -> None:
    answer = proxx("submitt")
    assert answer.status == 2
    assert "No such command" in answer.err


def test_a_demo_that_cannot_be_loaded_leaves_the_built_in_one(tmp_path: Path) -> None:
    _package(tmp_path, "import not_installed_anywhere")
    assert "three small clips" in _with(tmp_path, "demo", "--help").out


@pytest.mark.clause("I5")
def test_a_locale_that_would_change_names_is_refused() -> None:
    """Without UTF-8 the same file would have another name in the spec, and the job another id."""
    forced = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PATH": os.environ["PATH"]}
    argv = [sys.executable, "-m", "proxx", "status"]
    done = subprocess.run(argv, capture_output=True, check=False, text=True, env=forced)
    assert done.returncode == 6
    assert "LOCALE_UNUSABLE" in done.stderr
    assert "PYTHONUTF8=1" in done.stderr
