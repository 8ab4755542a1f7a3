"""What the doctor says, and that each bad finding says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import pytest

from proxx.contracts.errors import StoreRefused, ToolchainMissing
from proxx.doctor import golden
from proxx.doctor import machine as doctor
from proxx.doctor import storage as doctor_storage
from proxx.doctor.finding import Finding, size_words
from proxx.doctor.golden import GoldenResult
from proxx.doctor.machine import examine_machine, healthy
from proxx.ffmpeg.toolchain import NAMES, InstalledToolchain, find_toolchain, this_platform
from proxx.files import publish, workdir
from proxx.store.base import MemoryStore
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store, open_store
from tests.ffmpeg.test_toolchain import emulated

SHA = "sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def each_bad_finding_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(area: str, ok: bool, sentence: str, remedy: str = "") -> Finding:
        assert ok or remedy, sentence
        assert sentence.endswith((".", ")")), sentence
        return Finding(area, ok, sentence, remedy)

    monkeypatch.setattr(doctor, "Finding", checked)


def proofs(*found: GoldenResult) -> object:
    def prove(installed: InstalledToolchain, folder: Path) -> Iterator[GoldenResult]:
        yield from found

    return prove


@pytest.mark.skipif(this_platform() != "linux-x86_64", reason="no golden clips for this platform")
def test_a_right_installation_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ROOM", 1)
    store = FileStore(tmp_path / "store")
    initialize_store(store)
    findings = examine_machine(lambda: store, work=tmp_path, outputs=(tmp_path,))
    # Whether proxx is installed as a package is tested below: a checkout may run without.
    assert [finding for finding in findings if not finding.ok and finding.area != "packages"] == []
    assert healthy(tuple(finding for finding in findings if finding.area != "packages"))
    assert not healthy((*findings, Finding("x", False, "Bad.", "Mend it.")))
    said = "\n".join(finding.sentence for finding in findings)
    for name in NAMES:
        identity = find_toolchain(name).identity
        assert identity.ffmpeg_sha256 in said
        assert identity.ffmpeg_version in said
    assert said.count("16 of 16 profiles gave exactly the bytes known for this build") == 2
    assert "avx2" in said
    assert {path.name for path in tmp_path.iterdir()} == {"store"}, "it leaves nothing"


def test_a_missing_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> NoReturn:
        raise ToolchainMissing(message="The static toolchain is not whole.", detail="/there")

    monkeypatch.setattr(doctor, "find_toolchain", missing)
    (finding,) = doctor.toolchain("static")
    assert finding.sentence == "TOOLCHAIN_MISSING: The static toolchain is not whole. (/there)"
    assert finding.remedy == ToolchainMissing.remedy


@pytest.mark.skipif(this_platform() != "linux-x86_64", reason="CPU levels of x86-64")
def test_an_old_cpu() -> None:
    *_, finding = doctor.toolchain("static", emulated("Nehalem"))
    assert not finding.ok
    assert "This CPU has no AVX, FMA3, BMI1, BMI2, AVX2" in finding.sentence


def test_golden_clips_that_differ_fail_or_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = find_toolchain("static")
    found = (
        GoldenResult("equal", SHA, SHA),
        GoldenResult("other", SHA, "sha256:" + "1" * 64),
        GoldenResult("broken", SHA, None, "The encoder failed: SIGILL."),
        GoldenResult("unknown", None, SHA),
    )
    monkeypatch.setattr(golden, "check_golden_clips", proofs(*found))
    other, broken, equal, unknown = doctor.goldens(installed)
    assert not other.ok and "other gave sha256:1" in other.sentence and "test the memory" in other.remedy
    assert not broken.ok and broken.sentence == "broken cannot be made: The encoder failed: SIGILL."
    assert equal.ok and equal.sentence.startswith("1 of 4 profiles gave exactly")
    assert unknown.ok and unknown.sentence.startswith("1 of 4 profiles were made, but")


def test_another_libc_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    here = find_toolchain("static")
    installed = replace(here, identity=here.identity.model_copy(update={"libc": "glibc 2.99"}))
    monkeypatch.setattr(golden, "check_golden_clips", proofs(GoldenResult("other", SHA, "sha256:" + "1" * 64)))
    (finding,) = doctor.goldens(installed)
    assert finding.remedy == "This system's glibc 2.99 computes differently: use the static toolchain."


def test_packages_that_are_absent_or_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"proxx": "0.1.0", "good": "1.0", "bad": "2.1"}
    monkeypatch.setattr(metadata, "requires", lambda _: ["good==1.0", "bad==2.0", 'x==1 ; extra == "test"', "y>=3"])
    monkeypatch.setattr(metadata, "version", lambda name: versions[name])
    bad, all_ = doctor.packages()
    assert (bad.ok, bad.sentence) == (False, "bad is 2.1, and proxx is made for 2.0.")
    assert all_.sentence == "proxx 0.1.0, good 1.0, bad 2.1."

    def absent(name: str) -> NoReturn:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    (finding,) = doctor.packages()
    assert (finding.ok, finding.sentence) == (False, "The package proxx is not installed.")


def test_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proxx-0123abcd-2-xyz").mkdir()
    monkeypatch.setattr(workdir, "free_bytes", lambda _: 5 << 20)
    room, left = doctor.working(tmp_path)
    assert (room.ok, room.sentence) == (False, f"{tmp_path} is writable, 5120 KiB are free.")
    assert left.ok and "job 0123abcd…, attempt 2" in left.sentence and left.remedy
    (gone,) = doctor.working(tmp_path / "gone")
    assert gone.sentence.startswith("WORK_UNUSABLE: ")


def test_an_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (absent,) = doctor_storage.folder_output(tmp_path / "gone")
    assert not absent.ok and not (tmp_path / "gone").exists()
    (tmp_path / ".proxx-0.partial").write_bytes(b"")
    good, left = doctor_storage.folder_output(tmp_path)
    assert good.ok and left.ok and left.remedy
    assert [path.name for path in tmp_path.iterdir()] == [".proxx-0.partial"]
    monkeypatch.setattr(publish, "publish", lambda *_: publish.Published())
    (replaced,) = doctor_storage.folder_output(tmp_path)
    assert (replaced.ok, replaced.sentence) == (False, f"{tmp_path} lets a file be replaced.")


def test_a_store(tmp_path: Path) -> None:
    (none,) = doctor_storage.store(lambda: FileStore(tmp_path / "store"))
    assert none.ok and "no store yet" in none.sentence
    assert not (tmp_path / "store").exists(), "a look makes no store"
    store = FileStore(tmp_path / "store")
    known = initialize_store(store)
    (good,) = doctor_storage.store(lambda: store)
    assert good.ok and known.uuid in good.sentence and "creates exclusively" in good.sentence
    (refused,) = doctor_storage.store(lambda: open_store("ftp://somewhere"))
    assert refused.sentence.startswith("STORE_REFUSED: ") and refused.remedy == StoreRefused.remedy


def test_a_store_that_is_not_exclusive() -> None:
    class Careless(MemoryStore):
        def create(self, key: str, data: bytes) -> bytes | None:
            super().create(key, data)
            return None

    store = Careless()
    initialize_store(store)
    (finding,) = doctor_storage.store(lambda: store)
    assert (finding.ok, finding.sentence) == (False, "memory: let 2 of 2 create the same object.")


def test_a_store_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path / "store")
    initialize_store(store)

    def refuse(*_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", "/there")

    monkeypatch.setattr(FileStore, "create", refuse)
    (finding,) = doctor_storage.store(lambda: store)
    assert (finding.ok, finding.sentence) == (False, "Permission denied: /there.")


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 bytes"), (10_239, "10239 bytes"), (10_240, "10 KiB"), (5 << 40, "5120 GiB")]
)
def test_sizes_are_whole(count: int, words: str) -> None:
    assert size_words(count) == words
