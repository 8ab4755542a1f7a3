"""Where Prefect keeps the results of runs: seen to take one before a worker takes a run.

Prefect only logs where a result cannot be kept: who asks for it later finds nothing.
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
"""Settings of a block that hold credentials, or may."""


def refusal_of_results() -> str | None:
    """Why results could not be kept, with what to do; None where they can, and where no block is named."""
    name = get_current_settings().results.default_storage_block
    if name is None:
        return None
    try:
        block = Block.load(name, _sync=True)  # type: ignore[call-arg]  # Prefect's own switch
    except (ValueError, RuntimeError):
        return f"results: the server has no block {name}. Make it, or take {SETTING} away."
    if not isinstance(block, RemoteFileSystem) or not block.basepath.startswith("s3://"):
        return None
    if held := sorted(SECRETS & block.settings.keys()):
        return (
            f"results: the block {name} has {', '.join(held)} in its settings, which everybody can read in Prefect. "
            "Make it without: credentials come from the environment, a profile or a role."
        )
    try:
        spot = in_bucket(block.basepath)
    except OutOfReach as why:
        return f"results: the block {name}: {why}."
    for wrong in try_writing(Bucket(Transport(resends=RESENDS), spot.bucket), spot.prefix):
        return f"results: {wrong.path}: {wrong.code}: {wrong.message} {wrong.remedy}"
    return None
