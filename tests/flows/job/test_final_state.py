"""A run's message has code, clip, message and remedy; its data is the result and can be read back."""

from __future__ import annotations

import json

import pytest
from proxx_flows.job.final_state import (
    FinalState,
    StateData,
    final_state_of,
    read_result,
    refused_state,
    repeat_final_state,
)

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import AttemptClosed, JobUnknown, Locked, SpecAltered
from tests.support.results import JOB, completed, failed, failure, not_run, result

FAILED = "FRAMES_MISMATCH: clip {} of {}, A00{}.mov: What happened. What to do."


def test_a_completed_job_counts_clips_and_frames() -> None:
    both = result(completed(0), completed(1))
    assert final_state_of(both) == FinalState(True, "2 clips, 50 frames", StateData(both.to_json()))
    assert final_state_of(result(completed(0))).message == "1 clip, 25 frames"


@pytest.mark.clause("I4")
def test_a_failed_job_names_clip_and_remedy() -> None:
    ended = result(completed(0), failed(1), completed(2))
    assert final_state_of(ended) == FinalState(
        False, f"{FAILED.format(2, 3, 1)}\n2 of 3 clips made.", StateData(ended.to_json())
    )


def test_only_the_first_failures_are_listed() -> None:
    ended = result(*(failed(index) for index in range(5)))
    listed = [FAILED.format(index + 1, 5, index) for index in range(3)]
    assert final_state_of(ended).message.splitlines() == [*listed, "... and 2 more.", "0 of 5 clips made."]


def test_what_stopped_the_job_is_listed_once() -> None:
    by_clip = result(completed(0), failed(1), not_run(2), stopped=failure("FRAMES_MISMATCH"))
    assert final_state_of(by_clip).message == f"{FAILED.format(2, 3, 1)}\n1 of 3 clips made."
    between = result(completed(0), not_run(1), stopped=failure("INTERRUPTED"))
    assert final_state_of(between).message == "INTERRUPTED: What happened. What to do.\n1 of 2 clips made."


def test_the_data_reads_back_as_the_result() -> None:
    ended = result(completed(0), failed(1))
    assert read_result(json.loads(json.dumps(final_state_of(ended).data))) == ended
    assert read_result(refused_state(Locked(message="attempt 1 is open")).data) is None
    with pytest.raises(ValueError, match="job_id"):
        read_result({})


def test_the_data_does_not_print_itself() -> None:
    assert repr(StateData(job_id=JOB, clips=[])) == "<job_id, clips>"


def test_a_refusal_has_code_message_detail_and_remedy() -> None:
    message = refused_state(JobUnknown(message="the job is not in this store", detail="x\ny")).message
    assert message == f"JOB_UNKNOWN: the job is not in this store. (x\\ny) {JobUnknown.remedy}"


def test_a_refused_spec_names_its_fields() -> None:
    problems = tuple(Problem(f"clips[{index}]", "SPEC_ALTERED", "is not what was sealed.") for index in range(5))
    final = refused_state(SpecAltered(message="The spec was edited.", problems=problems))
    assert final.message.splitlines() == [
        f"SPEC_ALTERED: The spec was edited. {SpecAltered.remedy}",
        *(f"  clips[{index}]: SPEC_ALTERED: is not what was sealed." for index in range(3)),
        "  ... and 2 more.",
    ]
    assert len(final.data["error"]["problems"]) == 5


def closed(record: object, run_id: str = "run-1") -> AttemptClosed:
    return AttemptClosed(message="attempt 1 has ended", result=record, run_id=run_id)  # type: ignore[arg-type]


def test_the_refusal_of_an_ended_attempt_includes_its_result() -> None:
    good, bad = result(completed(0)), result(failed(0))
    assert refused_state(closed(good.to_json())).message == (
        f"ATTEMPT_CLOSED: attempt 1 has ended. It was COMPLETED: 1 clip, 25 frames, result {good.fingerprint[:12]}. "
        f"{AttemptClosed.remedy}"
    )
    assert (
        f"It was FAILED: {FAILED.format(1, 1, 0).rstrip('.')}, result" in refused_state(closed(bad.to_json())).message
    )
    assert refused_state(closed({"status": "COMPLETED"})).message == (
        f"ATTEMPT_CLOSED: attempt 1 has ended. It was COMPLETED: its record cannot be read. {AttemptClosed.remedy}"
    )
    assert refused_state(closed(None)).message == f"ATTEMPT_CLOSED: attempt 1 has ended. {AttemptClosed.remedy}"


def test_a_run_that_is_handed_out_again_reports_its_result_again() -> None:
    ended = result(completed(0), failed(1))
    assert repeat_final_state(closed(ended.to_json())) == final_state_of(ended)
    assert repeat_final_state(closed(None)) is None
    assert repeat_final_state(closed({"status": "COMPLETED"})) is None
