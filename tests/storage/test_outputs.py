"""Outputs in a bucket: a key has nothing or a whole, verified proxy; nothing is replaced or left unfinished."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, seal
from proxx.files.roots import InBucket
from proxx.s3.transport import Transport, TransportTiming
from proxx.store.attempts import Open, read_attempts
from proxx.store.lock import retire, unlock
from proxx.store.opening import initialize_store
from proxx.store.status import job_status
from tests.faults.test_kill import no_ffmpeg_works_in
from tests.objects.ground import Ground
from tests.objects.rules import Action, Answer, Before, Request, ResetMidway, StallMidway
from tests.storage.conftest import Way
from tests.storage.running import codes, events, run
from tests.support.jobs import write_spec

OUTPUT = r"/proxies/clip0\.mov$"
PART = 5 << 20
WAYS = ("one request", "parts")


def sizes(how: str) -> dict[str, Any]:
    """Returns the sizes of `Places` that send an output in one request, or in parts."""
    return {"single": 1 << 20, "part": PART} if how == "parts" else {}


def sending(way: Way, action: Action, how: str, **more: Any) -> Any:  # noqa: ANN401
    """Adds a rule for the request that sends the proxy, or its only part."""
    if how == "parts":
        return way.proxy.on(action, method="PUT", path=OUTPUT, when=is_part(1), **more)
    return way.proxy.on(action, method="PUT", path=OUTPUT, **more)


def is_part(number: int) -> Callable[[Request], bool]:
    return lambda request: request.query.get("partNumber") == str(number)


def make(way: Way, job: JobSpec, how: str, attempt: int = 1, **changes: object) -> list[str]:
    return codes(run(way.ground, job, attempt, places=way.ground.places(**sizes(how)), **changes))


@pytest.fixture(scope="session")
def right() -> dict[str, str]:
    """The digest of the proxy, set by the first test that makes it and expected by all others."""
    return {}


def check(way: Way, right: dict[str, str]) -> None:
    """Checks that the whole proxy is there, and nothing else."""
    assert way.ground.names(hidden=True) == ["clip0.mov"]
    assert way.ground.uploads() == []
    digest = way.ground.outputs()["clip0.mov"]
    assert right.setdefault("clip0.mov", digest) == digest


@contextmanager
def watching(ground: Ground) -> Iterator[list[str]]:
    """Collects the digests of everything seen under the final key while the block runs."""
    seen: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            data = ground.get("proxies:/clip0.mov")
            if data is not None:
                seen.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
            over.wait(0.01)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("how", WAYS)
def test_only_the_whole_proxy_is_ever_seen(way: Way, how: str) -> None:
    """In one request, and in three parts."""
    job = way.ground.noisy_job("1280x720", "0.72")
    with watching(way.ground) as seen:
        assert make(way, job, how) == ["COMPLETED"]
        while not seen:
            threading.Event().wait(0.01)
    (digest,) = way.ground.outputs().values()
    assert set(seen) == {digest}
    parts = [request for request in way.proxy.requests("PUT", OUTPUT) if "partNumber" in request.query]
    assert len(parts) == (3 if how == "parts" else 0)


@pytest.mark.parametrize("how", WAYS)
def test_nothing_is_replaced(way: Way, how: str) -> None:
    """Someone else creates the object while the proxy is being sent."""
    job = way.ground.noisy_job()
    sending(way, Before(lambda: way.ground.put("proxies:/clip0.mov", b"somebody's")), how)
    assert make(way, job, how) == ["OUTPUT_EXISTS"]
    assert way.ground.get("proxies:/clip0.mov") == b"somebody's"
    assert way.ground.uploads() == []


@pytest.mark.parametrize("how", WAYS)
def test_the_jobs_own_output_is_kept(way: Way, how: str) -> None:
    """As if the worker died between publishing and its event: the next attempt keeps the job's own bytes."""
    job = way.ground.noisy_job()
    assert make(way, job, how) == ["COMPLETED"]
    before = way.ground.facts()
    assert make(way, job, how, attempt=2) == ["COMPLETED"]
    assert way.ground.facts() == before
    assert way.ground.uploads() == []


@pytest.mark.parametrize("how", WAYS)
def test_an_upload_that_is_cut_leaves_nothing(way: Way, how: str, right: dict[str, str]) -> None:
    job = way.ground.noisy_job()
    cut = sending(way, ResetMidway(1 << 20), how, times=None)
    assert make(way, job, how) == ["OUTPUT_UNWRITABLE"]
    assert cut.acted
    assert way.ground.names(hidden=True) == []
    assert way.ground.uploads() == []
    way.proxy.forget()
    assert make(way, job, how, attempt=2) == ["COMPLETED"]
    check(way, right)


def test_the_id_of_an_upload_is_logged_before_its_first_part(way: Way) -> None:
    job, seen = way.ground.noisy_job(), list[Any]()

    def look() -> None:
        last = read_attempts(way.ground.store(Transport()), job.job_id)[0].events[-1]
        seen.append((last.type, last.envelope.notes.get("upload")))
        seen.append(way.ground.uploads())

    way.proxy.on(Before(look), method="PUT", path=OUTPUT, when=is_part(1))
    assert make(way, job, "parts") == ["COMPLETED"]
    ((key, upload),) = seen[1]
    assert key == "proxies/clip0.mov"
    assert seen[0] == ("clip.publishing", upload)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.clause("P3", "T2")
def test_an_unlock_during_the_upload_publishes_nothing(way: Way, how: str, right: dict[str, str]) -> None:
    """The worker checks its lock before it sends the last bytes."""
    job = way.ground.noisy_job()
    closed = Before(lambda: unlock(way.ground.store(Transport()), job.job_id, "it looked dead", this_worker()))
    sending(way, closed, how)
    assert make(way, job, how) == ["LOCK_LOST"]
    assert way.ground.names(hidden=True) == []
    assert way.ground.uploads() == []
    assert events(way.ground, job)[-1].type == "unlocked"
    assert make(way, job, how, attempt=2) == ["COMPLETED"]
    check(way, right)


@pytest.mark.clause("A2", "T2")
def test_the_upload_of_a_retired_job_cannot_be_completed(way: Way) -> None:
    """Its worker pauses before the last request, which replaces an object on Ceph: the next job aborts the upload."""
    job = way.ground.noisy_job()
    successor = seal(job.model_copy(update={"name": "heir"}))
    made: list[str] = []

    def meanwhile() -> None:
        store = way.ground.store(Transport())
        unlock(store, job.job_id, "it looked dead", this_worker())
        retire(store, job.job_id, "another has it now", this_worker())
        made.extend(make(way, successor, "parts"))
        made.append(nonce(way))

    way.proxy.on(Before(meanwhile), method="POST", path=OUTPUT, query="uploadId")
    assert make(way, job, "parts") == ["LOCK_LOST"]
    assert made == ["COMPLETED", nonce(way)]
    assert way.ground.uploads() == []


def nonce(way: Way) -> str:
    """Returns the nonce of the object at the output's key."""
    places = way.ground.places()
    spot = places.spot("proxies:/clip0.mov")
    assert isinstance(spot, InBucket)
    existing = places.bucket(spot).head(spot.key)
    assert existing is not None
    return existing.nonce


@pytest.mark.parametrize("how", WAYS)
def test_a_stop_during_an_upload_leaves_nothing(way: Way, how: str, right: dict[str, str]) -> None:
    job, stop = way.ground.noisy_job(), threading.Event()
    held = sending(way, StallMidway(1 << 20), how)

    def stop_when_stalled() -> None:
        held.wait()
        stop.set()

    stopping = threading.Thread(target=stop_when_stalled)
    stopping.start()
    assert make(way, job, how, should_stop=stop.is_set) == ["INTERRUPTED"]
    stopping.join()
    assert way.ground.names(hidden=True) == []
    assert way.ground.uploads() == []
    way.proxy.forget()  # the system may already hold the last bytes and send them: then the whole proxy is there
    assert make(way, job, how, attempt=2) == ["COMPLETED"]
    check(way, right)


# --- kill -9 ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Killed:
    """A worker process of a ground."""

    way: Way
    spec: Path
    work: Path
    how: str

    def start(self, attempt: int) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "tests.faults.worker", self.spec, self.way.ground.target("store"), str(attempt)]
        single = [str(sizes(self.how)["single"])] if self.how == "parts" else []
        return subprocess.Popen(
            [*map(str, argv), str(self.work), "none", *single],
            stdout=subprocess.PIPE,
            env={**os.environ, **self.way.ground.environment},
        )


@pytest.mark.clause("I7", "V2", "N2", "F4")
@pytest.mark.parametrize("how", WAYS)
def test_a_worker_killed_during_an_upload(way: Way, how: str, tmp_path: Path, right: dict[str, str]) -> None:
    job = way.ground.noisy_job()
    (tmp_path / "work").mkdir()
    worker = Killed(way, write_spec(job, tmp_path / "job.json"), tmp_path / "work", how)
    held = sending(way, StallMidway(1 << 20), how)
    process = worker.start(1)
    held.wait()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    held.release()
    assert no_ffmpeg_works_in(tmp_path)
    store = way.ground.store()
    (attempt,) = read_attempts(store, job.job_id)
    assert isinstance(attempt.state, Open)
    assert job_status(store, job.job_id).state == "HELD"
    assert way.ground.names(hidden=True) == []
    left = way.ground.uploads()
    assert [upload for _, upload in left] == [
        event.envelope.notes["upload"] for event in attempt.events if "upload" in event.envelope.notes
    ]
    assert len(left) == (1 if how == "parts" else 0)
    unlock(store, job.job_id, "it died", this_worker())
    out, _ = worker.start(2).communicate(timeout=300)
    assert json.loads(out)["status"] == "COMPLETED"
    check(way, right)
    assert job_status(store, job.job_id).state == "COMPLETED"


# --- a server that refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", WAYS)
def test_a_server_that_always_refuses(way: Way, how: str) -> None:
    """The request is resent as often as the store allows; the cause is logged."""
    job = way.ground.noisy_job()
    way.proxy.on(Answer(503, "SlowDown"), method="PUT", path=OUTPUT, times=None)
    wire = Transport(pace=TransportTiming(pauses=(0.01,)))
    result = run(way.ground, job, places=way.ground.places(wire, **sizes(how)))
    assert codes(result) == ["OUTPUT_UNWRITABLE"]
    assert len(way.proxy.requests("PUT", OUTPUT)) == 6
    (failed,) = [event for event in events(way.ground, job) if event.type == "clip.failed"]
    assert "asks for fewer requests" in str(failed.envelope.notes["detail"])
    assert way.ground.uploads() == []


def test_the_store_decides_how_often_an_output_is_resent(way: Way) -> None:
    """The transport the run was given stays as it is."""
    initialize_store(way.ground.store(), resends=1)
    job = way.ground.job()
    way.proxy.on(Answer(503, "SlowDown"), method="PUT", path=OUTPUT, times=None)
    wire = Transport(resends=4, pace=TransportTiming(pauses=(0.01,)))
    assert codes(run(way.ground, job, places=way.ground.places(wire))) == ["OUTPUT_UNWRITABLE"]
    assert len(way.proxy.requests("PUT", OUTPUT)) == 2
    assert wire.resends == 4
