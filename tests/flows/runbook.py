"""The commands of the runbook, taken out of it: what tests run and parse is what operators read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "deployments"
TEXT: Final = (FOLDER / "README.md").read_text(encoding="utf-8")
_BLOCK: Final = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_INLINE: Final = re.compile(r"`((?:proxx|prefect|systemctl) [a-z][^`\n]*)`")


def block(name: str) -> list[str]:
    """The lines of the first block of commands after the mark `<!-- name -->`."""
    after = TEXT.split(f"<!-- {name} -->")[1]
    found = _BLOCK.search(after)
    assert found is not None, name
    return found[1].splitlines()


def commands() -> list[str]:
    """Every command line there is, in blocks and in sentences."""
    blocks = [line for found in _BLOCK.findall(TEXT) for line in found.splitlines()]
    return [part.strip() for line in (*blocks, *_INLINE.findall(TEXT)) for part in re.split(r"&&|&$", line) if part]
