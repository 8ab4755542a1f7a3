"""`proxx --version`: the versions of proxx and of both encoder builds, without hashing them."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from proxx.ffmpeg.installed import TOOLCHAIN_NAMES
from proxx.ffmpeg.toolchain import find_toolchain, this_platform
from tests.cli.command import call

Capture = pytest.CaptureFixture[str]


def test_proxx_and_both_toolchains_are_printed(capsys: Capture) -> None:
    answer = call(capsys, "--version")
    assert (answer.status, answer.err) == (0, "")
    lines = [f"proxx {version('proxx')}"]
    for name in TOOLCHAIN_NAMES:
        identity = find_toolchain(name).identity
        programs = f"ffmpeg {identity.ffmpeg_version}, ffprobe {identity.ffprobe_version}"
        lines.append(f"toolchain {name}: {programs}, {identity.platform}")
    assert answer.out.splitlines() == lines


@pytest.mark.parametrize("args", [("--version", "--json"), ("--json", "--version")])
def test_json(args: tuple[str, ...], capsys: Capture) -> None:
    data = call(capsys, *args).json
    assert (data["proxx"], data["platform"]) == (version("proxx"), this_platform())
    assert [each["name"] for each in data["toolchains"]] == list(TOOLCHAIN_NAMES)
    for each in data["toolchains"]:
        identity = find_toolchain(each["name"]).identity
        assert each["ffmpeg_version"] == identity.ffmpeg_version
        assert each["ffprobe_version"] == identity.ffprobe_version
        assert each["problem"] is None


def test_nothing_is_hashed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxx.ffmpeg.toolchain._digest", lambda _: pytest.fail("a program was hashed"))
    assert call(capsys, "--version").status == 0


def test_a_missing_toolchain_is_named_and_is_no_failure(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxx.ffmpeg.toolchain._FULL_PACKAGE", ("not_installed_anywhere", "imageio-ffmpeg"))
    answer = call(capsys, "--version")
    assert (answer.status, answer.err) == (0, "")
    _, static, full = answer.out.splitlines()
    assert static.startswith("toolchain static: ffmpeg ")
    assert full.startswith("toolchain full: ")
    assert "imageio-ffmpeg" in full
    static_row, full_row = call(capsys, "--version", "--json").json["toolchains"]
    assert static_row["problem"] is None
    assert (full_row["ffmpeg_version"], full_row["ffprobe_version"]) == (None, None)
    assert "imageio-ffmpeg" in full_row["problem"]
