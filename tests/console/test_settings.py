"""The options that verbs share."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from proxx.console.settings import Settings, places_from_options, store_from_options
from proxx.s3.transport import RESENDS
from proxx.store.opening import initialize_store


@pytest.mark.parametrize("allowed", [0, 2])
def test_requests_are_sent_again_as_often_as_the_record_of_the_store_allows(tmp_path: Path, allowed: int) -> None:
    with click.Context(click.Command("verify"), obj=Settings(store=str(tmp_path))):
        assert places_from_options(store_from_options()).wire.resends == RESENDS  # the store has no record yet
        initialize_store(store_from_options(), resends=allowed)
        assert places_from_options(store_from_options()).wire.resends == allowed
        assert places_from_options().wire.resends == RESENDS
