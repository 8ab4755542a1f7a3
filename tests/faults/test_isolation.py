"""Jobs beside each other: shared media are only read, each writes its own paths, one's end is not another's."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.test_kill import Stage, no_ffmpeg_works_in, stage
from tests.jobs import create, half_second, make_job, write_spec

OPENED = re.compile(r'^\d+ +(?:openat|creat|open)\([^"]*"((?:[^"\\]|\\.)*)", ([A-Z_|]+)')
CHANGED = re.compile(r"^\d+ +(?:unlink|rename|link|mkdir|rmdir|chmod|truncate|symlink)[a-z0-9]*\((.*)\) += 0")
NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Facts:
    """What a reader could tell of a file having been touched."""

    data: bytes
    mtime_ns: int
    inode: int
    mode: int


def facts(path: Path) -> Facts:
    stat = path.stat()
    return Facts(path.read_bytes(), stat.st_mtime_ns, stat.st_ino, stat.st_mode)


@pytest.mark.clause("A1", lead=True)
@pytest.mark.clause("T5", lead=True)
def test_jobs_at_once_share_media_and_nothing_else(tmp_path: Path) -> None:
    """Two jobs at once on the same sources: both are made, no source's bytes, time or inode changed."""
    sources = [half_second(f"clip{index}.mov", f"01:00:0{index}:00") for index in range(2)]
    before = [facts(path) for path in sources]
    here = [stage(tmp_path / name) for name in ("one", "two")]
    running = [one.start(1, "none") for one in here]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    assert here[0].outputs() == here[1].outputs()
    assert len(here[0].outputs()) == 2
    assert [facts(path) for path in sources] == before
    assert not list((tmp_path / "one" / "work").iterdir())


@pytest.mark.clause("A1")
def test_a_changed_source_is_refused_and_the_other_clip_is_made(tmp_path: Path) -> None:
    job = make_job(tmp_path / "proxies", "prores_proxy_half", clips=2)
    moved = tmp_path / "clip1.mov"
    shutil.copyfile(job.clips[1].source.files[0].uri, moved)
    created = create((Path(job.clips[0].source.files[0].uri), moved), tmp_path / "proxies", "prores_proxy_half")
    data = bytearray(moved.read_bytes())
    data[len(data) // 2] ^= 1  # same size, one bit
    moved.write_bytes(data)
    here = Stage(tmp_path, write_spec(created, tmp_path / "job.json"), created)
    code, out = here.run(1)
    assert code == 1
    assert b"SOURCE_CHANGED" in out
    assert list(here.outputs()) == ["clip0.mov"]


@pytest.mark.clause("A4", lead=True)
@pytest.mark.clause("T4", lead=True)
def test_one_of_several_is_killed_and_the_others_do_not_notice(tmp_path: Path) -> None:
    """One of three workers is killed in mid-encode: the other two make the bytes they make alone."""
    reference = stage(tmp_path / "reference")
    assert reference.run(1)[0] == 0
    here = [stage(tmp_path / name) for name in ("hit", "left", "right")]
    running = [one.start(1, fault) for one, fault in zip(here, ("progress", "none", "none"), strict=True)]
    assert [process.wait(timeout=300) for process in running] == [-signal.SIGKILL, 0, 0]
    assert no_ffmpeg_works_in(tmp_path / "hit")
    assert here[0].outputs() == {}
    assert here[1].outputs() == here[2].outputs() == reference.outputs()


@pytest.mark.clause("T3", lead=True)
@pytest.mark.clause("A3")
def test_a_run_writes_only_in_its_own_places(tmp_path: Path) -> None:
    """By the kernel's word: every file opened for writing, made, renamed or removed, by proxx and by ffmpeg."""
    if shutil.which("strace") is None:
        assert "CI" not in os.environ, "strace is missing"
        pytest.skip("STRACE ABSENT: what a run writes was not watched")
    here = stage(tmp_path)
    (tmp_path / "work").mkdir()
    trace = tmp_path / "trace"
    argv = [sys.executable, "-m", "tests.faults.worker", str(here.spec), str(tmp_path / "store"), "1"]
    watched = ["strace", "-f", "-qq", "-o", str(trace), "-s", "4096", "-e", "trace=file"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*watched, *argv, str(tmp_path / "work"), "none"], capture_output=True, check=False, env=environment
    )
    if b"ptrace" in done.stderr.lower() and "CI" not in os.environ:
        pytest.skip("STRACE NOT ALLOWED: what a run writes was not watched")
    assert done.returncode == 0, done.stderr
    own = tuple(str(tmp_path / name) for name in ("work", "proxies", "store"))
    strange = sorted({path for path in written(trace) if not path.startswith((*own, "/dev/", "/proc/self"))})
    assert strange == []
    assert any(path.startswith(own[1]) for path in written(trace)), "the trace shows nothing"


def written(trace: Path) -> Iterator[str]:
    """Absolute paths that were opened for writing or changed by name. Relative ones are in the working folder."""
    for line in trace.read_text(errors="replace").splitlines():
        if opened := OPENED.match(line):
            if set(opened[2].split("|")) & {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"}:
                yield opened[1]
        elif changed := CHANGED.match(line):
            yield from (name for name in NAME.findall(changed[1]) if name.startswith("/"))
