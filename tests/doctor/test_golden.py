"""The golden clips: each profile gives one sha256, wherever and however often it is encoded."""

from __future__ import annotations

import json
import os
import sys
from importlib import resources
from pathlib import Path

import pytest

from proxx.contracts.errors import ToolchainMissing
from proxx.contracts.profile import catalogue, find_profile
from proxx.doctor.golden import GoldenResult, check_golden_clips, golden_clip, make_golden, make_source, remake
from proxx.ffmpeg.installed import TOOLCHAIN_NAMES, ToolchainName
from proxx.ffmpeg.toolchain import find_toolchain, this_platform
from tests.ffmpeg.test_toolchain import emulated

pytestmark = pytest.mark.skipif(this_platform() != "linux-x86_64", reason="no golden clips for this platform")

REMAKE = "if this change of toolchain, catalogue or command is intended: `python -m proxx.doctor.golden`; explain why"


def unequal(results: list[GoldenResult]) -> list[GoldenResult]:
    assert [result.profile for result in results] == list(catalogue())
    return [result for result in results if not result.equal]


@pytest.mark.clause("V4", lead=True)
def test_the_golden_file_is_what_this_version_writes(tmp_path: Path) -> None:
    """A clip of each profile of the catalogue has the bytes of the golden file."""
    kept = resources.files("proxx.doctor").joinpath("golden.json").read_text("utf-8")
    remade = tmp_path / "golden.json"
    remake(remade)
    assert json.loads(remade.read_text("utf-8")) == json.loads(kept), REMAKE


@pytest.mark.clause("I5")
@pytest.mark.parametrize("name", TOOLCHAIN_NAMES)
def test_one_cpu_and_another_environment_give_the_same_bytes(
    name: ToolchainName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Pacific/Apia")
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    monkeypatch.setenv("FFREPORT", f"file={tmp_path}/report.log")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert unequal(list(check_golden_clips(find_toolchain(name), tmp_path))) == []
    finally:
        os.sched_setaffinity(0, before)
    assert [path.name for path in tmp_path.iterdir()] == ["golden-source.mov"]


@pytest.mark.clause("I5")
@pytest.mark.parametrize(("name", "cpu"), [("static", "Haswell"), ("full", "EPYC")])
def test_the_same_bytes_on_other_cpus(name: ToolchainName, cpu: str, tmp_path: Path) -> None:
    assert unequal(list(check_golden_clips(find_toolchain(name, emulated(cpu)), tmp_path))) == []


def test_without_avx2_the_encoder_dies_of_sigill(tmp_path: Path) -> None:
    """The check of the CPU before a job prevents this."""
    source = make_source(find_toolchain("static"), tmp_path)
    nehalem = find_toolchain("static", emulated("Nehalem"))
    with pytest.raises(ToolchainMissing, match="SIGILL"):
        make_golden(nehalem, find_profile("prores_proxy"), source, tmp_path)


def test_another_build_has_no_known_bytes(tmp_path: Path) -> None:
    found = find_toolchain("static")
    identity = found.identity.model_copy(update={"ffmpeg_sha256": "sha256:" + "0" * 64})
    other = type(found)(identity=identity, ffmpeg=found.ffmpeg, ffprobe=found.ffprobe)
    results = list(check_golden_clips(other, tmp_path))
    assert {result.expected for result in results} == {None}
    assert all(result.actual and not result.equal for result in results)


def test_the_golden_clip_exists_for_each_kind_of_sound(tmp_path: Path) -> None:
    source = tmp_path / "source.mov"
    source.write_bytes(b"x")
    mono = golden_clip(find_profile("dnxhr_lb_mxf"), source, tmp_path / "out.mxf")
    assert [track.layout for track in mono.recipe.audio] == ["mono", "mono"]
    stereo = golden_clip(find_profile("prores_proxy_half"), source, tmp_path / "out.mov")
    assert [track.layout for track in stereo.recipe.audio] == ["stereo"]
    assert str(stereo.recipe.size) == "256x144"
    assert "numpy" not in sys.modules, "the golden clips must not import heavy packages"
