"""Finished jobs in a store of the test: run by a chosen worker, or with one event forged."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proxx.contracts.event import Worker, event_bytes, parse_event
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import RunEnvironment, execute
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import parse
from tests.support.jobs import make_job

HERE: Final = Worker(host="here", pid=1, user="editor")
THERE: Final = Worker(host="there", pid=2, user="editor")
FORGED: Final = "sha256:" + "0" * 64


def finish(
    store: Store, output: Path, clips: int = 1, *, profile: str = "prores_proxy", worker: Worker = HERE
) -> JobSpec:
    """Makes a job of half-second clips and runs it as `worker`."""
    job = make_job(output, profile, clips, name=output.name)
    run(store, job, worker=worker)
    return job


def run(store: Store, job: JobSpec, *, worker: Worker = HERE) -> None:
    result = execute(spec_bytes(job), RunEnvironment(store=store, worker=worker, run_id="run-1"))
    assert result.status == "COMPLETED", result


def forged(store: Store, job: JobSpec, clip: int) -> MemoryStore:
    """Returns a copy of the store in which the job recorded another digest for one clip."""
    copy, changed = MemoryStore(), 0
    for key in store.list(""):
        data, parsed = store.read(key) or b"", parse(key)
        if parsed is not None and parsed.kind == "event" and parsed.job_id == job.job_id:
            event = parse_event(data)
            if event.type == "clip.completed" and event.data["clip"] == clip:
                data = event_bytes(event.model_copy(update={"data": {**event.data, "sha256": FORGED}}))
                changed += 1
        copy.create(key, data)
    assert changed == 1
    return copy
