"""What all verbs share."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from proxx.console.settings import Settings, the_places, the_store
from proxx.s3.transport import RESENDS
from proxx.store.opening import init


@pytest.mark.parametrize("allowed", [0, 2])
def test_verbs_that_read_media_send_requests_again_as_often_as_the_store_says(tmp_path: Path, allowed: int) -> None:
    with click.Context(click.Command("verify"), obj=Settings(store=str(tmp_path))):
        assert the_places(the_store()).wire.resends == RESENDS  # nobody said anything yet
        init(the_store(), resends=allowed)
        assert the_places(the_store()).wire.resends == allowed
        assert the_places().wire.resends == RESENDS
