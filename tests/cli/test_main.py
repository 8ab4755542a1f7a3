"""The entry point: fast --help, exit statuses, verbs of other packages, closed output streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
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
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert process.returncode == 0, process.stderr
    for verb in VERBS:
        assert f"  {verb} " in process.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, verb, "--help")
    assert answer.status == 0
    assert answer.out.startswith(f"Usage: proxx {verb}")


@pytest.mark.parametrize(
    "args", [["runn"], ["run"], ["run", "a", "b"], ["run", "--attempt", "0", "a"], ["status", "-x"]]
)
def test_a_wrong_command_line_is_exit_status_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, *args)
    assert answer.status == 2
    assert "Traceback" not in answer.err
    assert answer.out == ""


@pytest.mark.skipif(not hasattr(click.exceptions, "NoArgsIsHelpError"), reason="this click prints the help itself")
def test_without_arguments_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.rstrip("\n") == call(capsys, "--help").out.rstrip("\n")


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", ""])
def test_a_wrong_day_is_answered_with_an_example(day: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "status", "--since", day)
    assert answer.status == 2
    assert f"{day!r} is not a day such as 2026-11-28." in answer.err


def test_an_escape_sequence_in_an_argument_is_printed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "status", "one", "\x1b[31mtwo")
    assert answer.status == 2
    assert "\x1b" not in answer.err
    assert "\\x1b[31mtwo" in answer.err


def test_a_missing_spec_is_exit_status_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "run", tmp_path / "no.json")
    assert answer.status == 3
    assert "SPEC_INVALID" in answer.err
    assert "No such file" in answer.err
    assert "Traceback" not in answer.err
    assert call(capsys, "run", "--json", tmp_path).code == "SPEC_INVALID"  # a folder


def test_an_unusable_store_is_exit_status_6(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--store", "ftp://host/x", "status").status == 6
    assert call(capsys, "status", "--store", "ftp://host/x", "--json").code == "STORE_REFUSED"


def test_a_bug_is_exit_status_70_with_traceback(
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


def test_an_error_of_the_operating_system_is_exit_status_6_without_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/some\nwhere")

    monkeypatch.setattr("proxx.store.listing.list_jobs", broken)
    answer = call(capsys, "--store", tmp_path / "store", "status")
    assert (answer.status, answer.err) == (6, "proxx: /some\\nwhere: Permission denied\n")


def test_ctrl_c_before_anything_started_is_exit_status_130(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("proxx.store.listing.list_jobs", interrupted)
    answer = call(capsys, "--store", tmp_path / "store", "status")
    assert answer.status == 130
    assert "Traceback" not in answer.err


def test_a_closed_pipe_is_not_a_failure() -> None:
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
            assert process.wait() in (0, 1)  # click exits with 1 if its help is cut off


def test_output_that_cannot_be_written_is_exit_status_6() -> None:
    with Path("/dev/full").open("w") as full:
        answer = proxx("profiles", stdout=full)
    assert answer.status == 6
    assert "could not be written" in answer.err
    assert "Traceback" not in answer.err


def test_closed_standard_streams_are_not_a_failure(tmp_path: Path) -> None:
    code = "import os; os.closerange(0, 3); os.execv({0!r}, [{0!r}, '-c', {1!r}, 'profiles'])"
    process = subprocess.run(
        [sys.executable, "-c", code.format(sys.executable, "from proxx.cli.main import main; main()")],
        env=environment(),
        cwd=tmp_path,
        check=False,
    )
    assert process.returncode == 0


def test_no_locale_gives_a_traceback() -> None:
    for changes, status in (({"LC_ALL": "C", "PYTHONUTF8": "0"}, 6), ({"PYTHONIOENCODING": "ascii:strict"}, 3)):
        answer = proxx("status", "Ä中", env=environment(**changes), cwd="/")
        assert answer.status == status
        assert "Traceback" not in answer.err


# --- verbs of other packages -----------------------------------------------------------------------------


def _package(folder: Path, body: str) -> str:
    """Writes a package that offers verbs as entry points, some of them unusable; returns its folder."""
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


EXTRA_VERBS = """
import click, sys
print("imported", file=sys.stderr)

@click.command()
def submit():
    print("submitting")

@click.command()
def demo():
    print("another demo")
"""


def _run_with_package(folder: Path, *args: str) -> Answer:
    return proxx(*args, env=environment(PYTHONPATH=f"{folder}:{ROOT}"), cwd=folder)


def test_verbs_of_another_package_are_listed_and_run(tmp_path: Path) -> None:
    _package(tmp_path, EXTRA_VERBS)
    listed = _run_with_package(tmp_path, "--help")
    assert "submit" in listed.out
    assert "imported" not in listed.err
    assert _run_with_package(tmp_path, "submit").out == "submitting\n"
    assert _run_with_package(tmp_path, "demo").out == "another demo\n"
    built_in = _run_with_package(tmp_path, "status", "--help")
    assert "imported" not in built_in.err  # a built-in verb is not replaced, and no package is imported
    broken = _run_with_package(tmp_path, "broken")
    assert broken.status == 6
    assert "cannot be loaded" in broken.err
    assert "deleted" not in listed.out
    assert "No such command" in _run_with_package(tmp_path, "deleted").err


def test_the_verbs_of_the_prefect_layer_have_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if (ROOT / "flows").exists():  # not in a checkout without the scaling code (clause V6)
        listed = call(capsys, "--help").out
        assert "Submit jobs to the workers of a pool." in listed
        assert "(from " not in listed
    _package(tmp_path, EXTRA_VERBS)
    assert "(from halfthere)" in _run_with_package(tmp_path, "--help").out


def test_an_unknown_verb_is_exit_status_2() -> None:
    answer = proxx("submitt")
    assert answer.status == 2
    assert "No such command" in answer.err


def test_the_built_in_demo_runs_if_the_other_one_cannot_be_loaded(tmp_path: Path) -> None:
    _package(tmp_path, "import not_installed_anywhere")
    assert "three small clips" in _run_with_package(tmp_path, "demo", "--help").out


@pytest.mark.clause("I5")
def test_a_locale_that_would_change_names_is_refused() -> None:
    """Without UTF-8 the same file would have another name in the spec, and the job another id."""
    forced = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PATH": os.environ["PATH"]}
    argv = [sys.executable, "-m", "proxx", "status"]
    process = subprocess.run(argv, capture_output=True, check=False, text=True, env=forced)
    assert process.returncode == 6
    assert "LOCALE_UNUSABLE" in process.stderr
    assert "PYTHONUTF8=1" in process.stderr
