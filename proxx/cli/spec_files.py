"""Where spec files go: made exclusively, whole, all of them or none; what stands there is never replaced."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import PreflightRefused
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.files.durable import write_new_file

_LONGEST: Final = 200  # bytes of a file name without its ending


@dataclass(frozen=True)
class SpecDestination:
    """path: the spec file, or with `folder` the folder that gets one file a job."""

    path: Path
    folder: bool

    @classmethod
    def of(cls, said: str, *, several: bool) -> Self:
        """What `--spec` means. Raises PreflightRefused where nothing could be written there."""
        path = Path(said)
        folder = path.is_dir() or said.endswith("/") or several
        if not folder and os.path.lexists(path):
            raise _refused(said, "there is a file already; specs are never replaced.", "Give another name.")
        if folder and os.path.lexists(path) and not path.is_dir():
            raise _refused(said, "several jobs need a folder, and this is a file.", "Name a folder.")
        above = path.absolute().parent
        if not above.is_dir():
            raise _refused(said, f"the folder {above} does not exist.", "Make it, or name another.")
        return cls(path, folder)

    def write(self, jobs: Sequence[JobSpec]) -> tuple[Path, ...]:
        """The files written, one a job in order. Raises PreflightRefused; then none is left."""
        paths = tuple(self.path / f"{file_name(job.name)}.json" if self.folder else self.path for job in jobs)
        made: list[Path] = []
        try:
            if self.folder:
                self.path.mkdir(exist_ok=True)
            for path, job in zip(paths, jobs, strict=True):
                write_new_file(path, spec_bytes(job))
                made.append(path)
        except BaseException as why:
            for path in made:
                with suppress(OSError):
                    path.unlink()
            if isinstance(why, FileExistsError):
                raise _refused(
                    str(why.filename), "there is a file already; specs are never replaced.", "Give another --spec."
                ) from why
            if isinstance(why, OSError):
                raise _refused(str(self.path), f"cannot be written: {why.strerror}.", "Name another place.") from why
            raise
        return paths


def file_name(name: str) -> str:
    """A job's name as a file's: no separator, nothing invisible, no leading dot or dash."""
    text = "".join(letter if letter.isprintable() and letter != "/" else "_" for letter in name)
    if text[:1] in (".", "-", " "):
        text = f"_{text[1:]}"
    return text.encode()[:_LONGEST].decode(errors="ignore")


def _refused(path: str, message: str, remedy: str) -> PreflightRefused:
    problem = Problem(f"--spec {path}", PreflightRefused.code, message, remedy)
    return PreflightRefused(message="The spec cannot be written there.", problems=(problem,))
