"""An unexpected error while one file is examined refuses that file and no other."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from proxx.contracts.errors import DiskFull, PreflightRefused
from proxx.contracts.job import read_spec
from proxx.create import examine, jobs
from proxx.create.examine import UnexpectedFileError, refuse_on_unexpected_error
from proxx.create.jobs import ExamineProgress
from proxx.decide.clip import decide_clip
from proxx.ffmpeg.probe import probe
from tests.cli.command import Answer, call
from tests.create.test_jobs import card, create, request

Capture = pytest.CaptureFixture[str]

DAMAGED_MXF: Final = bytes.fromhex("060e2b34020501010d01020101020400" + "a0") + bytes(53)
"""The key of an MXF header partition, a length that claims 32 bytes of BER, and nothing that fits it: 70 bytes."""


@pytest.fixture
def damaged_card(tmp_path: Path) -> Path:
    """A card with a good clip between two damaged files."""
    folder = card(tmp_path / "card", "b_good.mov")
    for name in ("a_bad.mxf", "c_bad.mxf"):
        (folder / name).write_bytes(DAMAGED_MXF)
    return folder


def run_create(capsys: Capture, folder: Path, *options: str) -> Answer:
    places = ("--output", folder.parent / "out", "--spec", folder.parent / "day1.json")
    return call(capsys, "create", folder, "--profile", "prores_proxy", *places, *options)


def fail_on(name: str, error: Exception, work: Callable[..., object]) -> Callable[..., object]:
    """Returns `work`, changed to raise `error` for the file of this name."""

    def wrapped(path: Path, *args: object, **options: object) -> object:
        if path.name == name:
            raise error
        return work(path, *args, **options)

    return wrapped


# --- a damaged file --------------------------------------------------------------------------------------


def test_a_damaged_mxf_is_refused_by_name(damaged_card: Path, capsys: Capture) -> None:
    answer = run_create(capsys, damaged_card)
    assert answer.status == 3
    for name in ("a_bad.mxf", "c_bad.mxf"):
        assert f"{damaged_card / name}: SOURCE_TRUNCATED: " in answer.err
    assert "b_good.mov" not in answer.err
    assert "Traceback" not in answer.err
    assert not (damaged_card.parent / "day1.json").exists()


def test_a_damaged_mxf_is_left_out_and_the_good_clip_is_made(damaged_card: Path, capsys: Capture) -> None:
    answer = run_create(capsys, damaged_card, "--leave-out-refused")
    assert answer.status == 0, answer.err
    job = read_spec((damaged_card.parent / "day1.json").read_bytes())
    assert [clip.source.files[0].uri for clip in job.clips] == [str(damaged_card / "b_good.mov")]
    assert [(entry.source, entry.code) for entry in job.left_out] == [
        (str(damaged_card / name), "SOURCE_TRUNCATED") for name in ("a_bad.mxf", "c_bad.mxf")
    ]
    assert "a_bad.mxf: SOURCE_TRUNCATED" in answer.out


# --- an injected error -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("boxes nest"), "its structure is damaged or unknown (RuntimeError)."),
        (struct.error("too short"), "its structure is damaged or unknown (struct.error)."),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), f"{os.strerror(errno.ESTALE)} (OSError)."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_in_the_probe_refuses_that_file_only(
    error: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = card(tmp_path, "a.mov", "b.mov", "c.mov")
    monkeypatch.setattr(examine, "probe", fail_on("b.mov", error, probe))
    created = create(request(folder, leave_out_refused=True))
    assert [Path(clip.source.files[0].uri).name for clip in created.jobs[0].clips] == ["a.mov", "c.mov"]
    [problem] = created.left_out
    assert (problem.path, problem.code) == (str(folder / "b.mov"), "SOURCE_UNREADABLE")
    assert problem.message.startswith(f"The file could not be read: {message} Detail: {error}, raised at ")
    assert "--leave-out-refused" in problem.remedy
    [recorded] = created.jobs[0].left_out
    assert recorded.message == f"The file could not be read: {message}", "the detail is no part of a spec"
    with pytest.raises(PreflightRefused) as caught:
        create(request(folder))
    assert [refused.path for refused in caught.value.problems] == [problem.path]


def test_an_error_in_the_decision_refuses_that_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = card(tmp_path, "a.mov", "b.mov")

    def fail(profile: object, facts: object, output: str, *options: object) -> object:
        if output.endswith("a.mov"):
            raise ZeroDivisionError("0 frames a second")
        return decide_clip(profile, facts, output, *options)  # type: ignore[arg-type]  # passed on unchanged

    monkeypatch.setattr(jobs, "decide_clip", fail)
    created = create(request(folder, leave_out_refused=True))
    assert [(Path(problem.path).name, problem.code) for problem in created.left_out] == [
        ("a.mov", "SOURCE_UNREADABLE")
    ]
    assert "(ZeroDivisionError)" in created.left_out[0].message


# --- errors that are not about the file ------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        DiskFull(message="The disk is full."),
        MemoryError(),
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        KeyboardInterrupt(),
        SystemExit(1),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_the_machine_is_raised_unchanged(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, refuse_on_unexpected_error():
        raise error
    assert caught.value is error


def test_an_error_of_the_progress_callback_is_not_the_file_s(tmp_path: Path) -> None:
    folder = card(tmp_path, "a.mov")

    def fail(error: Exception) -> Callable[[ExamineProgress], None]:
        def on_progress(_: ExamineProgress) -> None:
            raise error

        return on_progress

    for error in (ValueError("a bug of the caller"), BrokenPipeError(errno.EPIPE, "Broken pipe")):
        with pytest.raises(type(error)) as caught:
            create(request(folder, leave_out_refused=True), fail(error))
        assert caught.value is error


def test_the_cause_is_kept_for_a_traceback() -> None:
    cause = KeyError("moov")
    with pytest.raises(UnexpectedFileError) as caught, refuse_on_unexpected_error():
        raise cause
    assert caught.value.__cause__ is cause
    assert (caught.value.code, caught.value.stage) == ("SOURCE_UNREADABLE", "examine")
