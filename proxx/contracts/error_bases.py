"""The families of bad endings: what all outcomes share, and how far each reaches. `errors` has the outcomes.

Nobody parses messages: callers match the class or `code`. `message` holds no machine-dependent word (no
absolute work path, host, pid or time), because it is part of the fingerprinted core of a result; what varies
from machine to machine goes to `detail`, which only people and the envelope see.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(kw_only=True, eq=False)
class ProxxError(Exception):
    """The base of all domain failures. A bug is any other exception.

    code: stable, tested, never reused. status: the command's exit status. remedy: what a person can do.
    clip: index of the clip in the job, from 0. stage: where in the story of the job. exit: the exit status of
    the process that failed (negative: ended by that signal). log: the log's key in the store.
    """

    code: ClassVar[str] = "PROXX_ERROR"
    status: ClassVar[int] = 1
    remedy: ClassVar[str] = "Please report this: the error has no class of its own."

    message: str
    clip: int | None = None
    stage: str | None = None
    argv: tuple[str, ...] = ()
    exit: int | None = None
    log: str | None = None
    detail: str | None = None

    def __str__(self) -> str:
        where = f"clips[{self.clip}]: " if self.clip is not None else ""
        said = [f"{self.code}: {where}{self.message}"]
        if self.detail:
            said.append(f"({self.detail})")
        if self.log:
            said.append(f"Log: {self.log}.")
        said.append(self.remedy)
        return " ".join(said)


@dataclass(kw_only=True, eq=False)
class ClipFailure(ProxxError):
    """One clip cannot be made; the others are not affected. checks: (what, expected, found) so far."""

    checks: tuple[tuple[str, str, str], ...] = ()


class JobStopped(ProxxError):
    """Nothing that follows could be right: the job ends here, the remaining clips are NOT_RUN."""


class Refusal(ProxxError):
    """Nothing was begun and no attempt was used up."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: where (`clips[3].outputs[0].uri`, a file name), what, what to do."""

    path: str
    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.code}: {self.message}" + (f" {self.remedy}" if self.remedy else "")


@dataclass(kw_only=True, eq=False)
class InvalidInput(Refusal):
    """Input that cannot be used; `problems` names all of them at once, each by its path."""

    status: ClassVar[int] = 3
    problems: tuple[Problem, ...] = field(default=())

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.message} {self.remedy}", *(f"  {p}" for p in self.problems)]
        return "\n".join(lines)
