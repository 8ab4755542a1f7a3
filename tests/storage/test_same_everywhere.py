"""The same spec on folders, moto and Ceph gives the same bytes, log, result, fingerprint and failures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import register_job
from proxx.store.base import Store
from proxx.store.lock import acquire, unlock
from tests.objects.fault import proxying
from tests.objects.fixtures import new_ground
from tests.objects.ground import KINDS, Ground
from tests.objects.rules import Answer
from tests.storage.running import Outcome, codes, outcome, run
from tests.support.jobs import create, half_second
from tests.support.makemedia import make, picture

New = Callable[[str], Ground]
PROFILES = ("prores_proxy_half", "h264_review_mp4", "dnxhr_lb_mxf")


@pytest.fixture
def grounds(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> New:
    """Creates a ground of a kind and points the environment of this process to it."""

    def new(kind: str) -> Ground:
        root = tmp_path / kind
        root.mkdir()
        made = new_ground(request, kind, root)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        return made

    return new


@pytest.mark.clause("I1", "I2", "I3")
@pytest.mark.parametrize("profile", PROFILES)
def test_the_proxies_are_the_same(profile: str, grounds: New) -> None:
    seen: dict[str, Outcome] = {}
    for kind in KINDS:
        ground = grounds(kind)
        job = ground.job(profile, clips=2)
        seen[kind] = outcome(ground, job, run(ground, job))
    assert len(seen["file"].outputs) == 2
    assert seen["moto"] == seen["file"]
    assert seen["rgw"] == seen["file"]


# --- failures --------------------------------------------------------------------------------------------

EXPECTED = (
    "COMPLETED",
    "DECODE_FAILED",
    "SOURCE_MISSING",
    "SOURCE_CHANGED",  # the same size
    "SOURCE_CHANGED",  # another size
    "SOURCE_UNREADABLE",
    "OUTPUT_EXISTS",
    "OUTPUT_CONFLICT",
    "OUTPUT_UNWRITABLE",
    "COMPLETED",
)


@pytest.mark.clause("I4", "I2", "I3", "A1", "A4")
def test_the_failures_are_the_same(grounds: New) -> None:
    seen: dict[str, Outcome] = {}
    for kind in KINDS:
        with failing(grounds(kind)) as (ground, job):
            result = run(ground, job, attempt=2)
            assert codes(result) == list(EXPECTED)
            assert ground.get(job.clips[6].outputs[0].uri) == b"somebody's"
            assert ground.get(job.clips[7].outputs[0].uri) == b"of an earlier attempt"
            seen[kind] = outcome(ground, job, result)
            here = {str(ground.root), ground.bucket.name if ground.bucket else "s3:"}
            assert not any(word in str(clip.failure) for clip in result.clips for word in here)
    assert seen["moto"] == seen["file"]
    assert seen["rgw"] == seen["file"]


@contextmanager
def failing(ground: Ground) -> Iterator[tuple[Ground, JobSpec]]:
    """Yields a ground on which the clips of the job fail as expected, and the job, whose attempt 1 has ended."""
    job = failing_job()
    for number, source in enumerate(card()):
        if EXPECTED[number] != "SOURCE_MISSING":
            ground.put(f"media:/{source.name}", source.read_bytes())
    whole = card()[3].read_bytes()
    ground.put("media:/clip3.mov", whole[:-1] + bytes([whole[-1] ^ 1]))
    ground.put("media:/clip4.mov", card()[4].read_bytes() + b"more")
    ground.put(job.clips[6].outputs[0].uri, b"somebody's")
    announce(ground.store(), job, 7, b"of an earlier attempt")
    ground.put(job.clips[7].outputs[0].uri, b"of an earlier attempt")
    if ground.bucket is None:
        (ground.root / "media/clip5.mov").unlink()
        for circle in (ground.root / "media/clip5.mov", ground.root / "proxies/clip8"):
            circle.symlink_to(circle.name)
        yield ground, job
        return
    with proxying(ground.endpoint.url) as way:
        way.on(Answer(403, "AccessDenied"), path="/media/clip5.mov$", times=None)
        # Only the output itself: the trial object of the check before the job must be accepted.
        way.on(Answer(403, "AccessDenied"), path="/proxies/clip8/proxy", times=None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", way.url)
            yield replace(ground, url=way.url), job


@cache
def card() -> tuple[Path, ...]:
    """Returns ten clips, the second damaged in a way that only decoding shows."""
    whole = make("clip1.mov", *picture("640x360", seconds="1"), "-c:v", "libx264", "-threads", "1", "-g", "12")
    data = bytearray(whole.read_bytes())
    for part in (3, 5, 7):
        at = len(data) * part // 10
        data[at : at + 2048] = bytes(2048)
    sources = [half_second(f"clip{index}.mov", f"01:00:0{index}:00") for index in range(10)]
    sources[1] = sources[1].parent / "damaged" / "clip1.mov"
    sources[1].parent.mkdir(exist_ok=True)
    sources[1].write_bytes(data)
    return tuple(sources)


@cache
def failing_job() -> JobSpec:
    with TemporaryDirectory() as folder:
        ground = Ground("file", Path(folder))
        for source in card():
            ground.put(f"media:/{source.name}", source.read_bytes())
        names = tuple(f"media:/{source.name}" for source in card())
        return create(names, "proxies:/", "prores_proxy_half", places=ground.places(), template="{source_name}/proxy")


def announce(store: Store, job: JobSpec, clip: int, data: bytes) -> None:
    """Lets attempt 1 announce these bytes, then closes it as an operator would."""
    register_job(job, spec_bytes(job), store, this_worker(), "earlier")
    ledger = acquire(store, job.job_id, 1, this_worker(), "earlier")
    digest, output = f"sha256:{hashlib.sha256(data).hexdigest()}", job.clips[clip].outputs[0].uri
    ledger.append("clip.publishing", {"clip": clip, "output": output, "sha256": digest})
    unlock(store, job.job_id, "it died", this_worker())
