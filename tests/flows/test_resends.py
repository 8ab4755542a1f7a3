"""A resent request is visible in the job's history and the run's log, and does not change what is made."""

from __future__ import annotations

import subprocess
import sys
from typing import Final
from uuid import UUID

import pytest

from proxx.store.status import State, job_history, job_status
from tests.flows.runs import log_of, registered
from tests.flows.server import Server
from tests.flows.storage_area import StorageArea
from tests.objects.fault import proxying
from tests.objects.rules import Answer, LoseAnswer
from tests.support.jobs import make_job

RUN: Final = """
import sys
from proxx_flows.proxy_job import proxy_job
from proxx_flows.common.reference import JobReference
state = proxy_job(reference=JobReference.model_validate_json(sys.argv[1]), return_state=True)
print(state.state_details.flow_run_id)
"""


@pytest.mark.clause("F4")
def test_a_resend_is_in_the_history_and_in_the_runs_log(prefect: Server, rgw_area: StorageArea) -> None:
    area = rgw_area
    assert area.bucket is not None
    reference = registered(make_job(area.at("proxies"), "prores_proxy_half"), area.store)
    with proxying(area.bucket.endpoint.url) as between:
        fault = between.on(Answer(500, "InternalError"), method="PUT", path="/proxies/clip")
        lost = between.on(LoseAnswer(), method="PUT", path="/events/00003")
        env = {
            **prefect.env(PREFECT_LOGGING_EXTRA_LOGGERS="proxx.storage"),
            **area.environment,
            "AWS_ENDPOINT_URL_S3": between.url,
        }
        argv = [sys.executable, "-c", RUN, reference.model_dump_json()]
        ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert (fault.acted, lost.acted) == (True, True), [request.path for request in between.requests("PUT")]
    assert ended.returncode == 0, ended.stderr
    status = job_status(area.store, reference.job_id)
    assert (status.state, len(status.attempts)) == (State.COMPLETED, 1)
    notes = str([entry.notes for entry in job_history(area.store, reference.job_id).entries])
    assert "'resent'" in notes
    assert "'settled'" in notes, "the lost answer was settled by reading the object back"
    run = UUID(ended.stdout.split()[-1])
    lines = [text for _, text in log_of(run, "lock.released")]
    assert any(text.startswith("PutObject ") and "resent (resend 1), SERVER_FAULT" in text for text in lines), lines
    for value in (area.environment["AWS_SECRET_ACCESS_KEY"], area.environment["AWS_ACCESS_KEY_ID"]):
        assert value not in notes + "".join(lines) + ended.stderr
