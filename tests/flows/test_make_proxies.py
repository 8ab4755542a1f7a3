"""`make-proxies` on a real server: as a subflow, as a deployment, repeated, refused, locked, and cancelled."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from proxx_flows.common.errors import DeploymentMissing, StoreNotShared
from proxx_flows.submission.summary import FileProblem, Summary

from proxx.contracts.errors import Locked, OutputClaimed, PreflightRefused
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.engine.execute import register_job
from proxx.store.listing import list_jobs
from proxx.store.lock import acquire
from proxx.store.opening import initialize_store, open_store
from proxx.store.status import job_status
from tests.flows.pool import ROOT, until
from tests.flows.runs import flow_run, run_id
from tests.flows.server import Server
from tests.flows.storage_area import StorageArea
from tests.media.test_refused import clip_of, damaged
from tests.support.jobs import create, half_second

if TYPE_CHECKING:
    from proxx_flows.common.api import PrefectRun

PROFILE: Final = "prores_proxy_half"
SERVE: Final = """
from prefect import serve
from proxx_flows.make_proxies import make_proxies
from proxx_flows.proxy_job import proxy_job
serve(make_proxies.to_deployment("served"), proxy_job.to_deployment("served"))
"""
DEPLOY: Final = """
from proxx_flows.proxy_job import proxy_job
proxy_job.to_deployment("nobody").apply()
"""
CALL: Final = """
import sys
from proxx_flows.make_proxies import proxies
card, out, store = sys.argv[1:]
proxies([card], "prores_proxy_half", out, store=store, name="left", deployment="proxy-job/nobody")
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A good clip, and one that passes creation but cannot be decoded."""
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "a.mov").write_bytes(half_second("a.mov").read_bytes())
    name, data = clip_of("h264")
    (folder / name).write_bytes(damaged(data, 3, 4096))
    return folder


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A card with one good clip."""
    folder = tmp_path / "good"
    folder.mkdir()
    (folder / "a.mov").write_bytes(half_second("a.mov").read_bytes())
    return folder


def runs_of(summary: Summary) -> list[PrefectRun]:
    """Returns the flow runs of the summary's jobs, in order."""
    from proxx_flows.common.api import runs_tagged

    return [run for job in summary.jobs for run in runs_tagged(f"job:{job.job_id[:12]}")]


def name_and_code(problem: FileProblem) -> tuple[str, str]:
    return Path(problem.path).name, problem.code


# --- as a subflow ----------------------------------------------------------------------------------------


def test_a_users_pipeline_reacts_to_a_failure(prefect: Server, card: Path, tmp_path: Path) -> None:
    from tests.flows.pipeline import day_one

    store, edit = str(tmp_path / "store"), tmp_path / "edit"
    assert day_one(str(card), str(edit), store) == {
        "relink": [str(edit / "a.mov")],
        "copy again": [str(card / "b.mov")],
        "ask": [],
    }
    assert sorted(path.name for path in edit.iterdir()) == ["a.mov"]

    from proxx_flows.make_proxies import proxies

    again = proxies([card], PROFILE, edit, store=store, clips_per_job=1)  # runs nothing again
    assert [(job.status, job.attempt, job.recorded) for job in again.jobs] == [
        ("COMPLETED", 1, True),
        ("FAILED", 1, True),
    ]
    runs = runs_of(again)
    assert [(run.id, run.state_type) for run in runs] == [
        (again.jobs[0].run_id, "COMPLETED"),
        (again.jobs[1].run_id, "FAILED"),
    ]
    assert [run.name for run in runs] == [f"{job.name} · {job.job_id[:12]} · attempt 1" for job in again.jobs]

    second = proxies([card], PROFILE, edit, store=store, clips_per_job=1, attempt=2)  # of what failed
    assert [(job.status, job.attempt, job.recorded) for job in second.jobs] == [
        ("COMPLETED", 1, True),
        ("FAILED", 2, False),
    ]
    assert second.failures == again.failures


def test_proxies_works_in_an_async_flow(prefect: Server, good: Path, tmp_path: Path) -> None:
    """`proxies` is a plain function in both kinds of flow."""
    from prefect import flow
    from proxx_flows.make_proxies import proxies

    @flow
    async def ingest() -> list[str]:
        made = proxies([good / "a.mov"], PROFILE, tmp_path / "edit", store=str(tmp_path / "store"))
        return [proxy.output for proxy in made.outputs]

    assert asyncio.run(ingest()) == [str(tmp_path / "edit" / "a.mov")]


def test_a_bucket_prefix_is_read_like_a_card(prefect: Server, area: StorageArea) -> None:
    """The run and the job are named after the last part of the prefix."""
    from proxx_flows.make_proxies import make_proxies, summary_of

    for name in ("DAY1/b.mov", "DAY1/a.mov"):
        area.put(half_second("a.mov"), f"card/{name}")
    sources, edit, store = [area.at("card")], area.at("edit"), area.at("store")
    state = make_proxies(sources, PROFILE, edit, store=store, clips_per_job=1, return_state=True)
    made = summary_of(state)
    assert made.status == "COMPLETED", state.message
    assert [(proxy.source, proxy.output) for proxy in made.outputs] == [
        (area.at(f"card/DAY1/{name}.mov"), area.at(f"edit/DAY1/{name}.mov")) for name in "ab"
    ]
    assert sorted(area.files("edit")) == ["DAY1/a.mov", "DAY1/b.mov"]
    assert [job.name for job in made.jobs] == ["card-001", "card-002"]
    assert flow_run(run_id(state)).name == f"card · {PROFILE}"

    missing = summary_of(make_proxies([area.at("no")], PROFILE, edit, store=store, return_state=True))
    assert (missing.problems[0].path, missing.problems[0].code) == (area.at("no"), "SOURCE_MISSING")


def test_paths_below_roots_are_absolute(prefect: Server, area: StorageArea, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a deployment, where paths must be absolute, a path below a root is; a root that the worker lacks is not."""
    from proxx_flows.make_proxies import proxies

    area.put(half_second("a.mov"), "media/A001/a.mov")
    area.replace("proxies/before.txt", b"")
    monkeypatch.setenv("PROXX_ROOTS", f"media={area.at('media')};proxies={area.at('proxies')}")
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "as if it were one")
    made = proxies(["media:/A001"], PROFILE, "proxies:/A001", store=area.at("store"))
    assert [(proxy.source, proxy.output) for proxy in made.outputs] == [
        ("media:/A001/a.mov", "proxies:/A001/a.mov")
    ], made.problems
    assert sorted(area.files("proxies")) == ["A001/a.mov", "before.txt"]
    refused = proxies(["cards:/A001", "A001", "s3://elsewhere/A001"], PROFILE, "proxies:/x", store=area.at("store"))
    assert [problem.path for problem in refused.problems] == ["cards:/A001", "A001"]


@pytest.mark.parametrize("fault", ["a missing bucket", "a wrong secret"])
def test_a_bucket_that_cannot_be_used(
    prefect: Server, rgw_area: StorageArea, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It is reported before anything is made, and without the secret."""
    from proxx_flows.make_proxies import make_proxies, summary_of

    rgw_area.put(half_second("a.mov"), "card/a.mov")
    initialize_store(rgw_area.store)
    output = "s3://no-such-bucket-at-all/edit" if fault == "a missing bucket" else rgw_area.at("edit")
    if fault == "a wrong secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    state = make_proxies([rgw_area.at("card")], PROFILE, output, store=rgw_area.at("store"), return_state=True)
    made = summary_of(state)
    text = f"{state.message} {made}"
    assert made.status == "FAILED"
    assert ("no such bucket" if fault == "a missing bucket" else "credentials are refused") in text, text
    assert "not-the-secret" not in text


# --- what is refused -------------------------------------------------------------------------------------


def test_all_problems_are_reported_at_once_and_nothing_is_made(prefect: Server, tmp_path: Path) -> None:
    from proxx_flows.make_proxies import make_proxies, proxies, summary_of

    card, store = tmp_path / "card", tmp_path / "store"
    card.mkdir()
    (card / "a.mov").write_bytes(b"to do\n")
    (card / "b.mov").write_bytes(b"")
    state = make_proxies([str(card)], PROFILE, str(tmp_path / "edit"), store=str(store), return_state=True)
    summary = summary_of(state)
    assert (state.type.value, summary.status, summary.jobs) == ("FAILED", "FAILED", ())
    assert [name_and_code(problem) for problem in summary.problems] == [
        ("a.mov", "SOURCE_UNREADABLE"),
        ("b.mov", "SOURCE_UNREADABLE"),
    ]
    assert all(problem.remedy for problem in summary.problems)
    assert state.message is not None
    assert all(problem.message in state.message for problem in summary.problems)
    assert not store.exists()
    assert not (tmp_path / "edit").exists()

    (card / "c.mov").write_bytes(half_second("a.mov").read_bytes())
    made = proxies([card], PROFILE, tmp_path / "edit", store=str(store), leave_out_refused=True)
    assert [name_and_code(problem) for problem in made.left_out] == [
        name_and_code(problem) for problem in summary.problems
    ]
    assert (made.status, [Path(proxy.output).name for proxy in made.outputs]) == ("COMPLETED", ["c.mov"])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"store": None}, StoreNotShared.code),
        ({"profile": "nosuch"}, "PROFILE_INVALID"),
        ({"template": "{nosuch}"}, PreflightRefused.code),
        ({"deployment": "proxy-job/nosuch"}, DeploymentMissing.code),
    ],
)
def test_a_request_that_cannot_be_met(
    prefect: Server, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], code: str
) -> None:
    from proxx_flows.make_proxies import proxies

    monkeypatch.delenv("PROXX_STORE", raising=False)
    request = {"profile": PROFILE, "output": str(tmp_path / "edit"), "store": str(tmp_path / "store"), **changes}
    summary = proxies([good], **request)
    assert [problem.code for problem in summary.problems] == [code]
    assert not (tmp_path / "store").exists()


def expected_job(source: Path, edit: Path, name: str) -> JobSpec:
    """Returns the job that `make-proxies` makes of this one source with the template `{source_name}`."""
    return create((source,), edit, PROFILE, name=name)


def test_an_open_attempt_and_anothers_outputs_are_reported(prefect: Server, good: Path, tmp_path: Path) -> None:
    from proxx_flows.make_proxies import proxies

    edit, store = tmp_path / "edit", open_store(str(tmp_path / "store"))
    job = expected_job(good / "a.mov", edit, "first")
    register_job(job, spec_bytes(job), store, this_worker(), "by hand")
    acquire(store, job.job_id, 1, this_worker(), "by hand")

    def call(name: str) -> Summary:
        return proxies([good / "a.mov"], PROFILE, edit, store=store.uri, name=name, template="{source_name}")

    (locked,) = call("first").jobs
    assert (locked.job_id, locked.status, locked.recorded) == (job.job_id, "REFUSED", False)
    assert [(fault.code, fault.remedy) for fault in locked.failures] == [(Locked.code, Locked.remedy)]
    (claimed,) = call("second").jobs
    assert (claimed.status, claimed.run_id, claimed.failures[0].code) == ("REFUSED", None, OutputClaimed.code)
    assert job.job_id in claimed.failures[0].message
    assert not edit.exists()


def test_wrong_parameters_are_refused_by_name(prefect: Server, tmp_path: Path) -> None:
    from prefect.exceptions import ParameterTypeError
    from proxx_flows.make_proxies import proxies

    with pytest.raises(ParameterTypeError, match="clips_per_job"):
        proxies(["/card"], PROFILE, tmp_path, clips_per_job=0)


# --- by deployments --------------------------------------------------------------------------------------


@contextmanager
def process(server: Server, code: str, tmp_path: Path, *args: object) -> Iterator[subprocess.Popen[str]]:
    """Runs a process that talks to the server; ends it and all its processes when the block ends."""
    env = server.env(
        PREFECT_RUNNER_POLL_FREQUENCY="1",
        PREFECT_LOCAL_STORAGE_PATH=str(tmp_path / "results"),
        PYTHONPATH=str(ROOT),
    )
    with (tmp_path / "process.log").open("w") as log:
        started = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args)],
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            yield started
        finally:
            started.send_signal(signal.SIGINT)
            try:
                started.wait(60)
            finally:
                started.kill()


def deployed(name: str) -> bool:
    from proxx_flows.common.api import find_deployment

    try:
        find_deployment(name)
    except DeploymentMissing:
        return False
    return True


def examples() -> list[str]:
    """Returns the Python examples of docs/embedding.md."""
    section = (ROOT / "docs" / "embedding.md").read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_the_examples_of_the_documentation(
    prefect: Server, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One runs a subflow, the other a deployment on a server whose workers take both flows."""
    monkeypatch.setenv("PROXX_STORE", str(tmp_path / "store"))
    as_subflow, by_deployment = examples()
    names: dict[str, Any] = {}
    exec(compile(as_subflow, "embedding.md", "exec"), names)  # noqa: S102  (the project's own example)
    assert names["ingest"](str(good), str(tmp_path / "one")) == [str(tmp_path / "one" / "a.mov")]

    example = by_deployment.replace("/proxx", "/served").replace("/cards/A001", str(good))
    example = example.replace("/edit/A001", str(tmp_path / "two"))
    server_side = f"import os\nos.environ['PROXX_STORE'] = {str(tmp_path / 'store')!r}\n{SERVE}"
    with process(prefect, server_side, tmp_path):
        until(lambda: deployed("make-proxies/served") and deployed("proxy-job/served"), "both are served")
        namespace: dict[str, Any] = {}
        exec(compile(example, "embedding.md", "exec"), namespace)  # noqa: S102
    made = namespace["made"]
    assert (made.status, [proxy.output for proxy in made.outputs]) == ("COMPLETED", [str(tmp_path / "two" / "a.mov")])
    (run,) = runs_of(made)
    assert (run.id, run.key) == (made.jobs[0].run_id, f"{store_uuid(tmp_path)}:{made.jobs[0].job_id}:1:1")


def store_uuid(tmp_path: Path) -> str:
    return str(json.loads((tmp_path / "store" / "store.json").read_text())["uuid"])


def test_jobs_stay_when_the_run_that_waits_for_them_ends(prefect: Server, good: Path, tmp_path: Path) -> None:
    """No worker takes the job: its run stays scheduled, also after the run that waits for it was ended."""
    from proxx_flows.common.api import runs_tagged

    with process(prefect, DEPLOY, tmp_path) as deploying:
        assert deploying.wait(60) == 0, (tmp_path / "process.log").read_text()
    store = tmp_path / "store"
    log = tmp_path / "process.log"
    with process(prefect, CALL, tmp_path, good, tmp_path / "edit", store) as calling:
        until(lambda: "waiting for 1 run" in log.read_text(), "it waits", log.read_text)
        calling.send_signal(signal.SIGTERM)
        calling.wait(60)
    assert "this run ends before its jobs; 1 job continues without it: left" in log.read_text()
    (job,) = list_jobs(open_store(str(store)))
    (run,) = runs_tagged(f"job:{job.job_id[:12]}")
    assert run.state_type == "SCHEDULED"
    assert job_status(open_store(str(store)), job.job_id).state == "REGISTERED"

    cancel(run.id)  # as an operator would: the same call finds a run that has ended
    from proxx_flows.make_proxies import proxies

    (lost,) = proxies(
        [good], PROFILE, tmp_path / "edit", store=str(store), name="left", deployment="proxy-job/nobody"
    ).jobs
    assert (lost.status, lost.recorded, lost.run_id) == ("LOST", True, run.id)
    assert lost.failures[0].code == "RUN_LOST"
    assert f"`proxx submit {job.job_id[:12]} --again`" in lost.failures[0].remedy
    assert [run.id for run in runs_tagged(f"job:{job.job_id[:12]}")] == [run.id]


def cancel(run_id: str) -> None:
    from uuid import UUID

    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run_id), Cancelled(), force=True)


# --- the form --------------------------------------------------------------------------------------------


def test_the_form_in_prefects_ui() -> None:
    from proxx_flows.make_proxies import make_proxies

    form = make_proxies.parameters.model_dump()
    assert form["required"] == ["sources", "profile", "output"]
    assert {name: field["title"] for name, field in form["properties"].items()} == {
        "sources": "Sources",
        "profile": "Profile",
        "output": "Output folder",
        "store": "Store",
        "name": "Name",
        "clips_per_job": "Clips per job",
        "template": "Names of the proxies",
        "toolchain": "Encoder build",
        "leave_out_refused": "Leave out refused files",
        "accept_damage": "Accept damage",
        "attempt": "Attempt",
        "deployment": "Deployment",
    }
    assert {name: field["default"] for name, field in form["properties"].items() if "default" in field} == {
        "store": None,
        "name": None,
        "clips_per_job": None,
        "template": "{source_dir}/{source_name}",
        "toolchain": "static",
        "leave_out_refused": False,
        "accept_damage": [],
        "attempt": 1,
        "deployment": None,
    }
    for field in form["properties"].values():
        assert re.fullmatch(r"[A-Z`][^\n]+\.", field["description"]), field
