"""Sources that only the `full` toolchain decodes: `static` refuses and names it, `full` makes the right proxy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from proxx.contracts.errors import PreflightRefused
from proxx.contracts.event import this_worker
from proxx.contracts.job import spec_bytes
from proxx.engine.execute import RunEnvironment, execute
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.store.base import MemoryStore
from tests.support.jobs import create
from tests.support.makemedia import ffmpeg

CODECS = {"png.mov": ("-c:v", "png"), "av1.mp4": ("-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p")}


@pytest.fixture(params=sorted(CODECS))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Half a second of one colour, made by the full toolchain: the static one has no such encoder."""
    path = tmp_path / str(request.param)
    argv = [
        str(find_toolchain("full").ffmpeg),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "color=0xC06020:s=320x240:r=25:d=0.48",
    ]
    subprocess.run([*argv, *CODECS[path.name], f"file:{path}"], check=True)
    return path


def test_the_static_build_names_the_toolchain_to_use(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PreflightRefused) as refused:
        create((source,), tmp_path / "out", "prores_proxy")
    (problem,) = refused.value.problems
    assert problem.code == "SOURCE_UNSUPPORTED"
    assert "--toolchain full" in problem.message


def test_the_full_build_makes_a_proxy_in_the_right_colour(source: Path, tmp_path: Path) -> None:
    job = create((source,), tmp_path / "out", "prores_proxy", build="full")
    result = execute(spec_bytes(job), RunEnvironment(store=MemoryStore(), worker=this_worker(), run_id="full"))
    assert result.status == "COMPLETED"
    assert result.clips[0].frames == 12
    to_rgb = "scale=1:1:flags=area+accurate_rnd:in_color_matrix=smpte170m,format=rgb24"
    proxy = job.clips[0].outputs[0].uri
    red, green, blue = ffmpeg("-i", f"file:{proxy}", "-frames:v", "1", "-vf", to_rgb, "-f", "rawvideo", "-")
    assert abs(red - 0xC0) < 6
    assert abs(green - 0x60) < 6
    assert abs(blue - 0x20) < 6
