"""A failure as the command shows it: code, sentence, every problem, what to do; or the same as JSON."""

from __future__ import annotations

import traceback
from typing import Final

from proxx.console.exit_status import ENVIRONMENT
from proxx.console.output import err, out_json
from proxx.console.wording import safe
from proxx.contracts.canonical import Json
from proxx.contracts.error_bases import InvalidInput, Problem, ProxxError
from proxx.contracts.errors import AttemptClosed, Locked, OutputClaimed

ISSUES: Final = "with this text and the output of `proxx doctor`"


def report_failure(error: ProxxError, *, as_json: bool) -> int:
    """Show a domain failure; the exit status it asks for."""
    if as_json:
        out_json({"error": failure_data(error)})
        return error.status
    where = f"clips[{error.clip}]: " if error.clip is not None else ""
    err(f"proxx: {error.code}: {where}{safe(error.message)}")
    if error.detail:
        err(f"  ({safe(error.detail)})")
    if isinstance(error, InvalidInput):
        for problem in error.problems:
            err(f"  {problem_line(problem)}")
    if error.log:
        err(f"  Log: {safe(error.log)}")
    err(f"  {safe(error.remedy)}")
    for note in getattr(error, "__notes__", ()):
        err(f"  {safe(note)}")
    return error.status


def problem_line(problem: Problem) -> str:
    said = f"{safe(problem.path)}: {problem.code}: {safe(problem.message)}"
    return f"{said} {safe(problem.remedy)}" if problem.remedy else said


def failure_data(error: ProxxError) -> dict[str, Json]:
    """What programs get. Only keys that say something beside code, message and remedy."""
    data: dict[str, Json] = {"code": error.code, "message": error.message, "remedy": error.remedy}
    named: dict[str, Json] = {
        "detail": error.detail,
        "clip": error.clip,
        "stage": error.stage,
        "exit": error.exit,
        "log": error.log,
    }
    data |= {key: value for key, value in named.items() if value is not None}
    match error:
        case InvalidInput(problems=problems):
            data["problems"] = [
                {"path": p.path, "code": p.code, "message": p.message, "remedy": p.remedy} for p in problems
            ]
        case OutputClaimed(owner=owner, output=output):
            data |= {"owner": owner, "output": output}
        case Locked(run_id=run_id, since=since):
            data |= {"run_id": run_id, "since": since}
        case AttemptClosed(result=result, run_id=run_id):
            data |= {"run_id": run_id, "result": _plain(result)}
    return data


def report_os_error(why: OSError, *, as_json: bool) -> int:
    """Show what the system refused where no better name exists for it."""
    where = f"{why.filename}: " if why.filename is not None else ""
    said = f"{where}{why.strerror or why}"
    if as_json:
        remedy = "Mend what the system complains of, then try again."
        out_json({"error": {"code": "SYSTEM_ERROR", "message": said, "remedy": remedy}})
    else:
        err(f"proxx: {safe(said)}")
    return ENVIRONMENT


def report_bug(why: BaseException, *, as_json: bool) -> None:
    """Show a bug whole: only here a traceback is printed."""
    for text in traceback.format_exception(why):
        for part in text.rstrip("\n").split("\n"):
            err(safe(part))
    err(f"proxx: this is a bug. Please report it {ISSUES}.")
    if as_json:
        said = f"{type(why).__name__}: {why}"
        out_json({"error": {"code": "BUG", "message": said, "remedy": f"Please report it {ISSUES}."}})


def _plain(value: object) -> Json:
    from proxx.contracts.canonical import canonical_bytes, read_json

    return read_json(canonical_bytes(value)) if value is not None else None  # type: ignore[arg-type]  # JSON it is
