"""The job's event has name, outputs and failures; if it would be too large it is sent without the outputs."""

from __future__ import annotations

import pytest
from proxx_flows.job.events import emit_job, job_payload, job_resource, proxy_asset, source_asset

from tests.flows.job.test_page_texts import example_facts
from tests.flows.runs import events
from tests.support.results import JOB, completed, failed, result


def test_a_failed_jobs_event_has_its_outputs_and_its_failures() -> None:
    ended = result(completed(0), failed(1))
    assert job_payload(ended, example_facts(2)) == {
        "job_id": JOB,
        "attempt": 1,
        "name": "A001",
        "profile": "prores_proxy",
        "store": "file:///store",
        "status": "FAILED",
        "fingerprint": ended.fingerprint,
        "outputs": [
            {
                "source": "/media/A000.mov",
                "output": "/proxies/A000.mov",
                "sha256": "sha256:" + "c" * 64,
                "size": 4096,
                "frames": 25,
            }
        ],
        "failures": ["FRAMES_MISMATCH: clip 2 of 2, A001.mov: What happened. What to do."],
    }


def test_automations_can_match_name_attempt_and_profile() -> None:
    assert job_resource(example_facts()) == {
        "prefect.resource.id": f"proxx.job.{JOB}",
        "prefect.resource.name": "A001",
        "proxx.attempt": "1",
        "proxx.profile": "prores_proxy",
    }


def test_a_proxy_is_keyed_by_job_and_clip_and_a_source_by_digest() -> None:
    assert proxy_asset(1, example_facts()).key == f"proxx://{JOB}/0001"
    assert source_asset(1, example_facts()).key == "proxx://source/" + "d" * 64


@pytest.mark.usefixtures("prefect")
def test_an_event_that_would_be_too_large_leaves_its_outputs_out() -> None:
    for clips in (100, 10_000):
        emit_job(result(*(completed(index) for index in range(clips))), example_facts(clips))
    payloads = [event["payload"] for event in events("proxx.job", f"proxx.job.{JOB}", 2)]
    assert [(len(payload["outputs"]), payload.get("left_out")) for payload in payloads] == [
        (100, None),
        (0, "outputs"),
    ]
