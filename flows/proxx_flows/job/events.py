"""What automations can wait for: a job that completed or failed, and each proxy as an asset with its source.

Prefect sends events from a thread of its own and may lose some when a process is killed: they are for starting what
comes next, the record is the store.
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


def emit_job(result: ExecutionResult, about: JobFacts) -> None:
    """`proxx.job.completed` or `.failed`, with the job id and its outputs, those of a failed job too."""
    event = COMPLETED if result.status == "COMPLETED" else FAILED
    payload = job_payload(result, about)
    try:
        emit_event(event, resource=job_resource(about), payload=payload)
    except EventTooLarge:  # thousands of clips: who needs them reads the run's result
        emit_event(event, resource=job_resource(about), payload={**payload, "outputs": [], "left_out": "outputs"})


def emit_asset(clip: ClipResult, about: JobFacts) -> None:
    """The proxy as an asset made of its source. Events of Prefect's own form; NOT_RUN is no event."""
    if clip.status == "NOT_RUN":
        return
    proxy, source = proxy_asset(clip.index, about), source_asset(clip.index, about)
    metadata: dict[str, Any] = {
        "job_id": about.job_id,
        "attempt": about.attempt,
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


def job_resource(about: JobFacts) -> dict[str, str]:
    """What the event is about. Automations can match by profile and name."""
    return {
        "prefect.resource.id": f"proxx.job.{about.job_id}",
        "prefect.resource.name": about.name,
        "proxx.attempt": str(about.attempt),
        "proxx.profile": about.profile,
    }


def job_payload(result: ExecutionResult, about: JobFacts) -> dict[str, Any]:
    """outputs: every published file. failures: one line each, code first."""
    return {
        "job_id": result.job_id,
        "attempt": result.attempt,
        "name": about.name,
        "profile": about.profile,
        "store": about.store,
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


def proxy_asset(index: int, about: JobFacts) -> Asset:
    """`proxx://<job>/<clip>`: Prefect's keys take no spaces and few marks, so real places are in the metadata."""
    clip = about.clips[index]
    return Asset(key=f"proxx://{about.job_id}/{index:04d}", properties=AssetProperties(name=last_part(clip.output)))


def source_asset(index: int, about: JobFacts) -> Asset:
    """The camera file, by its bytes: one and the same in all jobs that use it."""
    clip = about.clips[index]
    return Asset(
        key=f"proxx://source/{clip.digest.removeprefix('sha256:')}", properties=AssetProperties(name=clip.name)
    )
