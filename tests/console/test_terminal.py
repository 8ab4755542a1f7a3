"""When a progress bar can be drawn."""

from __future__ import annotations

import io

import pytest

from proxx.console.terminal import on_a_terminal


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "term", "drawn"),
    [
        (Terminal(), "xterm", True),
        (Terminal(), "dumb", False),
        (Terminal(), "unknown", False),
        (Terminal(), "", False),
        (io.StringIO(), "xterm", False),
        (None, "xterm", False),
    ],
)
def test_a_bar_needs_a_terminal_that_moves_its_cursor(
    stream: io.StringIO | None, term: str, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", term)
    assert on_a_terminal() is drawn


def test_a_closed_stream_is_not_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    monkeypatch.setenv("TERM", "xterm")
    assert on_a_terminal() is False
