"""`proxx doctor`: what this installation is, whether it is right, and what to do where it is not.

Each look is a function that gives findings and never raises a domain failure. Golden clips, the trial of the store
and that of an output folder are real: they do what a job does. They mend nothing and leave nothing, except one
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
from proxx.doctor.finding import Finding, failed, size_words
from proxx.doctor.storage import output, roots, store
from proxx.ffmpeg.toolchain import AVX2, NAMES, InstalledToolchain, Name, find_toolchain, require_cpu, this_platform
from proxx.files import workdir
from proxx.files.places import Places

if TYPE_CHECKING:
    from proxx.store.base import Store

ROOM: Final = 2 << 30  # bytes; a minute of the largest proxy, 1080p noise, is a tenth of it
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
    """Everything, in a fixed order. outputs: where proxies are to be published. launcher: for tests."""
    findings = [*python(), *packages()]
    for name in NAMES:
        findings += toolchain(name, launcher)
    findings += working(work)
    reach = places or Places()
    findings += roots(reach)
    for folder in outputs:
        findings += output(str(folder), reach)
    if open_store is not None:
        findings += store(open_store)
    return tuple(findings)


def healthy(findings: tuple[Finding, ...]) -> bool:
    return all(finding.ok for finding in findings)


# --- the looks, one area each ----------------------------------------------------------------------------


def python() -> Iterator[Finding]:
    yield Finding("python", True, f"Python {sys.version.split()[0]} on {this_platform()}.")


def packages() -> Iterator[Finding]:
    """proxx and what it pins exactly."""
    try:
        pins = [match for text in metadata.requires("proxx") or () if (match := _PIN.match(text))]
        found = [f"proxx {metadata.version('proxx')}"]
        for name, wanted in (pin.groups() for pin in pins):
            here = metadata.version(name)
            found.append(f"{name} {here}")
            if here != wanted:
                yield Finding("packages", False, f"{name} is {here}, and proxx is made for {wanted}.", _INSTALL)
    except metadata.PackageNotFoundError as why:
        yield Finding("packages", False, f"The package {why.name} is not installed.", _INSTALL)
        return
    yield Finding("packages", True, f"{', '.join(found)}.")


def toolchain(name: Name, launcher: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Identity, CPU and golden clips of one toolchain."""
    area = f"toolchain {name}"
    try:
        installed = find_toolchain(name, launcher)
        here = installed.identity
        claim = "as published" if installed.published else f"nothing is known of those published for {here.platform}"
        yield Finding(
            area,
            True,
            f"ffmpeg {here.ffmpeg_version} ({here.ffmpeg_sha256}), ffprobe {here.ffprobe_version} "
            f"({here.ffprobe_sha256}), {here.libc or 'static'}, {here.platform}: {claim}.",
        )
        require_cpu(installed, AVX2)
    except ProxxError as why:
        yield failed(area, why)
        return
    yield Finding(area, True, f"The CPU has all that the catalogue pins: {' '.join(AVX2)}.")
    yield from goldens(installed)


def goldens(installed: InstalledToolchain) -> Iterator[Finding]:
    """One finding where all is well, else one for each profile that is not."""
    name, libc = installed.identity.name, installed.identity.libc
    area = f"golden clips {name}"
    try:
        with tempfile.TemporaryDirectory(prefix="proxx-doctor-") as folder:
            proofs = tuple(golden.check_golden_clips(installed, Path(folder)))
    except (ProxxError, OSError) as why:
        yield failed(area, why)
        return
    unknown = [proof.profile for proof in proofs if proof.found and not proof.expected]
    for proof in proofs:
        if proof.found is None:
            yield Finding(area, False, f"{proof.profile} cannot be made: {proof.words}", _INSTALL)
        elif proof.expected and not proof.equal:
            yield Finding(
                area,
                False,
                f"{proof.profile} gave {proof.found}, not {proof.expected}.",
                f"This system's {libc} computes differently: use the static toolchain."
                if libc
                else "Do not make proxies here: test the memory and the CPU, and report this with the CPU's name.",
            )
    equal = sum(proof.equal for proof in proofs)
    if equal:
        yield Finding(area, True, f"{equal} of {len(proofs)} profiles gave exactly the bytes known for this build.")
    if unknown:
        yield Finding(
            area,
            True,
            f"{len(unknown)} of {len(proofs)} profiles were made, but no bytes are known to compare with.",
            "Compare two machines with `proxx reproduce`.",
        )


def working(parent: Path | None = None) -> Iterator[Finding]:
    """Room for working directories, and what killed workers left."""
    place = (parent or workdir.default_parent()).absolute()
    try:
        with workdir.work_directory(place, "d0c70000", 0):
            free = workdir.free_bytes(place)
    except (ProxxError, OSError) as why:
        yield failed("work", why)
        return
    more = "Free space there, or name another folder with --work."
    yield Finding(
        "work", free >= ROOM, f"{place} is writable, {size_words(free)} are free.", "" if free >= ROOM else more
    )
    for left in workdir.abandoned_directories(place):
        yield Finding(
            "leftovers",
            True,
            f"{left.path} was left by a killed worker "
            f"(job {left.job}…, attempt {left.attempt}, {size_words(left.size)}).",
            "Nothing reads it again: remove it.",
        )
