"""A pool whose sources, proxies and job files are on one kind of storage: a folder, or a bucket."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import pytest
from proxx_flows.audit.audit import AuditTally, audit_store
from proxx_flows.audit.finding import AuditFinding
from proxx_flows.common import connection

from proxx.contracts.job import JobSpec
from proxx.store.status import job_status
from tests.flows.pool import Pool, encoders, until
from tests.flows.storage_area import StorageArea, new_area
from tests.support.jobs import create
from tests.support.makemedia import make, picture

SECONDS: Final = 12  # of picture: encodes for more than a second, long enough to be caught


def long_clip() -> Path:
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
    return make("long.mov", *picture(size="1280x720", seconds=str(SECONDS)), *encoded)


@dataclass(frozen=True)
class PoolSite:
    pool: Pool
    area: StorageArea

    def long_job(self, name: str, clips: int = 1) -> JobSpec:
        """Returns a job of long clips. No other test uses its name and its outputs."""
        clip = long_clip()
        sources = [self.area.put(clip, f"camera/{name}/{index}.mov") for index in range(clips)]
        return create(tuple(sources), self.area.at(f"proxies/{name}"), "prores_proxy_half", name=name)

    def outputs(self, name: str) -> list[str]:
        return sorted(self.area.files(f"proxies/{name}"))

    def audit(self, job: JobSpec) -> AuditFinding:
        """Returns the audit's finding for the job."""
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.pool.server.url}), connection.connected():
            findings = audit_store(self.pool.store).findings(AuditTally())
            return next(finding for finding in findings if finding.job_id == job.job_id)

    @contextmanager
    def paused_encoders(self, *jobs: JobSpec) -> Iterator[None]:
        """Waits until each job is encoding and pauses its ffmpeg; resumes it when the block ends."""
        paused: dict[str, psutil.Process] = {}

        def all_paused() -> bool:
            for job in jobs:
                for encoder in encoders(_work_folder(job)) if job.job_id not in paused else ():
                    with suppress(psutil.NoSuchProcess):
                        encoder.suspend()
                        paused[job.job_id] = encoder
            return len(paused) == len(jobs)

        try:
            until(all_paused, f"ffmpeg of {', '.join(job.name for job in jobs)}", lambda: self._status(jobs), 0.1)
            yield
        finally:
            for encoder in paused.values():
                with suppress(psutil.NoSuchProcess):
                    encoder.resume()

    def _status(self, jobs: Sequence[JobSpec]) -> str:
        states = "\n".join(f"{job.name}: {job_status(self.pool.store, job.job_id)}" for job in jobs)
        return f"{self.pool.worker_logs()}\n{states}"

    def encoders_end(self, job: JobSpec) -> bool:
        """Waits until no ffmpeg of the job is alive."""
        until(lambda: not encoders(_work_folder(job)), "ffmpeg has ended")
        return True


def _work_folder(job: JobSpec) -> str:
    """Returns the part of the job's work folder that is on the command line of each of its encoders."""
    return f"/proxx-{job.job_id[:8]}-"


@contextmanager
def site_on(
    pool: Pool, kind: str, request: pytest.FixtureRequest, folder: Path, roots: Collection[str] = ()
) -> Iterator[PoolSite]:
    """Gives a site on the pool's server. A bucket gets its own workers, which have its keys, as this process has.

    roots: names of roots for the folders with those names in the bucket.
    """
    area = new_area(kind, request, folder)
    if kind == "file":
        yield PoolSite(pool, area)
        return
    pool.kill_all()  # its workers have no keys
    environment = dict(area.environment)
    if roots:
        environment["PROXX_ROOTS"] = ";".join(f"{name}={area.at(name)}" for name in roots)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        bucket_pool = Pool(pool.server, folder, area.store, environment)
        try:
            yield PoolSite(bucket_pool, area)
        finally:
            bucket_pool.kill_all()
