"""Specs for tests of submission: as many as wanted from one real one, each another job with outputs of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from proxx.contracts.job import JobContent, JobSpec, seal, spec_bytes
from tests.support.jobs import make_job


def spec_like(job: JobSpec, output: Path, name: str = "A001") -> JobSpec:
    """The job with this name and one clip, into `output`."""
    clip = job.clips[0]
    place = clip.outputs[0].model_copy(update={"uri": str(output)})
    return seal(
        JobContent(
            schema_=job.schema_,
            name=name,
            profile=job.profile,
            toolchain=job.toolchain,
            clips=(clip.model_copy(update={"outputs": (place,)}),),
            left_out=job.left_out,
        )
    )


@cache
def _base() -> JobSpec:
    return make_job(Path("/proxies"), "prores_proxy_half")


def write_specs(folder: Path, count: int, outputs: Path, name: str = "A") -> tuple[JobSpec, ...]:
    """`count` spec files in `folder`, in the order of their names; nothing is ever encoded from them."""
    folder.mkdir(parents=True, exist_ok=True)
    base = _base()
    jobs = tuple(spec_like(base, outputs / f"{name}{index:03d}.mov", f"{name}{index:03d}") for index in range(count))
    for index, job in enumerate(jobs):
        (folder / f"{index:03d}.json").write_bytes(spec_bytes(job))
    return jobs
