"""The checks of the doctor; every bad finding has a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import pytest

from proxx.contracts.errors import StoreRefused, ToolchainMissing
from proxx.doctor import golden, machine, storage
from proxx.doctor.finding import Finding, size_words
from proxx.doctor.golden import GoldenResult
from proxx.doctor.machine import examine_machine, healthy
from proxx.ffmpeg.installed import TOOLCHAIN_NAMES, InstalledToolchain
from proxx.ffmpeg.toolchain import find_toolchain, this_platform
from proxx.files import publish, workdir
from proxx.store.base import MemoryStore
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store, open_store
from tests.ffmpeg.test_toolchain import emulated

SHA = "sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def every_bad_finding_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked_finding(area: str, ok: bool, sentence: str, remedy: str = "") -> Finding:
        assert ok or remedy, sentence
        assert sentence.endswith((".", ")")), sentence
        return Finding(area, ok, sentence, remedy)

    for module in (machine, storage):
        monkeypatch.setattr(module, "Finding", checked_finding)


def giving(*results: GoldenResult) -> object:
    def check_golden_clips(installed: InstalledToolchain, folder: Path) -> Iterator[GoldenResult]:
        yield from results

    return check_golden_clips


@pytest.mark.skipif(this_platform() != "linux-x86_64", reason="no golden clips for this platform")
def test_a_correct_installation_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ROOM", 1)
    store = FileStore(tmp_path / "store")
    initialize_store(store)
    findings = examine_machine(lambda: store, work=tmp_path, outputs=(tmp_path,))
    # Packages are tested below: a checkout may run without proxx being installed as one.
    assert [finding for finding in findings if not finding.ok and finding.area != "packages"] == []
    assert healthy(tuple(finding for finding in findings if finding.area != "packages"))
    assert not healthy((*findings, Finding("x", False, "Bad.", "Fix it.")))
    sentences = "\n".join(finding.sentence for finding in findings)
    for name in TOOLCHAIN_NAMES:
        identity = find_toolchain(name).identity
        assert identity.ffmpeg_sha256 in sentences
        assert identity.ffmpeg_version in sentences
    assert sentences.count("16 of 16 profiles gave exactly the bytes known for this build") == 2
    assert "avx2" in sentences
    assert {path.name for path in tmp_path.iterdir()} == {"store"}, "a check left something behind"


def test_a_missing_toolchain_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> NoReturn:
        raise ToolchainMissing(message="The static toolchain is incomplete.", detail="/there")

    monkeypatch.setattr(machine, "find_toolchain", missing)
    (finding,) = machine.check_toolchain("static")
    assert finding.sentence == "TOOLCHAIN_MISSING: The static toolchain is incomplete. (/there)"
    assert finding.remedy == ToolchainMissing.remedy


@pytest.mark.skipif(this_platform() != "linux-x86_64", reason="CPU levels of x86-64")
def test_an_old_cpu_is_reported() -> None:
    *_, finding = machine.check_toolchain("static", emulated("Nehalem"))
    assert not finding.ok
    assert "This CPU has no AVX, FMA3, BMI1, BMI2, AVX2" in finding.sentence


def test_golden_clips_that_differ_fail_or_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = find_toolchain("static")
    results = (
        GoldenResult("equal", SHA, SHA),
        GoldenResult("other", SHA, "sha256:" + "1" * 64),
        GoldenResult("broken", SHA, None, "The encoder failed: SIGILL."),
        GoldenResult("unknown", None, SHA),
    )
    monkeypatch.setattr(golden, "check_golden_clips", giving(*results))
    other, broken, equal, unknown = machine.check_golden(installed)
    assert not other.ok and "other gave sha256:1" in other.sentence and "test its memory" in other.remedy
    assert not broken.ok and broken.sentence == "broken cannot be encoded: The encoder failed: SIGILL."
    assert equal.ok and equal.sentence.startswith("1 of 4 profiles gave exactly")
    assert unknown.ok and unknown.sentence.startswith("1 of 4 profiles were encoded, but")


def test_a_libc_that_computes_differently_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    here = find_toolchain("static")
    installed = replace(here, identity=here.identity.model_copy(update={"libc": "glibc 2.99"}))
    monkeypatch.setattr(golden, "check_golden_clips", giving(GoldenResult("other", SHA, "sha256:" + "1" * 64)))
    (finding,) = machine.check_golden(installed)
    assert finding.remedy == "This system's glibc 2.99 computes differently: use the static toolchain."


def test_missing_packages_and_other_versions_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"proxx": "0.1.0", "good": "1.0", "bad": "2.1"}
    monkeypatch.setattr(metadata, "requires", lambda _: ["good==1.0", "bad==2.0", 'x==1 ; extra == "test"', "y>=3"])
    monkeypatch.setattr(metadata, "version", lambda name: versions[name])
    bad, installed = machine.check_packages()
    assert (bad.ok, bad.sentence) == (False, "bad is 2.1, but proxx requires 2.0.")
    assert installed.sentence == "proxx 0.1.0, good 1.0, bad 2.1."

    def absent(name: str) -> NoReturn:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    (finding,) = machine.check_packages()
    assert (finding.ok, finding.sentence) == (False, "The package proxx is not installed.")


def test_the_work_folder_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proxx-0123abcd-2-xyz").mkdir()
    monkeypatch.setattr(workdir, "free_bytes", lambda _: 5 << 20)
    room, left = machine.check_work_folder(tmp_path)
    assert (room.ok, room.sentence) == (False, f"{tmp_path} is writable and has 5120 KiB free.")
    assert left.ok and "job 0123abcd…, attempt 2" in left.sentence and left.remedy
    (gone,) = machine.check_work_folder(tmp_path / "gone")
    assert gone.sentence.startswith("WORK_UNUSABLE: ")


def test_an_output_folder_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (absent,) = storage.check_output_folder(tmp_path / "gone")
    assert not absent.ok and not (tmp_path / "gone").exists()
    (tmp_path / ".proxx-0.partial").write_bytes(b"")
    good, left = storage.check_output_folder(tmp_path)
    assert good.ok and left.ok and left.remedy
    assert [path.name for path in tmp_path.iterdir()] == [".proxx-0.partial"]
    monkeypatch.setattr(publish, "publish", lambda *_: publish.Published())
    (replaced,) = storage.check_output_folder(tmp_path)
    assert (replaced.ok, replaced.sentence) == (False, f"{tmp_path} lets a file be replaced.")


def test_a_store_is_checked(tmp_path: Path) -> None:
    (missing,) = storage.check_store(lambda: FileStore(tmp_path / "store"))
    assert missing.ok and "no store yet" in missing.sentence
    assert not (tmp_path / "store").exists(), "a check must not create a store"
    store = FileStore(tmp_path / "store")
    identity = initialize_store(store)
    (good,) = storage.check_store(lambda: store)
    assert good.ok and identity.uuid in good.sentence and "creates exclusively" in good.sentence
    (refused,) = storage.check_store(lambda: open_store("ftp://somewhere"))
    assert refused.sentence.startswith("STORE_REFUSED: ") and refused.remedy == StoreRefused.remedy


def test_a_store_that_is_not_exclusive_is_reported() -> None:
    class Careless(MemoryStore):
        def create(self, key: str, data: bytes) -> bytes | None:
            super().create(key, data)
            return None

    store = Careless()
    initialize_store(store)
    (finding,) = storage.check_store(lambda: store)
    assert (finding.ok, finding.sentence) == (False, "memory: let 2 of 2 writers create the same object.")


def test_a_store_that_cannot_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path / "store")
    initialize_store(store)

    def refuse(*_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", "/there")

    monkeypatch.setattr(FileStore, "create", refuse)
    (finding,) = storage.check_store(lambda: store)
    assert (finding.ok, finding.sentence) == (False, "Permission denied: /there.")


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 bytes"), (10_239, "10239 bytes"), (10_240, "10 KiB"), (5 << 40, "5120 GiB")]
)
def test_sizes_are_rounded_down_to_whole_units(count: int, words: str) -> None:
    assert size_words(count) == words
