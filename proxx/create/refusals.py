"""Words the refusal of a source at creation: what is wrong, and what to do before a job exists."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxx.contracts.error_bases import ClipFailure, Problem
from proxx.contracts.errors import (
    OutputUnwritable,
    SourceChanged,
    SourceMissing,
    SourceUnsupported,
    TimecodeMismatch,
)
from proxx.create.examine import UnexpectedFileError

CORRECT_THE_COMMAND: Final = "Correct the command. Nothing was written."
"""The remedy of a creation that is refused for its options or its list of sources, and not for what is in a file."""

_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        SourceMissing.code: "Check that the file is still there and its volume is mounted, then create again.",
        SourceChanged.code: "Wait until the file is complete, then create again.",
        SourceUnsupported.code: "Choose another profile or toolchain, convert the file to a supported movie format, "
        "or leave it out with --leave-out-refused.",
        TimecodeMismatch.code: "Correct the timecode in a copy of the file, or leave the file out with "
        "--leave-out-refused.",
        OutputUnwritable.code: "Choose another --template or --output.",
    }
)
"""Remedies that differ at creation from those of a run: there is no spec, no attempt and no log yet."""


def refusal_message(failure: ClipFailure) -> str:
    """Returns the failure's message as a whole sentence, without anything that varies between machines."""
    return failure.message[:1].upper() + failure.message[1:].rstrip(".") + "."


def refusal_problem(given: str, failure: ClipFailure) -> Problem:
    """Returns the problem that reports a refused source. given: the source's path as the user wrote it.

    A remedy that the failure was raised with is more specific than the one for its code, and is kept.
    """
    message = refusal_message(failure)
    if isinstance(failure, UnexpectedFileError):
        message = f"{message} Detail: {failure.detail}."
    remedy = failure.remedy
    if remedy == type(failure).remedy:
        remedy = _REMEDIES.get(failure.code, remedy)
    return Problem(given, failure.code, message, remedy)
