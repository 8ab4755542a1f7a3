"""Verification of published proxies: they exist, have the recorded bytes, and decode from end to end."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from proxx.contracts.errors import DiskFull, Interrupted, StoreDamaged, VerifyMismatch, WorkUnusable
from proxx.contracts.event import Worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import RunEnvironment, execute
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.proof.verify import (
    NOT_MADE,
    PROXY_CHANGED,
    PROXY_MISSING,
    RecordedProxy,
    VerifiedProxy,
    VerifyProgress,
    clip_problem,
    records,
    verification_failure,
    verify_proxies,
)
from proxx.s3.transport import Transport
from proxx.store.base import MemoryStore, Store
from proxx.store.keys import event_key
from proxx.store.lock import unlock
from tests.objects.fault import proxying
from tests.objects.ground import Ground
from tests.objects.rules import Answer
from tests.support.jobs import make_job

WORKER = Worker(host="here", pid=1, user="editor")


def finished_job(tmp_path: Path, clips: int = 2) -> tuple[JobSpec, MemoryStore]:
    job, store = make_job(tmp_path / "out", "prores_proxy", clips), MemoryStore()
    assert execute(spec_bytes(job), RunEnvironment(store=store, worker=WORKER, run_id="run-1")).status == "COMPLETED"
    return job, store


def finished_job_on(ground: Ground, clips: int) -> tuple[JobSpec, Store]:
    job, store = ground.job("prores_proxy_half", clips), ground.store()
    environment = RunEnvironment(store=store, worker=WORKER, run_id="run-1", places=ground.places())
    assert execute(spec_bytes(job), environment).status == "COMPLETED"
    return job, store


def verify(job: JobSpec, known: Mapping[int, RecordedProxy], tmp_path: Path) -> tuple[VerifiedProxy, ...]:
    return verify_proxies(job, known, find_toolchain("static"), tmp_path)


def codes(verified: tuple[VerifiedProxy, ...]) -> list[str | None]:
    return [proxy.problem.code if proxy.problem else None for proxy in verified]


def proxy_path(job: JobSpec, index: int) -> Path:
    return Path(job.clips[index].outputs[0].uri)


def test_intact_proxies_have_no_problem(ground: Ground, tmp_path: Path) -> None:
    job, store = finished_job_on(ground, 2)
    work = tmp_path / "work"
    work.mkdir()
    steps: list[VerifyProgress] = []
    known = records(store, job.job_id)
    verified = verify_proxies(
        job, known, find_toolchain("static"), work, places=ground.places(), on_progress=steps.append
    )
    assert codes(verified) == [None, None]
    assert verification_failure(verified) is None
    assert {(step.index, step.stage) for step in steps} == {(0, "hash"), (0, "decode"), (1, "hash"), (1, "decode")}
    assert [proxy.record for proxy in verified] == [known[0], known[1]]
    assert list(work.iterdir()) == []


def test_each_damage_has_its_own_code(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path, 4)
    proxy_path(job, 0).unlink()
    whole = proxy_path(job, 1).read_bytes()
    proxy_path(job, 1).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    proxy_path(job, 2).unlink()
    proxy_path(job, 2).mkdir()
    verified = verify(job, {n: r for n, r in records(store, job.job_id).items() if n != 3}, tmp_path)
    assert codes(verified) == ["PROXY_MISSING", "PROXY_CHANGED", "PROXY_UNREADABLE", "NOT_MADE"]
    mismatch = verification_failure(verified)
    assert isinstance(mismatch, VerifyMismatch)
    assert [problem.path for problem in mismatch.problems] == [f"clips[{n}] {proxy_path(job, n)}" for n in range(4)]


@pytest.mark.parametrize("ground", ["moto", "rgw"], indirect=True)
def test_each_damage_in_a_bucket_has_its_own_code(ground: Ground, tmp_path: Path) -> None:
    job, store = finished_job_on(ground, 3)
    uris = [clip.outputs[0].uri for clip in job.clips]
    ground.delete(uris[0])
    whole = ground.get(uris[1]) or b""
    ground.put(uris[1], whole[:-1] + bytes([whole[-1] ^ 1]))
    work = tmp_path / "work"
    work.mkdir()
    with proxying(ground.endpoint.url) as proxy_server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", proxy_server.url)
        proxy_server.on(Answer(403, "AccessDenied"), path=r"/proxies/clip2\.mov$", times=None)
        places = ground.places(Transport())
        verified = verify_proxies(job, records(store, job.job_id), find_toolchain("static"), work, places=places)
    assert codes(verified) == ["PROXY_MISSING", "PROXY_CHANGED", "PROXY_UNREADABLE"]
    assert list(work.iterdir()) == []
    ground.put(uris[0], b"no movie at all")
    digest = f"sha256:{hashlib.sha256(b'no movie at all').hexdigest()}"
    forged = {0: replace(records(store, job.job_id)[0], sha256=digest)}
    verified = verify_proxies(job, forged, find_toolchain("static"), work, places=ground.places())
    assert codes(verified)[0] == "PROXY_UNDECODABLE"


@pytest.mark.parametrize("ground", ["moto", "rgw"], indirect=True)
def test_a_full_disk_is_not_a_problem_of_the_proxy(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, store = finished_job_on(ground, 1)
    work, known = tmp_path / "work", records(store, job.job_id)
    work.mkdir()
    size = len(ground.get(job.clips[0].outputs[0].uri) or b"")

    def verify_again() -> None:
        verify_proxies(job, known, find_toolchain("static"), work, places=ground.places())

    with monkeypatch.context() as patch:
        patch.setattr("proxx.proof.verify.free_bytes", lambda _: size + (64 << 20) - 1)
        with pytest.raises(DiskFull, match=f"{size} bytes"):
            verify_again()
    for number in (errno.ENOSPC, errno.EDQUOT):  # another process filled the disk meanwhile

        def full(_: object, __: bytes, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr("proxx.files.download._Sink._take", full)
            with pytest.raises(DiskFull):
                verify_again()
    assert list(work.iterdir()) == []
    verify_again()


def test_a_missing_work_folder_is_not_a_problem_of_the_proxy(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path, 1)
    with pytest.raises(WorkUnusable):
        verify(job, records(store, job.job_id), tmp_path / "gone")


def test_a_proxy_that_a_link_leads_out_of_its_root_is_not_read(tmp_path: Path) -> None:
    for name in ("media", "proxies", "store", "outside"):
        (tmp_path / name).mkdir()
    ground = Ground("file", tmp_path)
    job, store = finished_job_on(ground, 1)
    (tmp_path / "proxies" / "clip0.mov").rename(tmp_path / "outside" / "clip0.mov")
    (tmp_path / "proxies" / "clip0.mov").symlink_to(tmp_path / "outside" / "clip0.mov")
    known = records(store, job.job_id)
    verified = verify_proxies(job, known, find_toolchain("static"), tmp_path, places=ground.places())
    assert codes(verified) == ["PROXY_UNREADABLE"]


def test_a_proxy_with_the_recorded_bytes_that_does_not_decode_is_reported(tmp_path: Path) -> None:
    """A job records no such bytes, so the record is forged here; storage that lies twice is found out too."""
    job, store = finished_job(tmp_path)
    whole = bytearray(proxy_path(job, 0).read_bytes())
    middle = whole.index(b"icpf", len(whole) // 2)
    whole[middle + 40 : middle + 400] = b"\xff" * 360
    proxy_path(job, 0).write_bytes(whole)
    known = records(store, job.job_id)
    forged = replace(known[0], sha256=f"sha256:{hashlib.sha256(whole).hexdigest()}")
    short = replace(known[1], frames=known[1].frames + 1)
    verified = verify(job, {0: forged, 1: short}, tmp_path)
    assert codes(verified) == ["PROXY_UNDECODABLE", "PROXY_UNDECODABLE"]
    assert verified[1].problem is not None
    assert "12 frames, the job recorded 13" in verified[1].problem.message


def test_a_stop_request_interrupts(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path)
    with pytest.raises(Interrupted):
        verify_proxies(job, records(store, job.job_id), find_toolchain("static"), tmp_path, should_stop=lambda: True)


# --- records ---------------------------------------------------------------------------------------------


class DiesBeforeTheEnd(MemoryStore):
    """Ends its worker, as kill -9 does, when the attempt is closed."""

    def create(self, key: str, data: bytes) -> bytes | None:
        if b'"type":"lock.released"' in data:
            raise KeyboardInterrupt
        return super().create(key, data)


def test_the_records_of_a_killed_attempt_count(tmp_path: Path) -> None:
    job, store = make_job(tmp_path / "out", "prores_proxy", 2), DiesBeforeTheEnd()
    with pytest.raises(KeyboardInterrupt):
        execute(spec_bytes(job), RunEnvironment(store=store, worker=WORKER, run_id="run-1"))
    assert sorted(records(store, job.job_id)) == [0, 1]
    unlock(store, job.job_id, "killed", WORKER)
    assert codes(verify(job, records(store, job.job_id), tmp_path)) == [None, None]


def record_completion(store: Store, job_id: str, attempt: int, sha256: str) -> None:
    from proxx.store.lock import acquire, release

    ledger = acquire(store, job_id, attempt, WORKER, "run")
    ledger.append("clip.completed", {"clip": 0, "sha256": sha256, "frames": 12})
    release(ledger, {"status": "FAILED"})


def test_attempts_that_recorded_other_bytes_are_reported(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path, 1)
    record_completion(store, job.job_id, 2, "sha256:" + "0" * 64)
    known = records(store, job.job_id)
    assert known[0] == RecordedProxy(attempt=2, sha256="sha256:" + "0" * 64, frames=12, differing=(1,))
    assert codes(verify(job, known, tmp_path)) == ["RECORDS_DIFFER"]


def test_the_records_of_a_damaged_ledger_are_not_used(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path, 1)
    store.create(event_key(job.job_id, 2, 2), b"{}")
    with pytest.raises(StoreDamaged):
        records(store, job.job_id)
    assert records(MemoryStore(), job.job_id) == {}


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        ((NOT_MADE, NOT_MADE), "The job has not made these proxies yet: see `proxx status`."),
        ((PROXY_MISSING, NOT_MADE), "The proxies listed do not exist: run the next attempt."),
        ((PROXY_MISSING, PROXY_CHANGED), VerifyMismatch.remedy),
    ],
)
def test_the_remedy_fits_what_was_found(found: tuple[str, ...], remedy: str) -> None:
    verified = tuple(
        VerifiedProxy(index=index, output="/p", record=None, problem=clip_problem(index, "/p", code, "."))
        for index, code in enumerate(found)
    )
    failure = verification_failure(verified)
    assert failure is not None
    assert failure.remedy == remedy


def test_only_a_file_that_exists_is_to_be_moved_away(tmp_path: Path) -> None:
    job, store = finished_job(tmp_path)
    proxy_path(job, 0).unlink()
    proxy_path(job, 1).write_bytes(b"changed")
    missing, changed = (proxy.problem for proxy in verify(job, records(store, job.job_id), tmp_path))
    assert missing is not None
    assert missing.remedy == "Run the next attempt."
    assert changed is not None
    assert changed.remedy == "Move the file away and run the next attempt."
