"""The check of a source: it exists, can be read, has its size and bytes; the reader ends with its block."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from proxx.contracts.errors import Interrupted, SourceChanged, SourceMissing, SourceUnreadable
from proxx.contracts.fingerprint import digest_bytes
from proxx.contracts.recipe import SourceFile
from proxx.files.roots import OnDisk
from proxx.files.source import read_beside, require_source_file

DATA = b"frames" * 500_000  # three chunks


def never() -> bool:
    return False


def file_of(path: Path, data: bytes = DATA) -> SourceFile:
    path.write_bytes(data)
    return SourceFile(uri=str(path), size=len(data), digest=digest_bytes(data), role="picture")


def test_an_unchanged_source_passes(tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.mov")
    with read_beside(require_source_file(OnDisk(Path(file.uri)), file), file) as reader:
        reader.settle(never)


def test_a_missing_source(tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.mov")
    (tmp_path / "a.mov").unlink()
    with pytest.raises(SourceMissing) as caught:
        require_source_file(OnDisk(Path(file.uri)), file)
    assert str(tmp_path) not in caught.value.message


def test_a_folder_instead_of_a_source(tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.mov")
    (tmp_path / "a.mov").unlink()
    (tmp_path / "a.mov").mkdir()
    with pytest.raises(SourceUnreadable):
        require_source_file(OnDisk(Path(file.uri)), file)


def test_a_different_size_is_refused_before_reading(tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.mov")
    with (tmp_path / "a.mov").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(SourceChanged) as caught:
        require_source_file(OnDisk(Path(file.uri)), file)
    assert caught.value.detail == f"{len(DATA) + 1} bytes, not {len(DATA)}"


@pytest.mark.parametrize("place", [0, len(DATA) // 2, len(DATA) - 1])
def test_one_changed_byte_is_refused(tmp_path: Path, place: int) -> None:
    file = file_of(tmp_path / "a.mov")
    data = bytearray(DATA)
    data[place] ^= 1
    (tmp_path / "a.mov").write_bytes(data)
    with read_beside(require_source_file(OnDisk(Path(file.uri)), file), file) as reader, pytest.raises(SourceChanged):
        reader.settle(never)


def test_a_source_that_is_deleted_before_it_is_read(tmp_path: Path) -> None:
    file = file_of(tmp_path / "a.mov")
    path = require_source_file(OnDisk(Path(file.uri)), file)
    path.unlink()
    with read_beside(path, file) as reader, pytest.raises(SourceUnreadable):
        reader.settle(never)


def touch(path: Path) -> None:
    os.utime(path)


def write_after_the_reader(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"F")


def replace_by_a_copy(path: Path) -> None:
    other = path.with_name("other.mov")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize("change", [touch, write_after_the_reader, replace_by_a_copy, Path.unlink])
def test_a_source_that_changes_after_it_was_read_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """The reader has reached the end of the file, ffmpeg has not."""
    file = file_of(tmp_path / "a.mov")
    path = require_source_file(OnDisk(Path(file.uri)), file)
    with read_beside(path, file) as reader:
        reader.settle(never)
        change(path)
        with pytest.raises(SourceChanged, match="while it was read"):
            reader.settle(never)


def test_no_thread_outlives_its_block(tmp_path: Path) -> None:
    """The source is a pipe that stays open: the reader waits and is stopped."""
    pipe = tmp_path / "a.mov"
    os.mkfifo(pipe)
    file = SourceFile(uri=str(pipe), size=0, digest=digest_bytes(b""), role="picture")
    keep = os.open(pipe, os.O_RDWR)
    os.write(keep, b"x" * 4096)
    before = threading.active_count()
    try:
        with read_beside(pipe, file) as reader, pytest.raises(Interrupted):
            closer = threading.Timer(0.3, os.close, (keep,))
            closer.start()
            reader.settle(lambda: True)
            closer.join()
    finally:
        closer.join()
    assert threading.active_count() == before
