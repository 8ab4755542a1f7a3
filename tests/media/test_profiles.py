"""Every profile of the catalogue makes what it says, and the same bytes wherever it does."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from proxx.contracts.profile import ProfileSpec, catalogue, find_profile
from proxx.ffmpeg.process import ENVIRONMENT
from proxx.ffmpeg.toolchain import find_toolchain
from tests.media.encoding import World, decide, encode, make_proxy, tool
from tests.support.makemedia import make, picture, sound

PROFILES = [find_profile(name) for name in catalogue()]
each = pytest.mark.parametrize("profile", PROFILES, ids=catalogue())
EMULATED = ("Haswell", "EPYC")


def camera() -> Path:
    """Half a second as a camera writes it: B-frames, full range, AAC, timecode, reel."""
    return make(
        "camera.mov",
        *picture(size="512x288", rate="30000/1001", seconds="0.5"),
        *sound("stereo", seconds="0.5"),
        *("-vf", "scale=out_range=pc:out_color_matrix=bt709,format=yuvj420p", "-colorspace", "bt709"),
        *("-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "pc"),
        *("-c:v", "libx264", "-bf", "2", "-g", "12", "-threads", "1", "-c:a", "aac"),
        *("-timecode", "09:59:59;28", "-metadata:s:v:0", "reel_name=A001_C002"),
    )


def _sha256(profile: ProfileSpec, folder: Path, world: World) -> str:
    path, _ = encode(profile, decide(profile, camera()), folder, world)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.clause("I5")
@each
def test_one_sha256_over_runs_one_cpu_and_other_surroundings(profile: ProfileSpec, tmp_path: Path) -> None:
    first = make_proxy(profile, camera(), tmp_path / "1")
    other = tmp_path / "ö ther"
    other.mkdir()
    taskset = tool("taskset")
    worlds = [
        World(),
        World(cwd=other, env={**ENVIRONMENT, "TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}),
        *([World(launcher=(taskset, "-c", "0"))] if taskset else []),
    ]
    for number, world in enumerate(worlds, 2):
        assert _sha256(profile, tmp_path / str(number), world) == first.sha256


@pytest.mark.slow
@pytest.mark.clause("I5")
@pytest.mark.parametrize("cpu", EMULATED)
@each
def test_the_same_sha256_on_other_cpus(profile: ProfileSpec, cpu: str, tmp_path: Path) -> None:
    qemu = tool("qemu-x86_64") or tool("qemu-x86_64-static")
    if qemu is None:
        assert "CI" not in os.environ, "CI has to have qemu-user: without it this is not shown"
        pytest.skip("NOT TESTED: qemu-x86_64 is absent (Debian: qemu-user)")
    here = _sha256(profile, tmp_path / "here", World())
    assert _sha256(profile, tmp_path / "there", World(launcher=(qemu, "-cpu", cpu))) == here


@pytest.mark.slow
@each
def test_the_full_toolchain_makes_it_too_and_says_the_same(profile: ProfileSpec, tmp_path: Path) -> None:
    world = World(ffmpeg=find_toolchain("full").ffmpeg)
    one = make_proxy(profile, camera(), tmp_path / "1", world)
    assert one.sha256 == make_proxy(profile, camera(), tmp_path / "2", world).sha256


@each
def test_each_clip_has_bytes_of_its_own(profile: ProfileSpec, tmp_path: Path) -> None:
    other = make("other.mov", *picture(size="512x288", rate="25"), "-c:v", "libx264", "-timecode", "01:00:00:00")
    one, two = make_proxy(profile, camera(), tmp_path / "1"), make_proxy(profile, other, tmp_path / "2")
    assert one.sha256 != two.sha256
    assert two.found.sound == ()


@each
def test_no_conversion_is_inserted_by_ffmpeg(profile: ProfileSpec, tmp_path: Path) -> None:
    encode(profile, decide(profile, camera()), tmp_path)
    words = (tmp_path / "log").read_text(errors="replace")
    assert "auto-inserted" not in words
    assert "auto_scale" not in words and "auto_aresample" not in words
