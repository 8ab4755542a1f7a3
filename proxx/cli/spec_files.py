"""Writes spec files: all of them or none, and never over an existing file."""

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

_EXISTS: Final = "this file already exists; a spec is never overwritten."
_MAX_STEM_BYTES: Final = 200  # of a file name without its extension


class SpecDestinationRefused(PreflightRefused):
    """`--spec` names a place where no spec can be written."""

    remedy = "Nothing was written."


@dataclass(frozen=True)
class SpecDestination:
    """The value of --spec. path: the spec file, or if `folder` is true the folder for one file per job."""

    path: Path
    folder: bool

    @classmethod
    def of(cls, option: str, *, several: bool) -> Self:
        """Reads the value of `--spec`. Raises SpecDestinationRefused if no spec can be written there."""
        path = Path(option)
        folder = path.is_dir() or option.endswith("/") or several
        if not folder and os.path.lexists(path):
            raise _refused(option, _EXISTS, "Choose another name.")
        if folder and os.path.lexists(path) and not path.is_dir():
            raise _refused(option, "it is a file, and a folder is needed.", "Choose a folder.")
        parent = path.absolute().parent
        if not parent.is_dir():
            raise _refused(option, f"the folder {parent} does not exist.", "Create it, or choose another.")
        return cls(path, folder)

    def write(self, jobs: Sequence[JobSpec]) -> tuple[Path, ...]:
        """Writes one file per job and returns their paths in order.

        Raises SpecDestinationRefused if one cannot be written; the files already written are then removed.
        """
        paths = tuple(self.path / f"{file_name(job.name)}.json" if self.folder else self.path for job in jobs)
        written: list[Path] = []
        try:
            if self.folder:
                self.path.mkdir(exist_ok=True)
            for path, job in zip(paths, jobs, strict=True):
                write_new_file(path, spec_bytes(job))
                written.append(path)
        except BaseException as error:
            for path in written:
                with suppress(OSError):
                    path.unlink()
            if isinstance(error, FileExistsError):
                raise _refused(str(error.filename), _EXISTS, "Choose another --spec.") from error
            if isinstance(error, OSError):
                message = f"cannot be written: {error.strerror}."
                raise _refused(str(self.path), message, "Choose another place.") from error
            raise
        return paths


def file_name(name: str) -> str:
    """Returns a job's name as a file name: no separator, nothing unprintable, no leading dot, dash or space."""
    text = "".join(letter if letter.isprintable() and letter != "/" else "_" for letter in name)
    if text[:1] in (".", "-", " "):
        text = f"_{text[1:]}"
    return text.encode()[:_MAX_STEM_BYTES].decode(errors="ignore")


def _refused(path: str, message: str, remedy: str) -> SpecDestinationRefused:
    problem = Problem(f"--spec {path}", PreflightRefused.code, message, remedy)
    return SpecDestinationRefused(message="The spec cannot be written there.", problems=(problem,))
