"""Failures: each code is stable and belongs to one class, with an exit status and a remedy."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import pytest
from proxx_flows.common import errors as flow_errors

from proxx.contracts import error_bases, errors
from proxx.contracts.error_bases import (
    ClipFailure,
    ComparisonFailed,
    EnvironmentFailure,
    InvalidInput,
    JobStopped,
    Problem,
    ProxxError,
    Refusal,
    WithProblems,
)
from proxx.contracts.errors import (
    DecodeFailed,
    PreflightRefused,
    ReproduceIncomplete,
    ReproduceMismatch,
    SpecInvalid,
    ToolchainMismatch,
    ToolchainMissing,
    VerifyMismatch,
    WouldNotRelink,
)
from proxx.contracts.errors_by_code import ERROR_CLASSES

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


def classes_of(*modules: str) -> tuple[type[ProxxError], ...]:
    classes = {kind: None for kind in subclasses(ProxxError) if kind.__module__ in modules}
    return tuple(classes)  # once each: a class with two bases is reached twice


ALL = classes_of(errors.__name__, error_bases.__name__)
OUTCOMES = tuple(kind for kind in ALL if "code" in vars(kind))
EVERY = (ProxxError, *ALL, *classes_of(flow_errors.__name__))


def test_every_class_with_a_code_is_found_by_it() -> None:
    assert dict(ERROR_CLASSES) == {kind.code: kind for kind in OUTCOMES}
    never_raised = {
        ClipFailure,
        JobStopped,
        EnvironmentFailure,
        Refusal,
        WithProblems,
        InvalidInput,
        ComparisonFailed,
    }
    assert set(ALL) - set(OUTCOMES) == never_raised


@pytest.mark.clause("I4")
def test_each_code_belongs_to_one_class() -> None:
    codes = [kind.code for kind in OUTCOMES]
    assert len(set(codes)) == len(codes)
    assert ProxxError.code not in codes
    assert set(OF_THE_ISSUE.split()) <= set(codes)


@pytest.mark.parametrize("kind", OUTCOMES, ids=lambda kind: kind.code)
def test_a_failure_shows_its_code_message_and_remedy(kind: type[ProxxError]) -> None:
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", kind.code)
    assert kind.code.replace("_", "").lower() == kind.__name__.lower()
    assert kind.status in {1, 2, 3, 4, 5, 6}  # 0 is success
    assert kind.remedy.endswith((".", ")")) or kind.remedy[-1].isalnum()
    assert kind.remedy != ProxxError.remedy
    text = str(kind(message="A004 is not there.", clip=4, log="the/log", detail="here and now"))
    for part in (kind.code, "A004 is not there.", kind.remedy):
        assert part in text
    if not issubclass(kind, WithProblems):  # these name places in their problems
        assert "clips[4]" in text
        assert "the/log" in text
        assert "here and now" in text


def test_the_first_clip_is_named_too() -> None:
    assert "clips[0]: " in str(DecodeFailed(message="broken", clip=0))
    assert "clips[" not in str(DecodeFailed(message="broken"))


def test_an_error_may_carry_its_own_remedy() -> None:
    error = DecodeFailed(message="broken", remedy="Wait for the copy to end.")
    assert error.remedy == "Wait for the copy to end." != DecodeFailed.remedy
    assert str(error) == "DECODE_FAILED: broken Wait for the copy to end."
    assert DecodeFailed(message="broken").remedy == DecodeFailed.remedy


def test_a_failed_job_has_status_1() -> None:
    assert {kind.status for kind in OUTCOMES if issubclass(kind, ClipFailure | JobStopped)} == {1}


def test_a_refusal_is_not_a_failed_job() -> None:
    others = Refusal | EnvironmentFailure | ComparisonFailed
    assert 1 not in {kind.status for kind in OUTCOMES if issubclass(kind, others)}


def test_every_failure_is_of_one_family() -> None:
    families = (ClipFailure, JobStopped, EnvironmentFailure, Refusal, ComparisonFailed)
    for kind in OUTCOMES:
        assert [issubclass(kind, family) for family in families].count(True) == 1, kind


def test_toolchain_failures_are_not_refusals() -> None:
    of_environment = {kind for kind in OUTCOMES if issubclass(kind, EnvironmentFailure)}
    assert of_environment == {ToolchainMismatch, ToolchainMissing}


def test_a_failed_comparison_is_not_invalid_input() -> None:
    compared = {kind for kind in OUTCOMES if issubclass(kind, ComparisonFailed)}
    assert compared == {VerifyMismatch, ReproduceMismatch, ReproduceIncomplete, WouldNotRelink}
    assert not any(issubclass(kind, Refusal) for kind in compared)


def test_remedies_name_verbs_that_exist() -> None:
    for kind in OUTCOMES:
        assert set(re.findall(r"`proxx (\w+)", kind.remedy)) <= set(VERBS.split()), kind


def test_every_problem_is_shown_with_its_path() -> None:
    problems = (
        Problem("clips[3].outputs[0].uri", "OUTPUT_EXISTS", "A001.mov is there.", "Move it."),
        Problem("clips[4].source", "NO_VIDEO", "only sound."),
    )
    lines = str(PreflightRefused(message="Two clips.", problems=problems)).splitlines()
    assert lines[0] == f"PREFLIGHT_REFUSED: Two clips. {PreflightRefused.remedy}"
    assert lines[1:] == [
        "  clips[3].outputs[0].uri: OUTPUT_EXISTS: A001.mov is there. Move it.",
        "  clips[4].source: NO_VIDEO: only sound.",
    ]


def test_an_error_is_caught_by_its_family() -> None:
    with pytest.raises(Refusal) as caught:
        raise SpecInvalid(message="no")
    assert caught.value.status == 3


def with_every_field(kind: type[ProxxError]) -> ProxxError:
    """An error of the class with a value in each of its fields that is not the field's default."""
    values: dict[str, object] = {
        "clip": 3,
        "exit": -9,
        "argv": ("ffmpeg", "-i"),
        "checks": (("frames", "25", "24"),),
        "problems": (Problem("clips[3]", "NO_VIDEO", "only sound."),),
        "result": {"status": "COMPLETED"},
    }
    fields = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: values.get(name, f"the {name}") for name in fields})  # type: ignore[arg-type]


def pickled(protocol: int, error: ProxxError) -> ProxxError:
    return cast("ProxxError", pickle.loads(pickle.dumps(error, protocol)))  # noqa: S301  (its own pickle)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, *(partial(pickled, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1))],
)
def test_an_error_can_be_copied_and_pickled(
    kind: type[ProxxError], copied: Callable[[ProxxError], ProxxError]
) -> None:
    for error in (with_every_field(kind), kind(message="only this")):
        error.add_note("the refusal could not be recorded")
        other = copied(error)
        assert type(other) is kind and other is not error
        assert vars(other) == vars(error)
        assert other.__notes__ == ["the refusal could not be recorded"]
        assert str(other) == str(error)
