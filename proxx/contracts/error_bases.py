"""The families of failures: the fields that all of them have, and how far each reaches. `errors` has the failures.

Callers match the class or `code` and never parse a message. `message` contains nothing that depends on the machine
(no absolute work path, host, pid or time), because it is part of the fingerprinted core of a result. What varies
from machine to machine goes to `detail`, which only people and the envelope see.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

_NO_REMEDY: Final = "Please report this: the error has no class of its own."


@dataclass(kw_only=True, eq=False)
class ProxxError(Exception):
    """The base of all domain failures. Any other exception is a bug.

    code: stable, tested, never reused. status: the command's exit status. remedy: what a person can do; by default
    the class's sentence. clip: index of the clip in the job, from 0. stage: the step of the job.
    exit: exit status of the process that failed (negative: ended by that signal). log: the log's key in the store.
    """

    code: ClassVar[str] = "PROXX_ERROR"
    status: ClassVar[int] = 1

    message: str
    clip: int | None = None
    stage: str | None = None
    argv: tuple[str, ...] = ()
    exit: int | None = None
    log: str | None = None
    detail: str | None = None
    remedy: str = _NO_REMEDY

    def __post_init__(self) -> None:
        if self.remedy == _NO_REMEDY:
            self.remedy = type(self).remedy

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles by fields, because Exception's own method calls the class without keyword arguments."""
        return _without_fields, (type(self),), dict(vars(self))

    def __str__(self) -> str:
        where = f"clips[{self.clip}]: " if self.clip is not None else ""
        parts = [f"{self.code}: {where}{self.message}"]
        if self.detail:
            parts.append(f"({self.detail})")
        if self.log:
            parts.append(f"Log: {self.log}.")
        parts.append(self.remedy)
        return " ".join(parts)


E = TypeVar("E", bound=ProxxError)


def _without_fields(kind: type[E]) -> E:
    return kind.__new__(kind)


@dataclass(kw_only=True, eq=False)
class ClipFailure(ProxxError):
    """One clip cannot be made; the others are not affected. checks: (name, expected, found) so far."""

    checks: tuple[tuple[str, str, str], ...] = ()


class JobStopped(ProxxError):
    """No later clip could be right: the job ends here and its remaining clips are NOT_RUN."""


class EnvironmentFailure(ProxxError):
    """This machine or its installation cannot make the job's bytes.

    Raised before an attempt begins, which is then refused and not used up, or while a clip is made, which then stops
    the job like JobStopped.
    """

    status: ClassVar[int] = 6


class Refusal(ProxxError):
    """Nothing was begun, and no attempt was used up."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input. path: the field or file (`clips[3].outputs[0].uri`, `A001.mov`)."""

    path: str
    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.code}: {self.message}" + (f" {self.remedy}" if self.remedy else "")


@dataclass(kw_only=True, eq=False)
class WithProblems(ProxxError):
    """A failure that lists all its problems at once, each with its path."""

    problems: tuple[Problem, ...] = field(default=())

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.message} {self.remedy}", *(f"  {problem}" for problem in self.problems)]
        return "\n".join(lines)


class InvalidInput(WithProblems, Refusal):
    """The input cannot be used."""

    status: ClassVar[int] = 3


class ComparisonFailed(WithProblems):
    """What was compared after a job differs, or could not be compared. The job's own result stands."""

    status: ClassVar[int] = 5
