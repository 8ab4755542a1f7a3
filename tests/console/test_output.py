"""Writing to standard output and standard error: broken streams, tables, JSON."""

from __future__ import annotations

import errno
import io
import json

import pytest

from proxx.console.output import err, facts, out, out_json, table, take_lost_output

Capture = pytest.CaptureFixture[str]


class FailingStream(io.StringIO):
    """A stream whose every write raises `error`."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str) -> int:
        raise self.error


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_stream_raises_nothing(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for value in (closed, None):
        monkeypatch.setattr(f"sys.{stream}", value)
        out("lost")
        err("lost")
        take_lost_output()


def test_lost_output_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", FailingStream(OSError(errno.ENOSPC, "No space left on device")))
    out("lost")
    lost = take_lost_output()
    assert lost is not None
    assert "No space left" in lost
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert take_lost_output() is None


def test_a_reader_that_closed_its_pipe_lost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", FailingStream(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    out("not wanted")
    assert take_lost_output() is None


def test_columns_are_aligned_and_the_last_is_not_padded(capsys: Capture) -> None:
    table(("JOB", "DETAILS"), [("0123", "a"), ("1", "")])
    assert capsys.readouterr().out == "JOB   DETAILS\n0123  a\n1\n"
    facts({"job": "1", "outputs": "2"})
    assert capsys.readouterr().out == "job      1\noutputs  2\n"


def test_json_is_ascii(capsys: Capture) -> None:
    out_json({"name": "Ä\u202e"})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {"name": "Ä\u202e"}
