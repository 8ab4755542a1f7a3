"""Checks this machine for `proxx doctor`: what is installed, whether it is right, and what to do if not.

Each check yields findings and does not raise domain failures. The golden clips, the write to the store and the write
to an output folder are real: they do what a job does. A check repairs nothing and leaves nothing behind, except one
object of a few bytes in a store, where nothing is ever deleted.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxx.contracts.error_bases import ProxxError
from proxx.doctor import golden
from proxx.doctor.finding import Finding, failed_finding, size_words
from proxx.doctor.storage import check_output, check_roots, check_store
from proxx.ffmpeg.cpu import AVX2, require_cpu
from proxx.ffmpeg.installed import TOOLCHAIN_NAMES, InstalledToolchain, ToolchainName
from proxx.ffmpeg.toolchain import find_toolchain, this_platform
from proxx.files import workdir
from proxx.files.places import Places

if TYPE_CHECKING:
    from proxx.store.base import Store

ROOM: Final = 2 << 30  # bytes of free space; a minute of the largest proxy, 1080p noise, is a tenth of it
_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([^;\s]+)(?!.*extra ==)")
_INSTALL: Final = "Install proxx again with its pinned requirements."


def examine_machine(
    open_store: Callable[[], Store] | None = None,
    *,
    work: Path | None = None,
    outputs: tuple[str | Path, ...] = (),
    places: Places | None = None,
    launcher: tuple[str, ...] = (),
) -> tuple[Finding, ...]:
    """Runs all checks and returns their findings in a fixed order.

    work: the folder for unfinished files. outputs: where proxies are to be published. launcher: for tests.
    """
    findings = [*check_python(), *check_packages()]
    for name in TOOLCHAIN_NAMES:
        findings += check_toolchain(name, launcher)
    findings += check_work_folder(work)
    places = places or Places()
    findings += check_roots(places)
    for output in outputs:
        findings += check_output(str(output), places)
    if open_store is not None:
        findings += check_store(open_store)
    return tuple(findings)


def healthy(findings: tuple[Finding, ...]) -> bool:
    """Returns whether all findings are right."""
    return all(finding.ok for finding in findings)


# --- one check per area ----------------------------------------------------------------------------------


def check_python() -> Iterator[Finding]:
    """Reports the Python version and platform."""
    yield Finding("python", True, f"Python {sys.version.split()[0]} on {this_platform()}.")


def check_packages() -> Iterator[Finding]:
    """Checks that every package which proxx pins is installed in exactly that version."""
    try:
        pins = [match for text in metadata.requires("proxx") or () if (match := _PIN.match(text))]
        versions = [f"proxx {metadata.version('proxx')}"]
        for name, required in (pin.groups() for pin in pins):
            installed = metadata.version(name)
            versions.append(f"{name} {installed}")
            if installed != required:
                yield Finding("packages", False, f"{name} is {installed}, but proxx requires {required}.", _INSTALL)
    except metadata.PackageNotFoundError as error:
        yield Finding("packages", False, f"The package {error.name} is not installed.", _INSTALL)
        return
    yield Finding("packages", True, f"{', '.join(versions)}.")


def check_toolchain(name: ToolchainName, launcher: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Checks the encoder build, the CPU and the golden clips of one toolchain."""
    area = f"toolchain {name}"
    try:
        installed = find_toolchain(name, launcher)
        build = installed.identity
        origin = "as published" if installed.published else f"the published build for {build.platform} is not known"
        yield Finding(
            area,
            True,
            f"ffmpeg {build.ffmpeg_version} ({build.ffmpeg_sha256}), ffprobe {build.ffprobe_version} "
            f"({build.ffprobe_sha256}), {build.libc or 'static'}, {build.platform}: {origin}.",
        )
        require_cpu(installed, AVX2)
    except ProxxError as error:
        yield failed_finding(area, error)
        return
    yield Finding(area, True, f"The CPU has all features that the catalogue requires: {' '.join(AVX2)}.")
    yield from check_golden(installed)


def check_golden(installed: InstalledToolchain) -> Iterator[Finding]:
    """Encodes the golden clips: one finding for all equal clips, one for each profile that fails or differs."""
    name, libc = installed.identity.name, installed.identity.libc
    area = f"golden clips {name}"
    try:
        with tempfile.TemporaryDirectory(prefix="proxx-doctor-") as folder:
            results = tuple(golden.check_golden_clips(installed, Path(folder)))
    except (ProxxError, OSError) as error:
        yield failed_finding(area, error)
        return
    unknown = [result.profile for result in results if result.actual and not result.expected]
    for result in results:
        if result.actual is None:
            yield Finding(area, False, f"{result.profile} cannot be encoded: {result.error}", _INSTALL)
        elif result.expected and not result.equal:
            yield Finding(
                area,
                False,
                f"{result.profile} gave {result.actual}, not {result.expected}.",
                f"This system's {libc} computes differently: use the static toolchain."
                if libc
                else "Do not make proxies on this machine: test its memory and CPU, and report the CPU model.",
            )
    equal = sum(result.equal for result in results)
    if equal:
        yield Finding(area, True, f"{equal} of {len(results)} profiles gave exactly the bytes known for this build.")
    if unknown:
        yield Finding(
            area,
            True,
            f"{len(unknown)} of {len(results)} profiles were encoded, but there are no known bytes to compare with.",
            "Compare two machines with `proxx reproduce`.",
        )


def check_work_folder(parent: Path | None = None) -> Iterator[Finding]:
    """Checks that working folders can be created with enough free space; lists those that killed workers left."""
    folder = (parent or workdir.default_parent()).absolute()
    try:
        with workdir.work_directory(folder, "d0c70000", 0):
            free = workdir.free_bytes(folder)
    except (ProxxError, OSError) as error:
        yield failed_finding("work", error)
        return
    remedy = "" if free >= ROOM else "Free space there, or name another folder with --work."
    yield Finding("work", free >= ROOM, f"{folder} is writable and has {size_words(free)} free.", remedy)
    for leftover in workdir.abandoned_directories(folder):
        yield Finding(
            "leftovers",
            True,
            f"{leftover.path} was left by a killed worker "
            f"(job {leftover.job}…, attempt {leftover.attempt}, {size_words(leftover.size)}).",
            "Nothing uses it any more: remove it.",
        )
