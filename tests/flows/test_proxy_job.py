"""One job is one flow run, one task, one call of the engine: what is said of it, on a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prefect._result_records import ResultRecord
from prefect.client.schemas.objects import StateType

from flows.answer import read_result
from flows.reference import run_name
from proxx.event import this_worker
from proxx.execute import Site, execute
from proxx.job import spec_bytes
from proxx.result import ExecutionResult
from proxx.store import FileStore
from tests.flows.runs import data_of, flow_run, ledger, outputs, registered, run_here, run_id, state_types
from tests.flows.server import Server
from tests.jobs import make_job

pytestmark = pytest.mark.usefixtures("prefect")


@pytest.mark.clause("V1")
def test_a_run_makes_what_the_engine_makes(prefect: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path / "proxies", "prores_proxy", 2, name="A001")
    plain = FileStore(tmp_path / "plain")
    alone = execute(spec_bytes(job), Site(store=plain, worker=this_worker(), run_id="alone"))
    expected = outputs(tmp_path / "proxies")
    for path in (tmp_path / "proxies").iterdir():
        path.unlink()

    store = FileStore(tmp_path / "store")
    reference = registered(job, store)
    state = run_here(reference=reference)

    assert (state.type, state.name, state.message) == (StateType.COMPLETED, "Completed", "2 clips, 24 frames")
    assert outputs(tmp_path / "proxies") == expected
    assert ledger(store, job.job_id) == ledger(plain, job.job_id)
    which = run_id(state)
    assert state_types(which).count("RUNNING") == 1
    assert flow_run(which).name == run_name("A001", reference)

    result = read_result(data_of(state))
    assert isinstance(result, ExecutionResult)
    assert (result.fingerprint, result.envelope.run_id) == (alone.fingerprint, str(which))
    kept = tmp_path / "results" / "proxx" / job.job_id / "0001" / f"{which}.json"
    record: ResultRecord[dict[str, Any]] = ResultRecord.deserialize(kept.read_bytes())
    assert ExecutionResult.model_validate_json(json.dumps(record.result)) == result
    assert read_result(data_of(flow_run(which).state)) == result
