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
from tests.flows.ground import Ground, ground_of
from tests.flows.pool import Pool, encoders, until
from tests.support.jobs import create
from tests.support.makemedia import make, picture

SECONDS: Final = 12  # of picture: more than a second of encoding, long enough to be caught


def long_clip() -> Path:
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
    return make("long.mov", *picture(size="1280x720", seconds=str(SECONDS)), *encoded)


@dataclass(frozen=True)
class Yard:
    pool: Pool
    ground: Ground

    def long_job(self, name: str, clips: int = 1) -> JobSpec:
        """A job of long clips, whose name and outputs no other test has."""
        made = long_clip()
        sources = [self.ground.put(made, f"camera/{name}/{index}.mov") for index in range(clips)]
        return create(tuple(sources), self.ground.at(f"proxies/{name}"), "prores_proxy_half", name=name)

    def outputs(self, name: str) -> list[str]:
        return sorted(self.ground.files(f"proxies/{name}"))

    def finding(self, job: JobSpec) -> AuditFinding:
        """What audit says of the job."""
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.pool.server.url}), connection.connected():
            findings = audit_store(self.pool.store).findings(AuditTally())
            return next(finding for finding in findings if finding.job_id == job.job_id)

    @contextmanager
    def held(self, *jobs: JobSpec) -> Iterator[None]:
        """From the start of the block to its end each of them is encoding: it is stopped there, in mid-encode."""
        stopped: dict[str, psutil.Process] = {}

        def all_stopped() -> bool:
            for job in jobs:
                for encoder in encoders(_working(job)) if job.job_id not in stopped else ():
                    with suppress(psutil.NoSuchProcess):
                        encoder.suspend()
                        stopped[job.job_id] = encoder
            return len(stopped) == len(jobs)

        try:
            until(all_stopped, f"ffmpeg of {', '.join(job.name for job in jobs)}", lambda: self._stand(jobs), 0.1)
            yield
        finally:
            for encoder in stopped.values():
                with suppress(psutil.NoSuchProcess):
                    encoder.resume()

    def _stand(self, jobs: Sequence[JobSpec]) -> str:
        states = "\n".join(f"{job.name}: {job_status(self.pool.store, job.job_id)}" for job in jobs)
        return f"{self.pool.said()}\n{states}"

    def gone(self, job: JobSpec) -> bool:
        until(lambda: not encoders(_working(job)), "ffmpeg is gone")
        return True


def _working(job: JobSpec) -> str:
    """What is on the command line of each of its encoders: the job's working directory."""
    return f"/proxx-{job.job_id[:8]}-"


@contextmanager
def a_yard(
    pool: Pool, kind: str, request: pytest.FixtureRequest, folder: Path, roots: Collection[str] = ()
) -> Iterator[Yard]:
    """On the pool's server. In a bucket with workers of its own, which have its keys; this process has them too.

    roots: names that both have for the folders of those names in the bucket.
    """
    ground = ground_of(kind, request, folder)
    if kind == "file":
        yield Yard(pool, ground)
        return
    pool.kill_all()  # they have no keys
    more = dict(ground.environment)
    if roots:
        more["PROXX_ROOTS"] = ";".join(f"{name}={ground.at(name)}" for name in roots)
    with pytest.MonkeyPatch.context() as here:
        for name, value in more.items():
            here.setenv(name, value)
        made = Pool(pool.server, folder, ground.store, more)
        try:
            yield Yard(made, ground)
        finally:
            made.kill_all()
