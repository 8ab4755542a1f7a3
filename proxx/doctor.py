"""`proxx doctor`: what this installation is, whether it is right, and what to do where it is not.

Each look is a function that gives findings and never raises a domain failure. Golden clips, the trial of the store
and that of an output folder are real: they do what a job does. They mend nothing and leave nothing, except one
object of a few bytes in a store, where nothing is ever deleted.
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxx import golden, publish, workdir
from proxx.errors import ProxxError
from proxx.toolchain import AVX2, NAMES, Installed, Name, find_toolchain, require_cpu, this_platform

if TYPE_CHECKING:
    from proxx.store import Store

ROOM: Final = 2 << 30  # bytes; a minute of the largest proxy, 1080p noise, is a tenth of it
_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([^;\s]+)(?!.*extra ==)")
_INSTALL: Final = "Install proxx again with its pinned requirements."


@dataclass(frozen=True)
class Finding:
    """One thing looked at. remedy: what to do; where `ok` it is advice, mostly empty."""

    area: str
    ok: bool
    sentence: str
    remedy: str = ""


def examine(
    open_store: Callable[[], Store] | None = None,
    *,
    work: Path | None = None,
    outputs: tuple[Path, ...] = (),
    launcher: tuple[str, ...] = (),
) -> tuple[Finding, ...]:
    """Everything, in a fixed order. outputs: folders that proxies are to be published in. launcher: for tests."""
    findings = [*python(), *packages()]
    for name in NAMES:
        findings += toolchain(name, launcher)
    findings += working(work)
    for folder in outputs:
        findings += output(folder)
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
        yield _failed(area, why)
        return
    yield Finding(area, True, f"The CPU has all that the catalogue pins: {' '.join(AVX2)}.")
    yield from goldens(installed)


def goldens(installed: Installed) -> Iterator[Finding]:
    """One finding where all is well, else one for each profile that is not."""
    name, libc = installed.identity.name, installed.identity.libc
    area = f"golden clips {name}"
    try:
        with tempfile.TemporaryDirectory(prefix="proxx-doctor-") as folder:
            proofs = tuple(golden.prove(installed, Path(folder)))
    except (ProxxError, OSError) as why:
        yield _failed(area, why)
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
        yield _failed("work", why)
        return
    more = "Free space there, or name another folder with --work."
    yield Finding("work", free >= ROOM, f"{place} is writable, {_size(free)} are free.", "" if free >= ROOM else more)
    for left in workdir.leftovers(place):
        yield Finding(
            "leftovers",
            True,
            f"{left.path} was left by a killed worker (job {left.job}…, attempt {left.attempt}, {_size(left.size)}).",
            "Nothing reads it again: remove it.",
        )


def output(folder: Path) -> Iterator[Finding]:
    """Publish a file there as a job does, twice; the second must be told that the name is taken."""
    target = folder.absolute() / f".proxx-doctor-{uuid.uuid4().hex}"
    if not folder.is_dir():
        yield Finding("output", False, f"{folder} is not there.", "Make it, or mount the volume it is on.")
        return
    try:
        with tempfile.TemporaryDirectory(prefix="proxx-doctor-") as own:
            made = Path(own) / "trial"
            said = []
            for _ in range(2):
                made.write_bytes(b"trial")
                with publish.staged(made, target) as whole:
                    said.append(publish.publish(whole, target))
        free = workdir.free_bytes(folder)
    except (ProxxError, OSError) as why:
        yield _failed("output", why)
        return
    finally:
        target.unlink(missing_ok=True)
    if said != [publish.Published(), publish.Present(whole.sha256)]:
        yield Finding("output", False, f"{folder} lets a file be replaced.", "Publish on another file system.")
        return
    yield Finding("output", True, f"{folder}: proxies can be published, {_size(free)} are free.")
    for left in publish.leftovers(folder):
        yield Finding(
            "leftovers",
            True,
            f"{left} was left by a killed worker, or is being published just now.",
            "Remove it when no job publishes to that folder.",
        )


def store(open_store: Callable[[], Store]) -> Iterator[Finding]:
    """Whether it can be reached, and whether of two who create one object only one does."""
    from proxx.store import identity

    try:
        chosen = open_store()
        known = identity(chosen)
        if known is None:
            yield Finding("store", True, f"{chosen.uri}: no store yet; the first job registered there makes it.")
            return
        winners = _race(chosen, f"doctor/{uuid.uuid4().hex}")
    except (ProxxError, OSError) as why:
        yield _failed("store", why)
        return
    if winners != 1:
        sentence = f"{chosen.uri} let {winners} of 2 create the same object."
        yield Finding("store", False, sentence, "Do not use it: jobs could run twice. Choose another store.")
        return
    yield Finding("store", True, f"{chosen.uri}: store {known.uuid}, writable, and creates exclusively.")


def _race(chosen: Store, key: str) -> int:
    """How many of two threads created `key`. The object stays: nothing in a store is ever deleted."""
    start, won, errors = threading.Barrier(2), list[int](), list[BaseException]()

    def create(number: int) -> None:
        start.wait()
        try:
            if chosen.create(key, b"trial %d" % number) is None:
                won.append(number)
        except (ProxxError, OSError) as why:
            errors.append(why)

    racers = [threading.Thread(target=create, args=(number,)) for number in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    if errors:
        raise errors[0]
    return len(won)


def _failed(area: str, why: ProxxError | OSError) -> Finding:
    if isinstance(why, ProxxError):
        detail = f" ({why.detail})" if why.detail else ""
        return Finding(area, False, f"{why.code}: {why.message}{detail}", why.remedy)
    return Finding(area, False, f"{why.strerror}: {why.filename}.", "Mend what the system says, then ask again.")


def _size(count: int) -> str:
    """Whole units of 1024, rounded down."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 10_240:
            return f"{count} {unit}"
        count //= 1024
    return f"{count} GiB"
