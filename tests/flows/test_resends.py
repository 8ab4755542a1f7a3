"""A request of a run that had to be sent again is seen where the runbook says, and changes nothing that is made."""

from __future__ import annotations

import subprocess
import sys
from typing import Final
from uuid import UUID

import pytest

from proxx.store.status import State, job_history, job_status
from tests.flows.ground import Ground
from tests.flows.runs import log_of, registered
from tests.flows.server import Server
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
def test_a_resend_is_told_in_the_history_and_in_the_runs_log(prefect: Server, rgw_ground: Ground) -> None:
    ground = rgw_ground
    assert ground.bucket is not None
    reference = registered(make_job(ground.at("proxies"), "prores_proxy_half"), ground.store)
    with proxying(ground.bucket.endpoint.url) as between:
        fault = between.on(Answer(500, "InternalError"), method="PUT", path="/proxies/clip")
        lost = between.on(LoseAnswer(), method="PUT", path="/events/00003")
        env = {
            **prefect.env(PREFECT_LOGGING_EXTRA_LOGGERS="proxx.storage"),
            **ground.environment,
            "AWS_ENDPOINT_URL_S3": between.url,
        }
        argv = [sys.executable, "-c", RUN, reference.model_dump_json()]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert (fault.acted, lost.acted) == (True, True), [one.path for one in between.requests("PUT")]
    assert done.returncode == 0, done.stderr
    known = job_status(ground.store, reference.job_id)
    assert (known.state, len(known.attempts)) == (State.COMPLETED, 1)
    notes = str([entry.notes for entry in job_history(ground.store, reference.job_id).entries])
    assert "'resent'" in notes
    assert "'settled'" in notes, "the lost answer: by reading back what stands there"
    run = UUID(done.stdout.split()[-1])
    lines = [text for _, text in log_of(run, "lock.released")]
    assert any(text.startswith("PutObject ") and "resent (resend 1), SERVER_FAULT" in text for text in lines), lines
    for value in (ground.environment["AWS_SECRET_ACCESS_KEY"], ground.environment["AWS_ACCESS_KEY_ID"]):
        assert value not in notes + "".join(lines) + done.stderr
