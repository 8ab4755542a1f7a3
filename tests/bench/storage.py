"""Measures the cost of object storage: `python -m tests.bench.storage jobs 1000`, `status 10000`, and `large 6`.

`jobs N`: runs N real one-clip jobs on local disk and on a Ceph RGW that it starts: seconds and requests. `status N`:
registers and ends N jobs in a store on RGW: requests, seconds and memory of `status` with and without `--since`.
`large N`: publishes an output of N GiB, which is uploaded in parts above five, and reads it back; takes three times
that on disk. Each prints a Markdown table. The figures are of one machine in one run: quote ratios.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from proxx.contracts.event import this_worker
from proxx.contracts.fingerprint import Digester
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.profile import find_profile
from proxx.contracts.result import make_result
from proxx.create.jobs import create_jobs
from proxx.create.request import CreateRequest
from proxx.engine.execute import RunEnvironment, execute
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.files.places import Places
from proxx.files.publish import Content, Present, Published
from proxx.files.roots import InBucket, parse_roots
from proxx.files.upload import existing_object, prepare_upload
from proxx.s3 import multipart
from proxx.s3.transport import Transport
from proxx.store.base import Store
from proxx.store.listing import list_jobs
from proxx.store.lock import acquire, release
from proxx.store.opening import initialize_store, open_store
from proxx.store.registration import register
from proxx.store.s3 import S3Store
from tests.objects.endpoint import Endpoint
from tests.objects.rgw import running_rgw
from tests.support.jobs import half_second
from tests.support.results import completed, envelope, failed

THREADS = 8
IN_TURN = 10  # jobs on one, then on the other, so that other load on the machine slows both
FORMER = datetime.now(UTC) - timedelta(days=40)


@contextmanager
def gateway() -> Iterator[Endpoint]:
    """Runs a Ceph RGW with the buckets `media`, `edit` and `jobs`, and sets the environment to reach it."""
    with tempfile.TemporaryDirectory() as folder, running_rgw(Path(folder) / "rgw") as rgw:
        endpoint = rgw.as_user(rgw.user("bench"))
        os.environ.update(endpoint.environment)
        for name in ("media", "edit", "jobs"):
            endpoint.bucket(name).make()
        yield endpoint


def one_clip_jobs(count: int, roots: str, folder: Path) -> tuple[JobSpec, ...]:
    """Creates `count` jobs of the same half second, each with an output of its own."""
    source = half_second("clip.mov")
    names = folder / "media"
    names.mkdir(parents=True)
    for number in range(count):
        (names / f"c{number:05d}.mov").hardlink_to(source)
    toolchain = find_toolchain("static")
    created = create_jobs(
        CreateRequest(
            sources=(names,),
            profile=find_profile("prores_proxy_half"),
            toolchain=toolchain.identity,
            output="proxies:/",
            name="bench",
            template="{source_name}",
            clips_per_job=1,
            leave_out_refused=False,
            accept_damage=(),
            date="2026-01-02",
            places=Places(roots=parse_roots(roots)),
        ),
        ffprobe=toolchain.ffprobe,
        decoders=decoders(toolchain.ffmpeg),
    )
    return created.jobs


def run_all(jobs: tuple[JobSpec, ...], store: Store, places: Places) -> float:
    """Runs the jobs one after the other in this process. Returns the seconds it took."""
    since = time.perf_counter()
    for job in jobs:
        result = execute(
            spec_bytes(job), RunEnvironment(store=store, worker=this_worker(), run_id="bench", places=places)
        )
        assert result.status == "COMPLETED", result
    return time.perf_counter() - since


def jobs_table(count: int) -> str:
    with tempfile.TemporaryDirectory() as own, gateway() as endpoint:
        folder = Path(own)
        local = f"media={folder}/media;proxies={folder}/proxies"
        specs = one_clip_jobs(count, local, folder)
        bucket = endpoint.bucket("media")
        source = (folder / "media" / "c00000.mov").read_bytes()
        for number in range(count):
            bucket.put(f"c{number:05d}.mov", source)
        (folder / "proxies").mkdir()
        local_store, local_places = open_store(str(folder / "store")), Places(roots=parse_roots(local))
        places = Places(roots=parse_roots("media=s3://media;proxies=s3://edit"))
        store = S3Store("jobs", "store", Transport())
        initialize_store(local_store)
        initialize_store(store)
        disk = objects = 0.0
        for first in range(0, count, IN_TURN):
            disk += run_all(specs[first : first + IN_TURN], local_store, local_places)
            objects += run_all(specs[first : first + IN_TURN], store, places)
        resent = store.wire.journal.take() + places.wire.journal.take()
    requests, media = store.wire.sent / count, places.wire.sent / count
    return "\n".join(
        (
            f"| {count:,} one-clip jobs, 12 frames each | local disk | Ceph RGW on loopback |",
            "|---|---|---|",
            f"| seconds | {disk:.0f} | {objects:.0f} ({objects / disk:.2f} times) |",
            f"| seconds a job | {disk / count:.3f} | {objects / count:.3f} |",
            f"| requests a job: job files, media | | {requests:.1f}, {media:.1f} |",
            f"| requests sent again | | {len(resent)} |",
        )
    )


def add_job(store: Store, number: int) -> None:
    """Registers a job. Of ten jobs eight are completed, one failed and one waits; half of them are weeks old."""
    now = datetime.now(UTC) if number % 2 else FORMER
    from proxx.contracts.event import stamp

    job, me = f"{number:064x}", this_worker()
    register(store, b"{}", job, [f"/p/{number}.mov"], stamp(me, "r", clock=lambda: now))
    if number % 10 == 9:
        return
    ledger = acquire(store, job, 1, me, f"run-{number}", clock=lambda: now)
    clip = failed() if number % 10 == 8 else completed()
    ledger.append("clip.started", {"clip": 0})
    ledger.append("clip.completed", {"clip": 0})
    release(ledger, make_result(job, 1, (clip,), None, envelope()).to_json())


def status_rows(sizes: tuple[int, ...]) -> Iterator[str]:
    yield "| jobs in the store | requests of `status` | seconds | `--since` yesterday: requests | seconds | peak MB |"
    yield "|---|---|---|---|---|---|"
    with gateway():
        store = S3Store("jobs", "status", Transport())
        initialize_store(store)
        made = 0
        for size in sizes:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(lambda number: add_job(store, number), range(made, size)))
            made = size
            row = [f"{size:,}"]
            for since in (None, date.today() - timedelta(days=1)):
                reader = S3Store("jobs", "status", Transport())
                began = time.perf_counter()
                count = sum(1 for _ in list_jobs(reader, since))
                took = time.perf_counter() - began
                assert count == (size if since is None else size // 2), (count, size, since)
                row += [f"{reader.wire.sent:,}", f"{took:.1f}"]
            row.append(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")
            yield f"| {' | '.join(row)} |"


def large_table(gib: int) -> str:
    """Publishes one output, then reads it as `existing_object` does. Returns the table."""
    with tempfile.TemporaryDirectory() as own, gateway():
        made, digester = Path(own) / "proxy.mov", Digester()
        with made.open("wb") as file:
            for number in range(gib << 10):  # MiB, no two the same
                piece = hashlib.sha256(number.to_bytes(4, "big")).digest() * (1 << 15)
                file.write(piece)
                digester.update(piece)
        content = Content(digester.digest, made.stat().st_size)
        places, spot = Places(wire=Transport()), InBucket("edit", "card/proxy.mov")
        rows = []
        for what in ("published", "read back"):
            sent, since = places.wire.sent, time.perf_counter()
            if what == "published":
                with prepare_upload(places, spot, made, content, lambda: False) as sending:
                    assert sending.publish(lambda: None) == Published()
            else:
                assert existing_object(places, spot) == Present(content.sha256)
            took = time.perf_counter() - since
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            speed = content.size / took / 1e6
            rows.append(f"| {what} | {took:.1f} | {speed:.0f} | {places.wire.sent - sent} | {peak:.0f} |")
        assert list(multipart.unfinished(places.bucket(spot), "")) == []
    return "\n".join((f"| {gib} GiB | s | MB/s | requests | peak MB |", "|---|---|---|---|---|", *rows))


def main(what: str, count: int) -> None:
    if what == "jobs":
        print(jobs_table(count), flush=True)
    elif what == "large":
        print(large_table(count), flush=True)
    else:
        sizes = tuple(size for size in (100, 1000, 10_000, 100_000) if size <= count)
        for line in status_rows(sizes):
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
