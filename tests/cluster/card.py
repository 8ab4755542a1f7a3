"""The jobs of these tests: every profile of the catalogue, clips that fail in different ways, and their outcomes.

All places are names below the roots `media` and `proxies`, so the same specs run on a machine's own disk and on hosts
that have only a bucket.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxx.contracts.canonical import Json
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.profile import catalogue, find_profile
from proxx.create.jobs import create_jobs
from proxx.create.request import CreateRequest
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.files.places import Places
from proxx.files.roots import parse_roots
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from tests.flows.pool import ROOT
from tests.objects.endpoint import Bucket
from tests.support.jobs import half_second
from tests.support.makemedia import make, picture, sound
from tests.support.results import canonical_log

FAILING: Final = "failing"
CODES: Final = {1: "DECODE_FAILED", 2: "SOURCE_MISSING", 3: "SOURCE_CHANGED"}
"""The failure codes of the clips of the failing job, by index."""


@dataclass(frozen=True)
class JobOutcome:
    """Everything about one attempt that scaling must not change. outputs: sha256 by name."""

    status: str
    outputs: Mapping[str, str]
    log: tuple[dict[str, Json], ...]
    fingerprint: str
    failures: tuple[tuple[int, str, str], ...]
    argvs: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Card:
    """Sources and specs on this machine's disk. jobs: by name, which is also the folder of a job's outputs."""

    folder: Path
    jobs: Mapping[str, JobSpec]

    @property
    def media(self) -> Path:
        return self.folder / "media"

    def spec(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def roots(self, proxies: Path) -> str:
        return f"media={self.media};proxies={proxies}"

    def upload(self, bucket: Bucket, prefix: str = "media") -> None:
        for path in sorted(self.media.rglob("*.mov")):
            bucket.put(f"{prefix}/{path.relative_to(self.media)}", path.read_bytes())


def camera() -> Path:
    """Returns half a second as a camera writes it: B-frames, full range, AAC, drop-frame timecode, reel."""
    return make(
        "camera.mov",
        *picture(size="512x288", rate="30000/1001", seconds="0.5"),
        *sound("stereo", seconds="0.5"),
        *("-vf", "scale=out_range=pc:out_color_matrix=bt709,format=yuvj420p", "-colorspace", "bt709"),
        *("-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "pc"),
        *("-c:v", "libx264", "-bf", "2", "-g", "12", "-threads", "1", "-c:a", "aac"),
        *("-timecode", "09:59:59;28", "-metadata:s:v:0", "reel_name=A001_C002"),
    )


def studio() -> Path:
    """Returns 12 frames at 25 frames/s, large enough for half the size in DNxHR."""
    return make(
        "clip0.mov",
        *picture(size="512x288"),
        *sound("stereo"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "6", "-threads", "1", "-c:a", "pcm_s16le"),
        *("-timecode", "01:00:00:00", "-metadata:s:v:0", "reel_name=A001", "-shortest"),
    )


def plain(seconds: str) -> Path:
    """Returns a clip of this length that is quick to make."""
    return make(
        "plain.mov",
        *picture(size="512x288", seconds=seconds),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "6", "-threads", "1", "-timecode", "02:00:00:00"),
    )


def damaged() -> Path:
    """Returns a clip with three holes that `create` does not notice: 640×360, so that one hole hits a picture."""
    whole = make("x.mov", *picture("640x360", seconds="1"), "-c:v", "libx264", "-threads", "1", "-g", "12")
    data = bytearray(whole.read_bytes())
    for part in (3, 5, 7):
        at = len(data) * part // 10
        data[at : at + 2048] = bytes(2048)
    holed = whole.with_name("holed.mov")
    holed.write_bytes(data)
    return holed


def silent() -> Path:
    """Returns a file without a picture, which `create` refuses."""
    return make("room_tone.mov", *sound("stereo"), "-c:a", "pcm_s16le")


def make_card(folder: Path, profiles: Iterable[str] = (), *, copies: int = 1, long: bool = False) -> Card:
    """Creates a job of two clips for each profile (by default all), and one job in which three clips of five fail.

    copies: jobs of each profile, which differ only in name and outputs. long: use clips that take seconds to encode,
    so that a blow can hit an encoder.
    """
    card = folder / "media" / "A001"
    card.mkdir(parents=True)
    good = [plain("12"), plain("8")] if long else [studio(), camera()]
    for number, source in enumerate(good):
        shutil.copy(source, card / f"clip{number}.mov")
    bad = folder / "media" / "B001"
    bad.mkdir()
    for number, source in enumerate((good[0], damaged(), good[0], half_second("clip.mov", "01:00:03:00"), good[1])):
        shutil.copy(source, bad / f"clip{number}.mov")
    wanted = tuple(profiles) or catalogue()
    names = {f"{profile}-{n}" if n else profile: profile for n in range(copies) for profile in wanted}
    todo = {name: (profile, "media:/A001") for name, profile in names.items()} | {
        FAILING: ("prores_proxy_half", "media:/B001")
    }
    with ThreadPoolExecutor(2) as pool:
        created = list(pool.map(lambda item: create_one(folder, item[0], *item[1]), todo.items()))
    jobs = dict(zip(todo, created, strict=True))
    (bad / "clip2.mov").unlink()
    whole = (bad / "clip3.mov").read_bytes()
    (bad / "clip3.mov").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (folder / "media" / "C001").mkdir()
    shutil.copy(silent(), folder / "media" / "C001")
    return Card(folder, jobs)


def create_one(folder: Path, name: str, profile: str, source: str) -> JobSpec:
    """Creates a job and writes its spec file next to the media."""
    toolchain = find_toolchain("static")
    request = CreateRequest(
        sources=(source,),
        profile=find_profile(profile),
        toolchain=toolchain.identity,
        output=f"proxies:/{name}",
        name=name,
        template="{source_name}",
        clips_per_job=None,
        leave_out_refused=False,
        accept_damage=(),
        date="2026-01-02",
        places=Places(roots=parse_roots(f"media={folder / 'media'};proxies={folder / 'proxies'}")),
    )
    (job,) = create_jobs(request, ffprobe=toolchain.ffprobe, decoders=decoders(toolchain.ffmpeg)).jobs
    (folder / f"{name}.json").write_bytes(spec_bytes(job))
    return job


def unscaled(card: Card, names: Iterable[str]) -> dict[str, JobOutcome]:
    """Runs one job after another with `proxx run` on this machine's disk. Returns the outcomes."""
    store, proxies = FileStore(card.folder / "store"), card.folder / "proxies"
    initialize_store(store)
    proxies.mkdir(exist_ok=True)
    outcomes = {}
    for name in names:
        argv = [str(Path(sys.executable).parent / "proxx"), "run", str(card.spec(name)), "--json"]
        env = {"PATH": "/usr/bin:/bin", "PROXX_STORE": store.uri, "PROXX_ROOTS": card.roots(proxies)}
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == (1 if name == FAILING else 0), done.stderr.decode() + done.stdout.decode()
        made = {
            path.relative_to(proxies).as_posix(): path.read_bytes()
            for path in sorted((proxies / name).rglob("*"))
            if path.is_file()
        }
        outcomes[name] = read_outcome(store, card.jobs[name], made)
        assert outcomes[name].fingerprint == json.loads(done.stdout)["fingerprint"]
    return outcomes


def read_outcome(store: Store, job: JobSpec, outputs: Mapping[str, bytes], attempt: int = 1) -> JobOutcome:
    """Returns the outcome of an attempt by its ledger. outputs: of this job alone, by their place below `proxies`."""
    (record,) = (record for record in read_attempts(store, job.job_id) if record.number == attempt)
    state = record.state
    assert isinstance(state, Closed) and state.result is not None, record
    result: dict[str, Any] = state.result
    return JobOutcome(
        status=result["status"],
        outputs={name: hashlib.sha256(data).hexdigest() for name, data in outputs.items()},
        log=canonical_log(record.events),
        fingerprint=result["fingerprint"],
        failures=tuple(
            (clip["index"], clip["failure"]["code"], clip["failure"]["message"])
            for clip in result["clips"]
            if clip["failure"]
        ),
        argvs=tuple(tuple(clip["argv"]) for clip in result["clips"]),
    )
