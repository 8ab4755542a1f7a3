"""Specs for tests of submission: any number made from one real spec, each a job of its own with its own outputs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from proxx.contracts.job import JobContent, JobSpec, seal, spec_bytes
from tests.support.jobs import make_job


def spec_like(job: JobSpec, output: Path, name: str = "A001") -> JobSpec:
    """Returns the job's spec with another name, its first clip only, and another output."""
    clip = job.clips[0]
    other_output = clip.outputs[0].model_copy(update={"uri": str(output)})
    return seal(
        JobContent(
            schema_=job.schema_,
            name=name,
            profile=job.profile,
            toolchain=job.toolchain,
            clips=(clip.model_copy(update={"outputs": (other_output,)}),),
            left_out=job.left_out,
        )
    )


@cache
def _base() -> JobSpec:
    return make_job(Path("/proxies"), "prores_proxy_half")


def write_specs(folder: Path, count: int, outputs: Path, name: str = "A") -> tuple[JobSpec, ...]:
    """Writes `count` spec files into `folder`, in the order of their names. Their clips are never encoded."""
    folder.mkdir(parents=True, exist_ok=True)
    base = _base()
    jobs = tuple(spec_like(base, outputs / f"{name}{index:03d}.mov", f"{name}{index:03d}") for index in range(count))
    for index, job in enumerate(jobs):
        (folder / f"{index:03d}.json").write_bytes(spec_bytes(job))
    return jobs
