"""A summary has the facts of the results, survives JSON unchanged, and names each failure with its remedy."""

from __future__ import annotations

import json

import pytest
from proxx_flows.submission.summary import (
    ClipCounts,
    Fault,
    FileProblem,
    JobSummary,
    Proxy,
    Summary,
    in_words,
    job_summary,
    nothing_made,
    summarize,
    without_result,
)
from pydantic import ValidationError

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import Locked, PreflightRefused, ProfileInvalid, StoreUnavailable
from proxx.contracts.result import ExecutionResult, make_result
from tests.support.results import JOB, completed, envelope, failed, failure, not_run

DONE = make_result(JOB, 1, (completed(0), completed(1)), None, envelope())
PARTLY = make_result(JOB, 1, (completed(0), failed(1)), None, envelope())
STOPPED = make_result(JOB, 1, (completed(0), failed(1), not_run(2)), failure("FRAMES_MISMATCH"), envelope())
BETWEEN = make_result(JOB, 1, (completed(0), not_run(1)), failure("INTERRUPTED"), envelope())
LOCKED = without_result(
    JOB, "A001", 2, 1, Fault.of(Locked(message="attempt 1 is taken")), run_id=None, status="REFUSED"
)


def proxy(index: int) -> Proxy:
    clip = completed(index)
    return Proxy(
        source=clip.source, output=clip.output, sha256=clip.output_sha256, size=clip.output_size, frames=clip.frames
    )


def fault(index: int) -> Fault:
    clip = failed(index)
    return Fault(
        clip=index,
        source=clip.source,
        output=clip.output,
        code="FRAMES_MISMATCH",
        message=clip.failure.message,
        remedy=clip.failure.remedy,
    )


def test_a_summary_has_the_facts_of_its_result() -> None:
    assert job_summary("A001", PARTLY, recorded=False) == JobSummary(
        job_id=JOB,
        name="A001",
        status="FAILED",
        attempt=1,
        run_id=PARTLY.envelope.run_id,
        recorded=False,
        fingerprint=PARTLY.fingerprint,
        clips=ClipCounts(total=2, completed=1, failed=1, not_run=0),
        outputs=(proxy(0),),
        failures=(fault(1),),
    )


@pytest.mark.parametrize(
    ("result", "clips"),
    [(DONE, []), (PARTLY, [1]), (STOPPED, [1]), (BETWEEN, [None])],
    ids=["completed", "one failed", "stopped by a clip", "stopped between clips"],
)
def test_each_failure_is_listed_once(result: ExecutionResult, clips: list[int | None]) -> None:
    assert [failure.clip for failure in job_summary("A001", result, recorded=False).failures] == clips


@pytest.mark.parametrize(
    "summary",
    [
        summarize((job_summary("A001", DONE, recorded=True),), ()),
        summarize((job_summary("A001", PARTLY, recorded=False), LOCKED), (Problem("a.wav", "NO_VIDEO", "None."),)),
        nothing_made(StoreUnavailable(message="the store is away")),
    ],
    ids=["completed", "failed", "refused"],
)
def test_a_summary_survives_the_json_that_prefect_stores(summary: Summary) -> None:
    plain = json.loads(json.dumps(summary.to_json()))
    assert plain["schema"] == "proxx.summary/1"
    assert Summary.read(plain) == summary


def test_a_summary_that_contradicts_itself_is_invalid() -> None:
    plain = summarize((LOCKED,), ()).to_json()
    with pytest.raises(ValidationError, match="every job is COMPLETED"):
        Summary.read({**plain, "status": "COMPLETED"})
    with pytest.raises(ValidationError, match="has failures exactly if"):
        Summary.read({**plain, "jobs": [{**LOCKED.to_json(), "failures": []}]})
    with pytest.raises(ValidationError, match="every job is COMPLETED"):
        Summary.read({**plain, "jobs": [], "status": "COMPLETED"})


def test_outputs_failures_and_failed_jobs_are_offered_over_all_jobs() -> None:
    done, partly = job_summary("A001", DONE, recorded=False), job_summary("A002", PARTLY, recorded=False)
    summary = summarize((done, partly), ())
    assert summary.outputs == (proxy(0), proxy(1), proxy(0))
    assert summary.failures == (fault(1),)
    assert summary.failed == (partly,)


def test_problems_keep_their_file_and_remedy() -> None:
    problems = (Problem("a.mov", "NO_VIDEO", "No picture.", "Leave it out."), Problem("b.mov", "X", "Y.", "Z."))
    summary = nothing_made(PreflightRefused(message="No job was made.", problems=problems))
    assert summary.problems == (
        FileProblem(path="a.mov", code="NO_VIDEO", message="No picture.", remedy="Leave it out."),
        FileProblem(path="b.mov", code="X", message="Y.", remedy="Z."),
    )
    unknown = nothing_made(
        ProfileInvalid(message="No profile is called x.", problems=(Problem("x", "P", "there is y."),))
    )
    assert unknown.problems == (
        FileProblem(path="x", code="P", message="No profile is called x: there is y.", remedy=ProfileInvalid.remedy),
    )
    template = Problem("--clips-per-job", "PREFLIGHT_REFUSED", "one clip a job is the least.")
    assert nothing_made(PreflightRefused(message="No job was made.", problems=(template,))).problems == (
        FileProblem(
            path="clips_per_job",
            code="PREFLIGHT_REFUSED",
            message="one clip a job is the least.",
            remedy=PreflightRefused.remedy.replace("--leave-out-refused", "leave_out_refused"),
        ),
    )
    away = nothing_made(StoreUnavailable(message="the store is away", detail="/s"))
    assert away.problems == (
        FileProblem(
            path="(the request)",
            code="STORE_UNAVAILABLE",
            message="the store is away (/s)",
            remedy=StoreUnavailable.remedy,
        ),
    )


def test_a_summary_as_one_message() -> None:
    done, again = job_summary("A001", DONE, recorded=False), job_summary("A002", DONE, recorded=True)
    assert in_words(summarize((done,), ())) == "1 job, 2 clips, 50 frames."
    assert in_words(summarize((done, again), ())) == "2 jobs, 4 clips, 100 frames; 1 job had been completed before."
    failure_of_clip = failed(1).failure
    assert in_words(summarize((done, job_summary("A003", PARTLY, recorded=False), LOCKED), ())) == (
        "2 of 3 jobs not completed.\n"
        f"A003, clip 2 of 2, A001.mov: FRAMES_MISMATCH: {failure_of_clip.message} {failure_of_clip.remedy}\n"
        f"A001: LOCKED: attempt 1 is taken. {Locked.remedy}"
    )
    problems = tuple(Problem(f"{name}.mov", "NO_VIDEO", "No picture.", "Leave it out.") for name in "abcde")
    assert in_words(nothing_made(PreflightRefused(message="", problems=problems))) == (
        "No job was made.\n"
        "a.mov: NO_VIDEO: No picture. Leave it out.\n"
        "b.mov: NO_VIDEO: No picture. Leave it out.\n"
        "c.mov: NO_VIDEO: No picture. Leave it out.\n"
        "... and 2 more."
    )
