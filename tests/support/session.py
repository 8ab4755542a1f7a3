"""A folder that all processes of one test session share, for what takes long to make: clips, a migrated database."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_VARIABLE: Final = "PROXX_TEST_SESSION"


def open_session() -> Path | None:
    """Makes the folder and names it in the environment, which the workers of xdist inherit. None if it exists."""
    if _VARIABLE in os.environ:
        return None
    folder = Path(tempfile.mkdtemp(prefix="proxx-tests-"))
    os.environ[_VARIABLE] = str(folder)
    return folder


def close_session(folder: Path) -> None:
    """Removes the folder."""
    os.environ.pop(_VARIABLE, None)
    shutil.rmtree(folder, ignore_errors=True)


def shared_folder() -> Path:
    """Returns the folder of this session, or outside pytest one that is removed when the process ends."""
    if (folder := open_session()) is not None:
        atexit.register(close_session, folder)
    return Path(os.environ[_VARIABLE])


@contextmanager
def made_once(target: Path) -> Iterator[Path | None]:
    """Yields a private path to make `target` at, or None if it exists. It appears whole; the first one stays."""
    if target.exists():
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as private:
        made = Path(private) / target.name
        yield made
        if not target.exists():
            made.rename(target)
