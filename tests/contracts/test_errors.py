"""Outcomes: every code stable and told once, with a status of the command and a way on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from proxx.contracts import error_bases as outcome
from proxx.contracts import errors
from proxx.contracts.error_bases import ClipFailure, InvalidInput, JobStopped, Problem, ProxxError, Refusal
from proxx.contracts.error_codes import ERROR_CLASSES
from proxx.contracts.errors import DecodeFailed, PreflightRefused, SpecInvalid

OF_THE_ISSUE = """
SOURCE_MISSING SOURCE_CHANGED SOURCE_UNREADABLE SOURCE_UNSUPPORTED NO_VIDEO DECODE_FAILED ENCODE_FAILED
ENCODER_CRASHED SOURCE_TRUNCATED FRAMES_MISMATCH TIMECODE_MISMATCH AUDIO_MISMATCH FORMAT_MISMATCH OUTPUT_EXISTS
OUTPUT_CONFLICT OUTPUT_UNWRITABLE DISK_FULL OUTPUT_CLAIMED LOCKED ATTEMPT_CLOSED LOCK_LOST STORE_MISMATCH
SPEC_INVALID SPEC_ALTERED TOOLCHAIN_MISMATCH LEDGER_FAILED INTERRUPTED
"""
VERBS = "profiles create run verify reproduce status history unlock retire doctor demo submit audit"


def subclasses(kind: type[ProxxError]) -> Iterator[type[ProxxError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


ALL = tuple(kind for kind in subclasses(ProxxError) if kind.__module__ in (errors.__name__, outcome.__name__))
OUTCOMES = tuple(kind for kind in ALL if "code" in vars(kind))


def test_all_classes_are_found() -> None:
    assert dict(ERROR_CLASSES) == {kind.code: kind for kind in OUTCOMES}
    assert set(ALL) - set(OUTCOMES) == {ClipFailure, JobStopped, Refusal, InvalidInput}  # never raised themselves


@pytest.mark.clause("I4")
def test_a_code_is_one_outcome() -> None:
    codes = [kind.code for kind in OUTCOMES]
    assert len(set(codes)) == len(codes)
    assert ProxxError.code not in codes
    assert set(OF_THE_ISSUE.split()) <= set(codes)


@pytest.mark.parametrize("kind", OUTCOMES, ids=lambda kind: kind.code)
def test_an_outcome_is_told_whole(kind: type[ProxxError]) -> None:
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", kind.code)
    assert kind.code.replace("_", "").lower() == kind.__name__.lower()
    assert kind.status in {1, 2, 3, 4, 5, 6}  # 0 is done
    assert kind.remedy.endswith((".", ")")) or kind.remedy[-1].isalnum()
    assert kind.remedy != ProxxError.remedy
    said = str(kind(message="A004 is not there.", clip=4, log="the/log", detail="here and now"))
    for part in (kind.code, "A004 is not there.", kind.remedy):
        assert part in said
    if not issubclass(kind, InvalidInput):  # these name places by their problems
        assert "clips[4]" in said
        assert "the/log" in said
        assert "here and now" in said


def test_the_first_clip_is_named_too() -> None:
    assert "clips[0]: " in str(DecodeFailed(message="broken", clip=0))
    assert "clips[" not in str(DecodeFailed(message="broken"))


def test_a_failed_job_has_status_1() -> None:
    assert {kind.status for kind in OUTCOMES if issubclass(kind, ClipFailure | JobStopped)} == {1}


def test_a_refusal_is_not_a_failed_job() -> None:
    assert 1 not in {kind.status for kind in OUTCOMES if issubclass(kind, Refusal)}


def test_remedies_speak_of_verbs_that_exist() -> None:
    for kind in OUTCOMES:
        assert set(re.findall(r"`proxx (\w+)", kind.remedy)) <= set(VERBS.split()), kind


def test_every_problem_is_shown_with_its_path() -> None:
    problems = (
        Problem("clips[3].outputs[0].uri", "OUTPUT_EXISTS", "A001.mov is there.", "Move it."),
        Problem("clips[4].source", "NO_VIDEO", "only sound."),
    )
    said = str(PreflightRefused(message="Two clips.", problems=problems)).splitlines()
    assert said[0] == f"PREFLIGHT_REFUSED: Two clips. {PreflightRefused.remedy}"
    assert said[1:] == [
        "  clips[3].outputs[0].uri: OUTPUT_EXISTS: A001.mov is there. Move it.",
        "  clips[4].source: NO_VIDEO: only sound.",
    ]


def test_an_error_is_caught_by_what_it_means() -> None:
    with pytest.raises(Refusal) as caught:
        raise SpecInvalid(message="no")
    assert caught.value.status == 3
