"""The refusal of a source at creation: a whole sentence, and a remedy for somebody who has no job yet."""

from __future__ import annotations

import pytest

from proxx.contracts.error_bases import ClipFailure
from proxx.contracts.errors import (
    DecodeFailed,
    OutputUnwritable,
    SourceChanged,
    SourceMissing,
    SourceUnreadable,
    SourceUnsupported,
    TimecodeMismatch,
)
from proxx.create.examine import UnexpectedFileError
from proxx.create.refusals import refusal_message, refusal_problem


@pytest.mark.parametrize(
    "kind",
    [SourceMissing, SourceChanged, SourceUnsupported, TimecodeMismatch, OutputUnwritable],
    ids=lambda kind: kind.code,
)
def test_a_remedy_at_creation_mentions_no_attempt_spec_or_log(kind: type[ClipFailure]) -> None:
    remedy = refusal_problem("A001.mov", kind(message="it fails")).remedy
    assert remedy.endswith(".")
    assert not any(word in remedy for word in ("attempt", "spec", "log", "published", "named"))


@pytest.mark.parametrize("kind", [SourceUnreadable, DecodeFailed, UnexpectedFileError])
def test_other_failures_keep_their_own_remedy(kind: type[ClipFailure]) -> None:
    assert refusal_problem("A001.mov", kind(message="it fails", detail="where")).remedy == kind.remedy


def test_a_message_is_a_whole_sentence() -> None:
    assert refusal_message(SourceMissing(message="the file is not there")) == "The file is not there."
    assert refusal_message(SourceMissing(message="There is no such file.")) == "There is no such file."


def test_only_an_unexpected_error_shows_its_detail() -> None:
    expected = refusal_problem("A001.mov", SourceUnreadable(message="it fails", detail="/private/path"))
    assert expected.message == "It fails."
    unexpected = refusal_problem("A001.mov", UnexpectedFileError(message="it fails", detail="too short"))
    assert unexpected.message == "It fails. Detail: too short."
