"""Failures as the command shows them: code, message, every problem and what to do; or the same as JSON."""

from __future__ import annotations

import re
import traceback
from typing import Final

from proxx.console.exit_status import ENVIRONMENT
from proxx.console.output import err, out_json
from proxx.console.wording import safe
from proxx.contracts.canonical import Json, canonical_bytes, read_json
from proxx.contracts.error_bases import Problem, ProxxError, WithProblems
from proxx.contracts.errors import AttemptClosed, Interrupted, Locked, OutputClaimed

ATTACHMENTS: Final = "with this text and the output of `proxx doctor`"
_CLIP: Final = re.compile(r"^clips\[(\d+)\] ")


def report_failure(error: ProxxError, *, as_json: bool) -> int:
    """Shows a domain failure and returns its exit status."""
    if as_json:
        out_json({"error": failure_data(error)})
        return error.status
    clip = f"clip {error.clip + 1}: " if error.clip is not None else ""
    err(f"proxx: {error.code}: {clip}{safe(error.message)}")
    if error.detail:
        err(f"  ({safe(error.detail)})")
    if isinstance(error, WithProblems):
        for problem in error.problems:
            err(f"  {problem_line(problem, error.code)}")
    if error.log:
        err(f"  Log: {safe(error.log)}")
    err(f"  {safe(_remedy(error))}")
    for note in getattr(error, "__notes__", ()):
        err(f"  {safe(note)}")
    return error.status


def problem_line(problem: Problem, of_error: str) -> str:
    """Returns `path: CODE: message remedy`, without the code if it is that of the error, which is printed before.

    A path that begins with a clip and its file is printed as `clip 1 file`; the path of a field of a spec stays.
    """
    path = _CLIP.sub(lambda clip: f"clip {int(clip[1]) + 1} ", safe(problem.path))
    code = f"{problem.code}: " if problem.code != of_error else ""
    line = f"{path}: {code}{safe(problem.message)}"
    return f"{line} {safe(problem.remedy)}" if problem.remedy else line


def _remedy(error: ProxxError) -> str:
    """Returns what a person can do. `run` records an interruption in its result; other verbs raise it."""
    return "Repeat the command when ready." if isinstance(error, Interrupted) else error.remedy


def failure_data(error: ProxxError) -> dict[str, Json]:
    """Returns the failure as JSON: code, message and remedy, and every other field that is set."""
    data: dict[str, Json] = {"code": error.code, "message": error.message, "remedy": _remedy(error)}
    optional: dict[str, Json] = {
        "detail": error.detail,
        "clip": error.clip,
        "stage": error.stage,
        "exit": error.exit,
        "log": error.log,
    }
    data |= {key: value for key, value in optional.items() if value is not None}
    match error:
        case WithProblems(problems=problems):
            data["problems"] = [
                {"path": p.path, "code": p.code, "message": p.message, "remedy": p.remedy} for p in problems
            ]
        case OutputClaimed(owner=owner, output=output):
            data |= {"owner": owner, "output": output}
        case Locked(run_id=run_id, since=since):
            data |= {"run_id": run_id, "since": since}
        case AttemptClosed(result=result, run_id=run_id):
            data |= {"run_id": run_id, "result": _as_json(result)}
    return data


def report_os_error(error: OSError, *, as_json: bool) -> int:
    """Shows an error of the operating system that has no error class in proxx; returns the exit status."""
    file = f"{error.filename}: " if error.filename is not None else ""
    message = f"{file}{error.strerror or error}"
    if as_json:
        remedy = "Fix what the operating system reports, then try again."
        out_json({"error": {"code": "SYSTEM_ERROR", "message": message, "remedy": remedy}})
    else:
        err(f"proxx: {safe(message)}")
    return ENVIRONMENT


def report_bug(error: BaseException, *, as_json: bool) -> None:
    """Shows a bug of proxx with its traceback; no other failure prints one."""
    for chunk in traceback.format_exception(error):
        for line in chunk.rstrip("\n").split("\n"):
            err(safe(line))
    err(f"proxx: this is a bug in proxx. Please report it {ATTACHMENTS}.")
    if as_json:
        message = f"{type(error).__name__}: {error}"
        out_json({"error": {"code": "BUG", "message": message, "remedy": f"Please report it {ATTACHMENTS}."}})


def _as_json(value: object) -> Json:
    return read_json(canonical_bytes(value)) if value is not None else None  # type: ignore[arg-type]  # it is JSON
