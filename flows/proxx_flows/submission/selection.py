"""Which jobs to submit: by spec file, by folder, by id, or by the code with which the latest attempt failed.

Specs are read one at a time and only their ids are kept, so a thousand specs take no more memory than one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from proxx.console.settings import read_spec_file, resolve_job_id
from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import InvalidInput, Problem
from proxx.contracts.errors import JobUnknown, SpecInvalid, StoreDamaged
from proxx.contracts.job import read_spec
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx.store.keys import JOBS, is_job_id, spec_key


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedJob:
    """One attempt of one job. spec: the spec file, or None to use the copy in the store."""

    job_id: str
    attempt: int
    spec: Path | None

    def read(self, store: Store) -> bytes:
        """Returns the bytes of the spec. Raises SpecInvalid or JobUnknown."""
        if self.spec is not None:
            return read_spec_file(self.spec)
        data = store.read(spec_key(self.job_id))
        if data is None:
            raise JobUnknown(message="the job's spec is not in this store", detail=f"{self.job_id} in {store.uri}")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJob:
    """A job whose latest attempt failed. ended: when (RFC 3339, UTC). failures: how many have the code.

    message: of the first of them.
    """

    job_id: str
    attempt: int
    ended: str
    failures: int
    message: str


def spec_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Returns the spec files of these files and folders: of a folder, its `.json` files by name.

    Raises SpecInvalid if a folder cannot be read or has no such file.
    """
    files: list[Path] = []
    problems: list[Problem] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        try:
            inside = sorted(entry for entry in path.iterdir() if entry.suffix == ".json" and entry.name[0] != ".")
        except OSError as error:
            problems.append(Problem(str(path), SpecInvalid.code, f"{error.strerror or error}."))
            continue
        if not inside:
            problems.append(Problem(str(path), SpecInvalid.code, "There is no .json file in this folder."))
        files += inside
    if problems:
        raise SpecInvalid(message="Nothing was submitted.", problems=tuple(problems))
    return tuple(files)


def read_selection(
    paths: Sequence[Path], store: Store, attempt: int, on_progress: Callable[[Path, int], None]
) -> tuple[SelectedJob, ...]:
    """Returns the jobs with these specs or ids. A path that is no file and looks like a job id is taken as one.

    on_progress: called before each path is read, with the number of paths read so far.
    Raises SpecInvalid with every problem of every spec; then none is registered.
    """
    selected: list[SelectedJob] = []
    problems: list[Problem] = []
    bad = 0
    for count, path in enumerate(paths):
        on_progress(path, count)
        try:
            if could_be_an_id(path):
                selected.append(SelectedJob(job_id=resolve_job_id(str(path), store), attempt=attempt, spec=None))
            else:
                job_id = read_spec(read_spec_file(path)).job_id
                selected.append(SelectedJob(job_id=job_id, attempt=attempt, spec=path))
        except JobUnknown as error:
            bad += 1
            message = f"There is no such file, and no such job in the store: {error.detail or error.message}."
            problems.append(Problem(str(path), error.code, message, error.remedy))
        except InvalidInput as error:
            bad += 1
            inner = error.problems or (Problem("", error.code, error.message),)
            problems += (_in_file(path, problem) for problem in inner)
    if problems:
        subject = "The spec" if len(paths) == 1 else f"{bad:,} of {len(paths):,} specs"
        raise SpecInvalid(message=f"{subject} cannot be used, so nothing was submitted.", problems=tuple(problems))
    return tuple(selected)


def could_be_an_id(path: Path) -> bool:
    """Returns whether the path looks like a job id or the beginning of one, and no file or folder has this name."""
    return re.fullmatch(r"[0-9a-f]{4,64}", str(path)) is not None and not path.exists()


def failed_with(store: Store, code: str, since: date) -> Iterator[FailedJob]:
    """Yields the jobs whose latest attempt ended with a failure of this code on that day (UTC) or later, by id.

    Reads the ledgers, not the index, which may lack entries that a ledger has. Leaves out damaged jobs: their next
    attempt could not begin.
    """
    for job_id in store.children(JOBS):
        if not is_job_id(job_id):
            continue
        try:
            attempts = read_attempts(store, job_id)
            state = attempts[-1].state if attempts else None
        except StoreDamaged:
            continue
        if not isinstance(state, Closed) or state.result is None or state.last.envelope.time[:10] < since.isoformat():
            continue
        failures = [failure for failure in _failures(state.result) if failure.get("code") == code]
        if state.result.get("status") == "FAILED" and failures:
            yield FailedJob(
                job_id=job_id,
                attempt=attempts[-1].number,
                ended=state.last.envelope.time,
                failures=len(failures),
                message=str(failures[0].get("message", "")),
            )


def _failures(result: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """Yields the failures of the clips, then the one that stopped the job unless a clip has it."""
    clips = result.get("clips")
    of_clips = []
    for clip in clips if isinstance(clips, list) else ():
        if isinstance(clip, dict) and isinstance(failure := clip.get("failure"), dict):
            of_clips.append(failure)
    yield from of_clips
    if isinstance(stopped := result.get("stopped"), dict) and stopped not in of_clips:
        yield stopped


def _in_file(path: Path, problem: Problem) -> Problem:
    inner = "" if problem.path in ("", str(path)) else f": {problem.path}"
    return Problem(f"{path}{inner}", problem.code, problem.message, problem.remedy)
