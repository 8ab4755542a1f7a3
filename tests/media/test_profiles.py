"""Every catalogue profile makes a correct proxy, and the same bytes wherever it runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from proxx.contracts.profile import ProfileSpec, catalogue, find_profile
from proxx.ffmpeg.process import ENVIRONMENT
from proxx.ffmpeg.toolchain import find_toolchain
from tests.media.encoding import Surroundings, decide, encode, make_proxy, tool
from tests.support.makemedia import make, picture, sound

PROFILES = [find_profile(name) for name in catalogue()]
each = pytest.mark.parametrize("profile", PROFILES, ids=catalogue())
EMULATED = ("Haswell", "EPYC")


def camera() -> Path:
    """Half a second as a camera records it: B-frames, full range, AAC, timecode, reel."""
    return make(
        "camera.mov",
        *picture(size="512x288", rate="30000/1001", seconds="0.5"),
        *sound("stereo", seconds="0.5"),
        *("-vf", "scale=out_range=pc:out_color_matrix=bt709,format=yuvj420p", "-colorspace", "bt709"),
        *("-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "pc"),
        *("-c:v", "libx264", "-bf", "2", "-g", "12", "-threads", "1", "-c:a", "aac"),
        *("-timecode", "09:59:59;28", "-metadata:s:v:0", "reel_name=A001_C002"),
    )


def _sha256(profile: ProfileSpec, folder: Path, surroundings: Surroundings) -> str:
    path, _ = encode(profile, decide(profile, camera()), folder, surroundings)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.clause("I5")
@each
def test_every_run_gives_the_same_sha256_in_any_surroundings(profile: ProfileSpec, tmp_path: Path) -> None:
    first = make_proxy(profile, camera(), tmp_path / "1")
    other = tmp_path / "ö ther"
    other.mkdir()
    taskset = tool("taskset")
    variants = [
        Surroundings(),
        Surroundings(
            cwd=other, env={**ENVIRONMENT, "TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}
        ),
        *([Surroundings(launcher=(taskset, "-c", "0"))] if taskset else []),
    ]
    for number, surroundings in enumerate(variants, 2):
        assert _sha256(profile, tmp_path / str(number), surroundings) == first.sha256


@pytest.mark.clause("I5")
@pytest.mark.parametrize("cpu", EMULATED)
@each
def test_the_same_sha256_on_other_cpus(profile: ProfileSpec, cpu: str, tmp_path: Path) -> None:
    qemu = tool("qemu-x86_64") or tool("qemu-x86_64-static")
    if qemu is None:
        assert "CI" not in os.environ, "CI needs qemu-user to run this test"
        pytest.skip("NOT TESTED: qemu-x86_64 is absent (Debian: qemu-user)")
    here = _sha256(profile, tmp_path / "here", Surroundings())
    assert _sha256(profile, tmp_path / "there", Surroundings(launcher=(qemu, "-cpu", cpu))) == here


@each
def test_the_full_toolchain_gives_one_sha256_too(profile: ProfileSpec, tmp_path: Path) -> None:
    surroundings = Surroundings(ffmpeg=find_toolchain("full").ffmpeg)
    one = make_proxy(profile, camera(), tmp_path / "1", surroundings)
    assert one.sha256 == make_proxy(profile, camera(), tmp_path / "2", surroundings).sha256


@each
def test_another_clip_gives_other_bytes(profile: ProfileSpec, tmp_path: Path) -> None:
    other = make("other.mov", *picture(size="512x288", rate="25"), "-c:v", "libx264", "-timecode", "01:00:00:00")
    one, two = make_proxy(profile, camera(), tmp_path / "1"), make_proxy(profile, other, tmp_path / "2")
    assert one.sha256 != two.sha256
    assert two.found.sound == ()


@each
def test_ffmpeg_inserts_no_conversion(profile: ProfileSpec, tmp_path: Path) -> None:
    encode(profile, decide(profile, camera()), tmp_path)
    words = (tmp_path / "log").read_text(errors="replace")
    assert "auto-inserted" not in words
    assert "auto_scale" not in words and "auto_aresample" not in words
