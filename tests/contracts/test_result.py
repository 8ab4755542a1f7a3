"""The result: impossible ones are refused, and the fingerprint is that of the core alone."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from proxx.contracts.errors import DiskFull, EncodeFailed
from proxx.contracts.fingerprint import fingerprint
from proxx.contracts.model import load_contract, problems_of
from proxx.contracts.result import Check, ExecutionResult, Failure, result_core
from tests.support import results
from tests.support.edits import Plain, edited, paths_of
from tests.support.results import completed, envelope, failed, failure, not_run, result

STOPPED = result(completed(0), failed(1), not_run(2), stopped=failure("DISK_FULL"))
PLAIN: Plain = STOPPED.to_json()
ENVELOPE = ("attempt", "envelope.")


def refused(plain: Plain) -> str:
    with pytest.raises(ValidationError) as caught:
        ExecutionResult.model_validate_json(json.dumps(plain))
    return "\n".join(f"{problem.path}: {problem.message}" for problem in problems_of(caught.value, "X"))


def test_the_status_follows_from_the_clips() -> None:
    assert result(completed(0), completed(1)).status == "COMPLETED"
    assert result(completed(0), failed(1), completed(2)).status == "FAILED"
    assert STOPPED.status == "FAILED"
    assert result(completed(0), stopped=failure("LEDGER_FAILED")).status == "FAILED"
    assert result(not_run(0), not_run(1), stopped=failure("LOCK_LOST")).status == "FAILED"


@pytest.mark.clause("P1")
def test_a_result_is_read_back_with_the_same_kinds_of_clips() -> None:
    read = load_contract(ExecutionResult, json.dumps(PLAIN).encode(), "proxx.result/1", "X")
    assert isinstance(read, ExecutionResult)
    assert read == STOPPED
    assert [type(clip).__name__ for clip in read.clips] == ["ClipCompleted", "ClipFailed", "ClipNotRun"]


@pytest.mark.clause("I3")
@pytest.mark.clause("P1")
def test_attempt_and_envelope_are_not_in_the_fingerprint() -> None:
    again = result(
        completed(0), failed(1), not_run(2), stopped=failure("DISK_FULL"), attempt=9, around=envelope("elsewhere")
    )
    assert again.fingerprint == STOPPED.fingerprint
    assert result_core(again) == result_core(STOPPED)
    assert again != STOPPED


@pytest.mark.clause("P1")
def test_everything_else_is_in_the_fingerprint() -> None:
    core: Plain = result_core(STOPPED)
    assert STOPPED.fingerprint == fingerprint("proxx.result/1", core)
    assert set(PLAIN) - set(core) == {"attempt", "fingerprint", "envelope"}
    for path in paths_of(core):
        assert fingerprint("proxx.result/1", edited(core, path, "other")) != STOPPED.fingerprint


def test_any_edit_of_the_core_is_refused() -> None:
    for path in paths_of(PLAIN):
        if not path.startswith(ENVELOPE):
            assert refused(edited(PLAIN, path, "other")), path


def test_an_edited_valid_value_does_not_match_the_fingerprint() -> None:
    assert "fingerprint: it is not that of the core" in refused(edited(PLAIN, "clips[0].frames", 24))
    assert "fingerprint: it is not that of the core" in refused(edited(PLAIN, "fingerprint", "0" * 64))


@pytest.mark.parametrize(
    ("clips", "stopped", "reason"),
    [
        ((), None, "clips: "),
        ((completed(1),), None, "clips: one result for each clip, in order"),
        ((completed(1), completed(0)), None, "clips: one result for each clip, in order"),
        ((completed(0), completed(0)), None, "clips: one result for each clip, in order"),
        ((completed(0), not_run(1)), None, "clips: exactly those after the clip where the job stopped are NOT_RUN"),
        (
            (not_run(0), completed(1)),
            failure("DISK_FULL"),
            "clips: exactly those after the clip where the job stopped are NOT_RUN",
        ),
        (
            (failed(0), not_run(1), failed(2)),
            failure("DISK_FULL"),
            "clips: exactly those after the clip where the job stopped are NOT_RUN",
        ),
    ],
)
def test_an_impossible_result_is_refused(
    clips: tuple[results.AnyClip, ...], stopped: Failure | None, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        result(*clips, stopped=stopped)
    assert reason in "\n".join(map(str, problems_of(caught.value, "X"))).replace("X: ", "")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("status", "COMPLETED", "status: it is COMPLETED exactly if every clip is"),
        ("status", "DONE", "status: "),
        ("attempt", 0, "attempt: "),
        ("job_id", "A" * 64, "job_id: "),
        ("clips[0].status", "OK", "clips[0]: "),
        ("clips[0].status", "NOT_RUN", "clips[0].NOT_RUN."),
        ("clips[0].failure", {"code": "X"}, "clips[0].COMPLETED.failure"),
        ("clips[0].output_sha256", None, "clips[0].COMPLETED.output_sha256"),
        ("clips[0].frames", 0, "clips[0].COMPLETED.frames"),
        ("clips[0].log", "jobs/1/attempts/0001/clips/000.log", "clips[0].COMPLETED.log"),
        ("clips[0].log", None, "clips[0].COMPLETED.log"),
        ("clips[1].failure", None, "clips[1].FAILED.failure"),
        ("clips[1].failure.code", "frames mismatch", "clips[1].FAILED.failure.code"),
        ("clips[1].output_sha256", "sha256:" + "0" * 64, "clips[1].FAILED.output_sha256"),
        ("clips[2].argv", ["ffmpeg"], "clips[2].NOT_RUN.argv"),
        ("clips[2].checks", [{"name": "a", "expected": "b", "found": "b"}], "clips[2].NOT_RUN.checks"),
        ("envelope.elapsed_ms", -1, "envelope.elapsed_ms"),
        ("envelope.elapsed_ms", 1.5, "envelope.elapsed_ms"),
        ("surprise", 1, "surprise: Extra inputs"),
    ],
)
@pytest.mark.clause("P1")
def test_contradictions_name_their_place(path: str, value: object, reason: str) -> None:
    assert reason in refused(edited(PLAIN, path, value))


def test_a_recorded_failure_has_nothing_that_differs_by_machine() -> None:
    error = EncodeFailed(
        message="ffmpeg ended with 1.", clip=2, stage="encode", argv=("x",), exit=1, log="jobs/…", detail="w/17"
    )
    assert Failure.of(error).to_json() == {
        "code": "ENCODE_FAILED", "message": "ffmpeg ended with 1.", "remedy": EncodeFailed.remedy,
        "stage": "encode", "exit": 1,
    }  # fmt: skip
    assert Failure.of(DiskFull(message="No space.")).stage is None


def test_a_check_is_equal_if_both_values_are() -> None:
    assert Check(name="frames", expected="25", found="25").equal
    assert not Check(name="frames", expected="25", found="025").equal
