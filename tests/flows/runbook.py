"""Reads the commands from deployments/README.md, so that tests run and parse what operators read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "deployments"
TEXT: Final = (FOLDER / "README.md").read_text(encoding="utf-8")
_BLOCK: Final = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_INLINE: Final = re.compile(r"`((?:proxx|prefect|systemctl) [a-z][^`\n]*)`")


def block(name: str) -> list[str]:
    """Returns the lines of the first block of commands after the mark `<!-- name -->`."""
    after = TEXT.split(f"<!-- {name} -->")[1]
    match = _BLOCK.search(after)
    assert match is not None, name
    return match[1].splitlines()


def commands() -> list[str]:
    """Returns every command line, in blocks and in sentences."""
    blocks = [line for lines in _BLOCK.findall(TEXT) for line in lines.splitlines()]
    return [part.strip() for line in (*blocks, *_INLINE.findall(TEXT)) for part in re.split(r"&&|&$", line) if part]
