"""`make-proxies` looks up its toolchain once and passes it on, because every look-up hashes both programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.logging import disable_run_logger
from proxx_flows.make_proxies import make_proxies, summary_of

from proxx.ffmpeg import toolchain
from proxx.store.file import FileStore


def test_creation_hashes_each_program_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    digest = toolchain._digest

    def counting_digest(path: Path) -> str:
        hashed.append(path.name.split("-")[0])
        return digest(path)

    monkeypatch.setattr(toolchain, "_digest", counting_digest)
    card = tmp_path / "card"
    card.mkdir()
    (card / "notes.mov").write_bytes(b"to do\n")
    with disable_run_logger():
        state = make_proxies.fn([str(card)], "prores_proxy", str(tmp_path / "out"), FileStore(tmp_path / "store").uri)
    (problem,) = summary_of(state).problems
    assert problem.code == "SOURCE_UNREADABLE", "creation got as far as probing the source"
    assert hashed == ["ffmpeg", "ffprobe"]
