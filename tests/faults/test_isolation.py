"""Jobs that run at the same time: shared media are only read, each writes its own paths, failures stay separate."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.faults.test_kill import Stage, no_ffmpeg_works_in, staged_on
from tests.objects.ground import Ground
from tests.support.jobs import create, write_spec

OPENED = re.compile(r'^\d+ +(?:openat|creat|open)\([^"]*"((?:[^"\\]|\\.)*)", ([A-Z_|]+)')
CHANGED = re.compile(r"^\d+ +(?:unlink|rename|link|mkdir|rmdir|chmod|truncate|symlink)[a-z0-9]*\((.*)\) += 0")
NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')


# Each of these tests starts several processes of Proxx, so they run on Ceph and not on moto as well.
ON_EACH: Final = pytest.mark.parametrize("ground", ["file", "rgw"], indirect=True)


def source_facts(ground: Ground) -> dict[str, tuple[object, ...]]:
    """Everything that would show that a source was changed: bytes, times, inode, mode or object metadata."""
    facts: dict[str, tuple[object, ...]] = {}
    for name in ground.names("media", hidden=True):
        data = ground.get(f"media:/{name}")
        if ground.bucket is not None:
            head = ground.bucket.head(f"media/{name}") or {}
            facts[name] = (data, head["LastModified"], head["ETag"], head["Metadata"])
        else:
            stat = (ground.root / "media" / name).stat()
            facts[name] = (data, stat.st_mtime_ns, stat.st_ino, stat.st_mode)
    return facts


def stage_beside(ground: Ground, name: str) -> Stage:
    """A job on the same sources as the others, with a spec, working folder and outputs of its own."""
    job = ground.job("prores_proxy_half", clips=2)
    sources = tuple(clip.source.files[0].uri for clip in job.clips)
    own = create(sources, f"proxies:/{name}", "prores_proxy_half", name=name, places=ground.places())
    root = ground.root / name
    root.mkdir()
    return Stage(root, write_spec(own, root / "job.json"), own, ground)


def made_by(name: str, ground: Ground) -> dict[str, str]:
    """The outputs of the job with this name."""
    below = f"{name}/"
    return {path.removeprefix(below): sha256 for path, sha256 in ground.outputs().items() if path.startswith(below)}


@ON_EACH
@pytest.mark.clause("A1", lead=True)
@pytest.mark.clause("T5", lead=True)
def test_jobs_at_once_share_media_and_nothing_else(ground: Ground) -> None:
    """Two jobs at once on the same sources: both are made, no source's bytes, time or inode changed."""
    stages = [stage_beside(ground, name) for name in ("one", "two")]
    before = source_facts(ground)
    assert list(before) == ["clip0.mov", "clip1.mov"]
    running = [stage.start(1, "none") for stage in stages]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    assert made_by("one", ground) == made_by("two", ground)
    assert list(made_by("one", ground)) == ["clip0.mov", "clip1.mov"]
    assert len(ground.names(hidden=True)) == 4
    assert source_facts(ground) == before
    assert not list((stages[0].root / "work").iterdir())


@ON_EACH
@pytest.mark.clause("A1")
def test_a_changed_source_is_refused_and_the_other_clip_is_made(ground: Ground) -> None:
    stage = staged_on(ground)
    changed = stage.job.clips[1].source.files[0].uri
    data = bytearray(ground.get(changed) or b"")
    data[len(data) // 2] ^= 1  # same size, one bit
    ground.put(changed, bytes(data))
    code, out = stage.run(1)
    assert code == 1
    assert b"SOURCE_CHANGED" in out
    assert list(stage.outputs()) == ["clip0.mov"]


@pytest.mark.parametrize(
    ("ground", "others"), [("file", ("left", "right")), ("rgw", ("other",))], indirect=["ground"]
)
@pytest.mark.clause("A4", lead=True)
@pytest.mark.clause("T4", lead=True)
def test_one_of_several_workers_is_killed_and_the_others_complete(ground: Ground, others: tuple[str, ...]) -> None:
    """One of three workers is killed during an encode: the other two make the same bytes as without it."""
    alone = stage_beside(ground, "alone")
    assert alone.run(1)[0] == 0
    hit, *rest = [stage_beside(ground, name) for name in ("hit", *others)]
    running = [hit.start(1, "progress"), *(stage.start(1, "none") for stage in rest)]
    assert [process.wait(timeout=300) for process in running] == [-signal.SIGKILL, *(0 for _ in rest)]
    assert no_ffmpeg_works_in(hit.root)
    assert made_by("hit", ground) == {}
    right = made_by("alone", ground)
    assert len(right) == 2
    assert [made_by(name, ground) for name in others] == [right for _ in others]


@ON_EACH
@pytest.mark.clause("T3", lead=True)
@pytest.mark.clause("A3")
def test_a_run_writes_only_in_its_own_places(ground: Ground) -> None:
    """Traced in the kernel: every file that proxx and ffmpeg open for writing, create, rename or remove."""
    if shutil.which("strace") is None:
        assert "CI" not in os.environ, "strace is missing"
        pytest.skip("STRACE ABSENT: what a run writes was not traced")
    stage, work, trace = staged_on(ground), ground.root / "work", ground.root / "trace"
    work.mkdir()
    before = source_facts(ground)
    argv = [sys.executable, "-m", "tests.faults.worker", str(stage.spec), ground.target("store"), "1"]
    watched = ["strace", "-f", "-qq", "-o", str(trace), "-s", "4096", "-e", "trace=file"]
    environment = {**os.environ, **ground.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    traced = subprocess.run([*watched, *argv, str(work), "none"], capture_output=True, check=False, env=environment)
    if b"ptrace" in traced.stderr.lower() and "CI" not in os.environ:
        pytest.skip("STRACE NOT ALLOWED: what a run writes was not traced")
    assert traced.returncode == 0, traced.stderr
    on_disk = ("work",) if ground.bucket else ("work", "proxies", "store")
    own = tuple(str(ground.root / name) for name in on_disk)
    foreign = sorted({path for path in written(trace) if not path.startswith((*own, "/dev/", "/proc/self"))})
    assert foreign == []
    for place in own:
        assert any(path.startswith(place) for path in written(trace)), f"the trace shows nothing in {place}"
    assert source_facts(ground) == before
    if ground.bucket is not None:
        keys = ground.bucket.keys()
        assert {key.partition("/")[0] for key in keys} == {"media", "proxies", "store"}


def written(trace: Path) -> Iterator[str]:
    """Absolute paths that were opened for writing or changed by name. Relative paths are in the working folder."""
    for line in trace.read_text(errors="replace").splitlines():
        if opened := OPENED.match(line):
            if set(opened[2].split("|")) & {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"}:
                yield opened[1]
        elif changed := CHANGED.match(line):
            yield from (name for name in NAME.findall(changed[1]) if name.startswith("/"))
