"""Prefect's UI of a completed, a failed and a cancelled job, in a real browser."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelled
from proxx_flows.common import api
from proxx_flows.common.reference import JobReference, run_name, run_tags
from proxx_flows.proxy_job import proxy_job

from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import register_job
from proxx.store.opening import initialize_store, open_store
from tests.flows.browser import browser_page
from tests.flows.deploy import deploy
from tests.flows.server import Server, talking_to
from tests.support.jobs import create, half_second, make_job

if TYPE_CHECKING:
    from playwright.sync_api import Page


@dataclass(frozen=True)
class Pages:
    """A browser on a server with three runs. folder: for screenshots, which a person can look at."""

    page: Page
    ui: str
    folder: Path
    completed: str
    failed: str
    cancelled: str

    def see(self, path: str, *words: str) -> None:
        """Opens the page, waits until it shows all these texts, and saves a screenshot."""
        self.page.goto(self.ui + path)
        self.read(*words)
        self.page.screenshot(path=self.folder / f"{path.strip('/').replace('/', '-')}.png")

    def read(self, *words: str) -> None:
        for text in words:
            self.page.get_by_text(text).first.wait_for()


@pytest.fixture(scope="module")
def pages(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    folder = tmp_path_factory.mktemp("pages")
    with talking_to(server, folder), browser_page() as opened:
        yield three_runs(server, folder, opened)


def three_runs(server: Server, tmp_path: Path, opened: Page) -> Pages:
    store = open_store(str(tmp_path / "store"))
    uuid_of_store = initialize_store(store).uuid

    def registered(job: JobSpec) -> JobReference:
        register_job(job, spec_bytes(job), store, this_worker(), "test")
        return JobReference(store=store.uri, job_id=job.job_id, attempt=1, store_uuid=uuid_of_store)

    good = proxy_job(
        reference=registered(make_job(tmp_path / "good", "prores_proxy_half", 2, name="A001 good")),
        return_state=True,
    )
    changed = tmp_path / "B002.mov"
    shutil.copy(half_second("b002.mov", "01:00:05:00"), changed)
    sources = (half_second("clip0.mov", "01:00:00:00"), changed)
    job = create(sources, tmp_path / "bad", "prores_proxy_half", name="A002 changed")
    with changed.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"x")
    bad = proxy_job(reference=registered(job), return_state=True)

    other = make_job(tmp_path / "other", "prores_proxy_half", name="A003 cancelled")
    reference = registered(other)
    requested = api.create_run(
        deploy(server),
        reference,
        dispatch=1,
        name=run_name(other.name, reference),
        tags=run_tags(other.name, other.profile.name, other.job_id),
    )
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(uuid.UUID(requested.run.id), Cancelled(message="not needed any more"), force=True)
    return Pages(
        opened,
        server.ui,
        tmp_path,
        str(good.state_details.flow_run_id),
        str(bad.state_details.flow_run_id),
        requested.run.id,
    )


@pytest.mark.clause("I6")
@pytest.mark.clause("A7")
def test_the_pages_show_the_outcome_of_each_job(pages: Pages) -> None:
    worker = str(this_worker()).split(" process")[0]
    pages.see("/runs", "A001 good", "A002 changed", "A003 cancelled", "Completed", "Failed", "Cancelled")
    pages.see(
        f"/runs/flow-run/{pages.completed}",
        *("A001 good", "Completed", "lock.acquired", "clip.completed: 2 of 2, clip1.mov, 12 frames", worker),
    )
    pages.see(
        f"/runs/flow-run/{pages.failed}",
        *(
            "A002 changed",
            "Failed",
            "clip.failed: 2 of 2, B002.mov",
            "SOURCE_CHANGED",
            "restore the original",
            worker,
        ),
    )
    pages.see(f"/runs/flow-run/{pages.cancelled}", "A003 cancelled", "Cancelled")


@pytest.mark.clause("V2")
def test_the_artifacts_can_be_read(pages: Pages) -> None:
    page = pages.page
    for run, words in (
        (pages.completed, ("COMPLETED: A001 good", "2 of 2 clips, 24 frames", "proxx history")),
        (pages.failed, ("FAILED: A002 changed", "Clip 2 of 2: B002.mov", "SOURCE_CHANGED", "What to do")),
    ):
        for kind, wanted in (
            ("report", words),
            ("clips", ("source", "timecode", "sha256", "verdict", "COMPLETED", "01:00:00:00")),
            ("progress", ("100%",)),
        ):
            pages.see(f"/runs/flow-run/{run}")
            page.get_by_text("Artifacts", exact=True).last.click()
            page.locator("a[href*='/artifacts/artifact/']").filter(has_text=f"-{kind}").first.click()
            pages.read(*wanted)
            page.screenshot(path=pages.folder / f"{run}-{kind}.png")
