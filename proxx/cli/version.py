"""`proxx --version`: the versions of proxx and of the encoder builds installed with it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from proxx.console.output import out, out_json
from proxx.console.wording import safe

if TYPE_CHECKING:
    from proxx.contracts.canonical import Json
    from proxx.ffmpeg.installed import ToolchainName


def print_version(*, as_json: bool) -> None:
    """Prints the versions. A toolchain that is missing or does not run is shown as such; nothing is raised."""
    from proxx.ffmpeg.installed import TOOLCHAIN_NAMES
    from proxx.ffmpeg.toolchain import this_platform

    try:
        proxx_version = version("proxx")
    except PackageNotFoundError:  # run from a folder with the source
        proxx_version = "not installed"
    platform = this_platform()
    toolchains = [_toolchain(name) for name in TOOLCHAIN_NAMES]
    if as_json:
        out_json({"proxx": proxx_version, "platform": platform, "toolchains": [dict(each) for each in toolchains]})
        return
    out(f"proxx {proxx_version}")
    for each in toolchains:
        programs = f"ffmpeg {each['ffmpeg_version']}, ffprobe {each['ffprobe_version']}, {platform}"
        out(safe(f"toolchain {each['name']}: {each['problem'] or programs}"))


def _toolchain(name: ToolchainName) -> dict[str, Json]:
    from proxx.contracts.error_bases import ProxxError
    from proxx.ffmpeg.toolchain import toolchain_versions

    try:
        ffmpeg, ffprobe = toolchain_versions(name)
    except (ProxxError, OSError) as error:
        message = error.message if isinstance(error, ProxxError) else str(error)
        return {"name": name, "ffmpeg_version": None, "ffprobe_version": None, "problem": message}
    return {"name": name, "ffmpeg_version": ffmpeg, "ffprobe_version": ffprobe, "problem": None}
