"""Working directories: new for each attempt, private, removed afterwards; abandoned ones are found."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from proxx.contracts.errors import DiskFull, WorkUnusable
from proxx.files.workdir import abandoned_directories, default_parent, free_bytes, work_directory, working_in

JOB = "0123456789abcdef" * 4
REPO = Path(__file__).parents[2]

HOLDER = """
import sys, time
from pathlib import Path
from proxx.files.workdir import work_directory
with work_directory(Path(sys.argv[1]), "0123456789abcdef" * 4, 3) as work:
    (work / "part").write_bytes(b"12345")
    print(work, flush=True)
    time.sleep(600)
"""


@pytest.mark.clause("A3")
def test_a_directory_is_new_private_and_removed_afterwards(tmp_path: Path) -> None:
    with work_directory(tmp_path, JOB, 1) as first, work_directory(tmp_path, JOB, 1) as second:
        assert first != second
        for work in (first, second):
            assert work.is_absolute()
            assert work.name.startswith("proxx-01234567-1-")
            assert work.stat().st_mode & 0o777 == 0o700
            (work / "folder").mkdir()
            (work / "folder" / "clip.mov").write_bytes(b"x")
    assert not any(tmp_path.iterdir())


def test_a_directory_is_removed_when_the_job_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), work_directory(tmp_path, JOB, 1):
        raise KeyboardInterrupt
    assert not any(tmp_path.iterdir())


def test_the_default_parent_is_the_systems_temporary_folder() -> None:
    with work_directory(None, JOB, 12) as work:
        assert work.parent == Path(tempfile.gettempdir()) == default_parent()
        assert work.name.startswith("proxx-01234567-12-")
    assert not work.exists()


def test_a_missing_parent_stops_the_job(tmp_path: Path) -> None:
    with pytest.raises(WorkUnusable) as refused, work_directory(tmp_path / "gone", JOB, 1):
        pass
    assert refused.value.message == "The working directory cannot be created."
    assert str(tmp_path) in str(refused.value.detail)


def test_a_full_disk_is_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "no space", "somewhere")

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(DiskFull), work_directory(tmp_path, JOB, 1):
        pass


def test_an_abandoned_directory_is_listed_and_one_in_use_is_not(tmp_path: Path) -> None:
    (tmp_path / "proxx-tests-abc").mkdir()
    (tmp_path / "proxx-01234567-1-file").write_bytes(b"")
    (tmp_path / "proxx-01234567-1-link").symlink_to(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=REPO
    )
    assert holder.stdout is not None
    work = Path(holder.stdout.readline().strip())
    assert abandoned_directories(tmp_path) == ()
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=60)
    (left,) = abandoned_directories(tmp_path)
    assert (left.path, left.job, left.attempt, left.size) == (work, JOB[:8], 3, 5)
    assert abandoned_directories(tmp_path / "gone") == ()


def test_free_space_is_that_of_the_nearest_existing_folder(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert abs(free_bytes(tmp_path / "a" / "b") - status.f_bavail * status.f_frsize) < 1 << 30
    (tmp_path / "file").write_bytes(b"")
    assert free_bytes(tmp_path / "file" / "b") > 0


def test_errors_of_the_system_in_the_directory_become_failures(tmp_path: Path) -> None:
    with pytest.raises(WorkUnusable, match="cannot be used any more"), working_in(tmp_path):
        (tmp_path / "gone" / "log").open("ab")
    with pytest.raises(DiskFull), working_in(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), working_in(tmp_path / "work"):
        (tmp_path / "elsewhere" / "log").open("ab")
    with pytest.raises(BrokenPipeError), working_in(tmp_path):
        raise BrokenPipeError
