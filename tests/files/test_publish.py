"""Publishing on a file system: one writer wins, nothing is replaced, a final name only ever has a whole file."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from proxx.contracts.errors import DiskFull, OutputUnwritable, WorkUnusable
from proxx.files.publish import (
    Absent,
    Present,
    Published,
    Staged,
    abandoned_stages,
    content_of,
    existing_file,
    publish,
    stage_path,
    staged,
)

REPO = Path(__file__).parents[2]

PUBLISHER = """
import sys
from pathlib import Path
from proxx.files.publish import staged, publish
made, target = Path(sys.argv[1]), Path(sys.argv[2])
with staged(made, target) as whole:
    print("ready", flush=True)
    sys.stdin.readline()
    print(type(publish(whole, target)).__name__, flush=True)
"""


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def made_file(folder: Path, data: bytes = b"proxy") -> Path:
    path = folder / f"made-{uuid.uuid4().hex}"
    path.write_bytes(data)
    return path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def put(folder: Path, target: Path, data: bytes = b"proxy") -> Published | Present:
    with staged(made_file(folder, data), target) as whole:
        return publish(whole, target)


def publisher(made: Path, target: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(made), str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPO,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on a different file system than tmp_path."""
    shm = Path("/dev/shm")  # noqa: S108  (the one other file system every Linux has)
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("ONE FILE SYSTEM ONLY: the copy across file systems was not tested")
    with tempfile.TemporaryDirectory(dir=shm, prefix="proxx-tests-") as name:
        yield Path(name)


def failing(number: int) -> object:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number), "/machine/dependent")

    return fail


# --- from staging to the final name ----------------------------------------------------------------------


def test_a_file_is_published_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "card" / "a" / "A001.mov"
    made = made_file(tmp_path)
    with staged(made, target) as whole:
        assert whole == Staged(whole.path, sha256(b"proxy"), 5)
        assert whole.path.parent == target.parent
        assert not target.exists()
        assert publish(whole, target) == Published()
    assert target.read_bytes() == b"proxy"
    assert names(target.parent) == ["A001.mov"]
    assert target.stat().st_nlink == 1
    assert not made.exists()
    assert existing_file(target) == Present(sha256(b"proxy"))


def test_across_file_systems_the_bytes_are_copied_and_read_back(tmp_path: Path, elsewhere: Path) -> None:
    data = os.urandom(3 << 20)
    target = elsewhere / "A001.mov"
    made = made_file(tmp_path, data)
    with staged(made, target) as whole:
        assert (whole.sha256, whole.size) == (sha256(data), len(data))
        assert publish(whole, target) == Published()
    assert target.read_bytes() == data
    assert names(elsewhere) == ["A001.mov"]
    assert not made.exists()


def test_storage_that_returns_other_bytes_is_refused(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync_and_damage(descriptor: int) -> None:
        real(descriptor)
        for path in elsewhere.glob(".proxx-*"):
            path.write_bytes(b"damaged")

    monkeypatch.setattr(os, "fsync", fsync_and_damage)
    made = made_file(tmp_path)
    with pytest.raises(OutputUnwritable, match="returned other bytes"), staged(made, elsewhere / "A.mov"):
        pass
    assert names(elsewhere) == []
    assert made.exists()


@pytest.mark.clause("A2")
def test_of_eight_processes_one_wins(tmp_path: Path) -> None:
    target = tmp_path / "out" / "A001.mov"
    running = [publisher(made_file(tmp_path, b"from %d" % number), target) for number in range(8)]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60)[0].strip() for process in running]
    assert sorted(results) == ["Present"] * 7 + ["Published"]
    assert target.read_bytes() == b"from %d" % results.index("Published")
    assert names(target.parent) == ["A001.mov"]


@pytest.mark.clause("I7")
def test_a_worker_killed_before_the_link_leaves_no_final_name(tmp_path: Path) -> None:
    target = tmp_path / "out" / "A001.mov"
    process = publisher(made_file(tmp_path), target)
    process.kill()
    process.communicate(timeout=60)
    assert existing_file(target) == Absent()
    (left,) = abandoned_stages(target.parent)
    assert put(tmp_path, target) == Published(), "the leftover does not block the next attempt"
    assert abandoned_stages(target.parent) == (left,), "the next attempt leaves it alone"


# --- existing files are untouched ------------------------------------------------------------------------


def test_an_existing_file_keeps_its_bytes_times_and_inode(tmp_path: Path) -> None:
    target = tmp_path / "A001.mov"
    target.write_bytes(b"somebody's")
    before = target.stat()
    assert put(tmp_path, target) == Present(sha256(b"somebody's"))
    after = target.stat()
    assert (before.st_ino, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_ino,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
    assert target.read_bytes() == b"somebody's"


@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "link to folder", "pipe"])
def test_anything_but_a_regular_file_is_present_and_never_followed(tmp_path: Path, kind: str) -> None:
    target, other = tmp_path / "A001.mov", tmp_path / "other"
    match kind:
        case "folder":
            target.mkdir()
        case "link":
            other.write_bytes(b"other")
            target.symlink_to(other)
        case "dangling":
            target.symlink_to(other)
        case "link to folder":
            other.mkdir()
            target.symlink_to(other)
        case "pipe":
            os.mkfifo(target)
    before = os.lstat(target)
    assert existing_file(target) == Present(None)
    assert put(tmp_path, target) == Present(None)
    assert os.lstat(target).st_ino == before.st_ino
    assert kind != "dangling" or not other.exists()
    assert kind != "link" or other.read_bytes() == b"other"


def test_a_published_file_is_found_with_its_digest(tmp_path: Path) -> None:
    target = tmp_path / "A001.mov"
    assert put(tmp_path, target) == Published()
    assert put(tmp_path, target) == Present(sha256(b"proxy"))


def test_a_link_whose_answer_was_lost_counts_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def link_and_lose(path: Path, target: Path, **_: object) -> None:
        real(path, target)
        raise FileExistsError(errno.EEXIST, "exists", str(target))  # a resent request over NFS

    monkeypatch.setattr(os, "link", link_and_lose)
    assert put(tmp_path, tmp_path / "A001.mov") == Published()


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "-rf.mov",
        "a:b.mov",
        "concat:a.mov",
        "%03d.mov",
        "a'b\"c.mov",
        "line\nbreak.mov",
        "$(touch x).mov",
        "{source_name}.mov",
        "caf\u00e9.mov",
        "cafe\u0301.mov",
        "*[a-z]?.mov",
        ".hidden",
        "日本語 クリップ.mov",
        os.fsdecode(b"not-utf8-\xff.mov"),
        "x" * 251 + ".mov",
    ],
)
def test_any_name_that_a_file_system_allows(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out" / name
    target = folder / name
    assert existing_file(target) == Absent()
    assert put(tmp_path, target) == Published()
    assert names(folder) == [name]


def test_the_staged_name_is_short_hidden_and_in_the_same_folder(tmp_path: Path) -> None:
    path = stage_path(tmp_path / ("é" * 127), "0" * 32)
    assert path == tmp_path / f".proxx-{'0' * 32}.partial"
    assert len(path.name) < 64


# --- failures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["rename", "link"])
def test_a_full_disk_is_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str) -> None:
    target = tmp_path / "out" / "A001.mov"
    target.parent.mkdir()
    monkeypatch.setattr(Path if call == "rename" else os, call, failing(number))
    with pytest.raises(DiskFull) as full:
        put(tmp_path, target)
    assert full.value.message == "There is no space left for the output."
    assert "/machine/dependent" in str(full.value.detail)
    assert names(target.parent) == []


@pytest.mark.clause("T6")
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO, errno.ENAMETOOLONG, errno.EFBIG])
@pytest.mark.parametrize("call", ["rename", "link", "mkdir"])
def test_other_errors_are_output_unwritable_with_the_same_message_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    target = tmp_path / "out" / "A001.mov"
    if call != "mkdir":
        target.parent.mkdir()
    made = made_file(tmp_path)
    monkeypatch.setattr(Path if call in ("rename", "mkdir") else os, call, failing(number))
    with pytest.raises(OutputUnwritable) as refused, staged(made, target) as whole:
        publish(whole, target)
    assert os.strerror(number) not in refused.value.message
    assert str(tmp_path) not in refused.value.message
    assert os.strerror(number) in str(refused.value.detail)
    assert not target.exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_a_working_directory_that_cannot_be_read_is_work_unusable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    made = made_file(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(WorkUnusable) as refused:
        content_of(made)
    assert str(tmp_path) not in refused.value.message
    assert os.strerror(number) in str(refused.value.detail)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_working_directory_is_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    made = made_file(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(DiskFull):
        content_of(made)


def test_a_name_that_cannot_be_made_durable_is_not_reported_as_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "A001.mov"
    made = made_file(tmp_path)
    content = content_of(made)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OutputUnwritable), staged(made, target, content) as whole:
        publish(whole, target)
    assert existing_file(target) == Present(content.sha256)  # whole and announced: the next attempt keeps it


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may write; tests that run as root use it as another user."""
    with tempfile.TemporaryDirectory(prefix="proxx-tests-") as name:
        Path(name).chmod(0o777)
        before = os.geteuid()
        try:
            if before == 0:
                os.seteuid(65534)
            yield Path(name)
        finally:
            os.seteuid(before)


@pytest.mark.clause("T6")
def test_a_folder_without_permission(open_folder: Path) -> None:
    closed = open_folder / "out"
    closed.mkdir()
    (closed / "A002.mov").write_bytes(b"secret")
    (closed / "A002.mov").chmod(0)
    closed.chmod(0o500)
    assert existing_file(closed / "A001.mov") == Absent()
    assert existing_file(closed / "A002.mov") == Present(None), "it exists, though nobody may read it"
    for target in (closed / "A001.mov", closed / "card" / "A001.mov"):
        with pytest.raises(OutputUnwritable) as refused:
            put(open_folder, target)
        assert "Permission denied" in str(refused.value.detail)
    assert names(closed) == ["A002.mov"]
    closed.chmod(0)
    with pytest.raises(OutputUnwritable, match="cannot be checked"):
        existing_file(closed / "A001.mov")
    closed.chmod(0o700)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    assert existing_file(tmp_path / "out" / "A001.mov") == Absent()
    with pytest.raises(OutputUnwritable, match="folder cannot be created"):
        put(tmp_path, tmp_path / "out" / "A001.mov")


@pytest.mark.clause("T6")
@pytest.mark.parametrize("place", ["/", "/mnt", "/media", "/media/nobody", "/run/media/nobody", "/Volumes"])
def test_a_volume_that_is_not_mounted_does_not_become_a_folder(tmp_path: Path, place: str) -> None:
    volume = Path(place) / f"proxx-test-{uuid.uuid4().hex}"
    with pytest.raises(OutputUnwritable, match="seems not to be mounted"):
        put(tmp_path, volume / "proxies" / "A001.mov")
    assert not volume.exists()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links_a_file_is_renamed_without_replacing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", failing(number))
    target = tmp_path / "out" / "A001.mov"
    assert put(tmp_path, target, b"first") == Published()
    assert put(tmp_path, target, b"second") == Present(sha256(b"first"))
    target.unlink()
    target.symlink_to(tmp_path / "nowhere")
    assert put(tmp_path, target, b"third") == Present(None)
    assert names(target.parent) == ["A001.mov"]


def test_a_file_system_without_both_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OutputUnwritable, match="neither link nor rename without replacing"):
        put(tmp_path, tmp_path / "A001.mov")
    assert not (tmp_path / "A001.mov").exists()
    assert abandoned_stages(tmp_path) == ()


# --- real file systems -----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT ALLOWED TO MOUNT: a really full and a read-only disk were not tested")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_really_full(tmp_path: Path, small_disk: Path) -> None:
    made = made_file(tmp_path, os.urandom(1 << 20))
    with pytest.raises(DiskFull), staged(made, small_disk / "out" / "A001.mov"):
        pass
    assert names(small_disk / "out") == []
    assert made.exists()


@pytest.mark.clause("T6", lead=True)
def test_a_disk_that_is_really_read_only(tmp_path: Path, small_disk: Path) -> None:
    """On a disk that is mounted read-only: OUTPUT_UNWRITABLE, with the reason."""
    (small_disk / "out").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for target in (small_disk / "out" / "A001.mov", small_disk / "other" / "A001.mov"):
        assert existing_file(target) == Absent()
        with pytest.raises(OutputUnwritable, match=r"cannot be (written|created)") as refused:
            put(tmp_path, target)
        assert "Read-only" in str(refused.value.detail)
