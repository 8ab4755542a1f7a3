"""Prefect events that automations can wait for: a job completed or failed, and each proxy as an asset of its source.

Prefect sends events from a thread of its own and may lose some when the process is killed. They are meant to start
the next step; the store is the record of what happened.
"""

from __future__ import annotations

from typing import Any, Final

from prefect.assets import Asset, AssetProperties
from prefect.context import AssetContext
from prefect.events import emit_event
from prefect.exceptions import EventTooLarge
from prefect.states import Completed, Failed

from proxx.console.wording import last_part
from proxx.contracts.result import ClipResult, ExecutionResult
from proxx_flows.job.final_state import failure_sentences
from proxx_flows.job.registered_job import JobFacts

COMPLETED: Final = "proxx.job.completed"
FAILED: Final = "proxx.job.failed"
MAKER: Final = "proxx"


def emit_job(result: ExecutionResult, job: JobFacts) -> None:
    """Emits `proxx.job.completed` or `.failed` with the job's id and outputs; a failed job may have outputs too."""
    event = COMPLETED if result.status == "COMPLETED" else FAILED
    payload = job_payload(result, job)
    try:
        emit_event(event, resource=job_resource(job), payload=payload)
    except EventTooLarge:  # thousands of clips; their outputs are in the run's result
        emit_event(event, resource=job_resource(job), payload={**payload, "outputs": [], "left_out": "outputs"})


def emit_asset(clip: ClipResult, job: JobFacts) -> None:
    """Emits Prefect's asset events: the proxy, made from its source. Emits none for a clip that was not run."""
    if clip.status == "NOT_RUN":
        return
    proxy, source = proxy_asset(clip.index, job), source_asset(clip.index, job)
    metadata: dict[str, Any] = {
        "job_id": job.job_id,
        "attempt": job.attempt,
        "clip": clip.index,
        "source": clip.source,
        "output": clip.output,
        "sha256": clip.output_sha256,
        "frames": clip.frames,
    }
    if clip.failure is not None:
        metadata |= {"code": clip.failure.code, "message": clip.failure.message}
    AssetContext(
        direct_asset_dependencies={source},
        downstream_assets={proxy},
        materialized_by=MAKER,
        materialization_metadata={proxy.key: metadata},
    ).emit_events(Completed() if clip.status == "COMPLETED" else Failed())


def job_resource(job: JobFacts) -> dict[str, str]:
    """Returns the resource that the job's event is about. Automations can match its profile and name."""
    return {
        "prefect.resource.id": f"proxx.job.{job.job_id}",
        "prefect.resource.name": job.name,
        "proxx.attempt": str(job.attempt),
        "proxx.profile": job.profile,
    }


def job_payload(result: ExecutionResult, job: JobFacts) -> dict[str, Any]:
    """Returns the event's payload. outputs: each published proxy. failures: one line each, starting with the code."""
    return {
        "job_id": result.job_id,
        "attempt": result.attempt,
        "name": job.name,
        "profile": job.profile,
        "store": job.store,
        "status": result.status,
        "fingerprint": result.fingerprint,
        "outputs": [
            {
                "source": clip.source,
                "output": clip.output,
                "sha256": clip.output_sha256,
                "size": clip.output_size,
                "frames": clip.frames,
            }
            for clip in result.clips
            if clip.status == "COMPLETED"
        ],
        "failures": failure_sentences(result),
    }


def proxy_asset(index: int, job: JobFacts) -> Asset:
    """Returns the proxy's asset, `proxx://<job>/<clip>`.

    Prefect's asset keys allow no spaces and few special characters, so the real paths are in the metadata.
    """
    clip = job.clips[index]
    return Asset(key=f"proxx://{job.job_id}/{index:04d}", properties=AssetProperties(name=last_part(clip.output)))


def source_asset(index: int, job: JobFacts) -> Asset:
    """Returns the camera file's asset, keyed by its digest: the same in all jobs that use the file."""
    clip = job.clips[index]
    return Asset(
        key=f"proxx://source/{clip.digest.removeprefix('sha256:')}", properties=AssetProperties(name=clip.name)
    )
