"""Which jobs are meant: by spec files, folders of them and ids, or by what their latest attempt failed of.

Specs are read one at a time, and of each only what names it is kept: a thousand take no more memory than one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from proxx.console.settings import resolve_job_id
from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import InvalidInput, Problem
from proxx.contracts.errors import JobUnknown, SpecInvalid, StoreDamaged
from proxx.contracts.job import read_spec
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx.store.keys import JOBS, is_job_id, spec_key


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedJob:
    """One attempt of one job. spec: its file, or None for the store's own copy."""

    job_id: str
    attempt: int
    spec: Path | None

    @property
    def label(self) -> str:
        return str(self.spec) if self.spec is not None else self.job_id

    def read(self, store: Store) -> bytes:
        """The bytes of the spec. Raises SpecInvalid, JobUnknown."""
        if self.spec is not None:
            return spec_data(self.spec)
        data = store.read(spec_key(self.job_id))
        if data is None:
            raise JobUnknown(message="the job's spec is not in this store", detail=f"{self.job_id} in {store.uri}")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJob:
    """A job whose latest attempt failed. failures: how many of them had the code. message: of the first."""

    job_id: str
    attempt: int
    ended: str
    failures: int
    message: str


def spec_data(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as why:
        problem = Problem(str(path), SpecInvalid.code, f"{why.strerror or why}.")
        raise SpecInvalid(message="The spec file cannot be read.", problems=(problem,)) from why


def spec_files(said: Sequence[Path]) -> tuple[Path, ...]:
    """Each file as it was said, and of a folder each `.json` file in it, by name. Raises SpecInvalid."""
    found: list[Path] = []
    problems: list[Problem] = []
    for path in said:
        if not path.is_dir():
            found.append(path)
            continue
        try:
            inside = sorted(each for each in path.iterdir() if each.suffix == ".json" and each.name[0] != ".")
        except OSError as why:
            problems.append(Problem(str(path), SpecInvalid.code, f"{why.strerror or why}."))
            continue
        if not inside:
            problems.append(Problem(str(path), SpecInvalid.code, "There is no .json file in this folder."))
        found += inside
    if problems:
        raise SpecInvalid(message="Nothing was submitted.", problems=tuple(problems))
    return tuple(found)


def read_selection(
    paths: Sequence[Path], store: Store, attempt: int, tell: Callable[[Path, int], None]
) -> tuple[SelectedJob, ...]:
    """The jobs of these specs, or with these ids: what is no file and could be an id names a job of the store.

    Raises SpecInvalid with every problem of every spec: then none is registered.
    """
    found: list[SelectedJob] = []
    problems: list[Problem] = []
    bad = 0
    for count, path in enumerate(paths):
        tell(path, count)
        try:
            if could_be_an_id(path):
                found.append(SelectedJob(job_id=resolve_job_id(str(path), store), attempt=attempt, spec=None))
            else:
                found.append(SelectedJob(job_id=read_spec(spec_data(path)).job_id, attempt=attempt, spec=path))
        except JobUnknown as why:
            bad += 1
            said = f"is no file, and no job of the store: {why.detail or why.message}."
            problems.append(Problem(str(path), why.code, said, why.remedy))
        except InvalidInput as why:
            bad += 1
            told = why.problems or (Problem("", why.code, why.message),)
            problems += (_in_file(path, problem) for problem in told)
    if problems:
        which = "The spec" if len(paths) == 1 else f"{bad:,} of {len(paths):,} specs"
        raise SpecInvalid(message=f"{which} cannot be used, so nothing was submitted.", problems=tuple(problems))
    return tuple(found)


def could_be_an_id(path: Path) -> bool:
    """Whether it is written as a job's id or the beginning of one, and nothing of that name is here."""
    return re.fullmatch(r"[0-9a-f]{4,64}", str(path)) is not None and not path.exists()


def failed_with(store: Store, code: str, since: date) -> Iterator[FailedJob]:
    """Jobs whose latest attempt ended on that day (UTC) or later with a failure of this code, by id.

    The ledgers are read, not the index: an index may lack what the ledger has. A damaged job is left out: its
    next attempt could not begin.
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
    """Those of the clips, and what stopped the job where that is not one of them."""
    clips = result.get("clips")
    told = []
    for clip in clips if isinstance(clips, list) else ():
        if isinstance(clip, dict) and isinstance(failure := clip.get("failure"), dict):
            told.append(failure)
    yield from told
    if isinstance(stopped := result.get("stopped"), dict) and stopped not in told:
        yield stopped


def _in_file(path: Path, problem: Problem) -> Problem:
    inner = "" if problem.path in ("", str(path)) else f": {problem.path}"
    return Problem(f"{path}{inner}", problem.code, problem.message, problem.remedy)
