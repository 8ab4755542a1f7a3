"""Checks, before a worker takes a run, that Prefect can store the results of runs.

If a result cannot be stored, Prefect only logs that, and the result is missing when it is read later.
"""

from __future__ import annotations

from typing import Final

from prefect.blocks.core import Block
from prefect.filesystems import RemoteFileSystem
from prefect.settings import get_current_settings

from proxx.files.preflight import try_writing
from proxx.files.roots import OutOfReach, in_bucket
from proxx.s3.bucket import Bucket
from proxx.s3.transport import Transport
from proxx_flows.worker.storage_check import RESENDS

SETTING: Final = "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"
SECRETS: Final = frozenset({"key", "secret", "token", "client_kwargs"})
"""Settings of a block that hold or may hold credentials."""


def result_storage_problem() -> str | None:
    """Returns why results cannot be stored, with the remedy; None if they can, or if no block is configured."""
    name = get_current_settings().results.default_storage_block
    if name is None:
        return None
    try:
        block = Block.load(name, _sync=True)  # type: ignore[call-arg]  # Prefect's own switch
    except (ValueError, RuntimeError):
        return f"results: the server has no block {name}. Create it, or unset {SETTING}."
    if not isinstance(block, RemoteFileSystem) or not block.basepath.startswith("s3://"):
        return None
    if secrets := sorted(SECRETS & block.settings.keys()):
        return (
            f"results: the block {name} has {', '.join(secrets)} in its settings, which everybody can read in "
            "Prefect. Create it again without them: credentials come from the environment, a profile or a role."
        )
    try:
        spot = in_bucket(block.basepath)
    except OutOfReach as error:
        return f"results: the block {name}: {error}."
    for problem in try_writing(Bucket(Transport(resends=RESENDS), spot.bucket), spot.prefix):
        return f"results: {problem.path}: {problem.code}: {problem.message} {problem.remedy}"
    return None
