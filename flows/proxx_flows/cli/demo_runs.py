"""Runs the demo's jobs as flow runs on the demo's Prefect server, and prints one line of JSON for each.

`python -m proxx_flows.cli.demo_runs STORE SPEC...` with absolute paths.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from prefect import tags

from proxx.contracts.event import this_worker
from proxx.contracts.job import read_spec
from proxx.engine.execute import register_job
from proxx.store.opening import initialize_store, open_store
from proxx_flows.common.reference import JobReference, run_name, run_tags
from proxx_flows.proxy_job import proxy_job


def runs(url: str, specs: Sequence[Path]) -> Iterator[dict[str, str]]:
    """Registers each job and runs it in this process, one after another; yields the outcome of each run."""
    store = open_store(url)
    for path in specs:
        data = path.read_bytes()
        job = read_spec(data)
        register_job(job, data, store, this_worker(), str(uuid.uuid4()))
        reference = JobReference(store=store.uri, job_id=job.job_id, store_uuid=initialize_store(store).uuid)
        with tags(*run_tags(job.name, job.profile.name, job.job_id)):
            state = proxy_job(reference=reference, return_state=True)
        yield {
            "name": run_name(job.name, reference),
            "type": state.type.value,
            "state": state.name or state.type.value.title(),
            "message": state.message or "",
        }


def main(arguments: Sequence[str]) -> None:
    url, *specs = arguments
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # everything else that is printed goes to the log
        for run in runs(url, [Path(spec) for spec in specs]):
            print(json.dumps(run), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
