"""`make-proxies` on a real server: as somebody's subflow, by a deployment, again, refused, locked, left alone."""

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
from tests.flows.ground import Ground
from tests.flows.pool import ROOT, until
from tests.flows.runs import flow_run, run_id
from tests.flows.server import Server
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
    """A good clip, and one that passes creation and does not decode."""
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
    """The flow runs that Prefect has of the summary's jobs, in their order."""
    from proxx_flows.common.api import runs_tagged

    return [run for job in summary.jobs for run in runs_tagged(f"job:{job.job_id[:12]}")]


def said(problem: FileProblem) -> tuple[str, str]:
    return Path(problem.path).name, problem.code


# --- as a subflow ----------------------------------------------------------------------------------------


def test_a_pipeline_of_somebody_elses_reacts_to_a_failure(prefect: Server, card: Path, tmp_path: Path) -> None:
    from tests.flows.pipeline import day_one

    store, edit = str(tmp_path / "store"), tmp_path / "edit"
    assert day_one(str(card), str(edit), store) == {
        "relink": [str(edit / "a.mov")],
        "copy again": [str(card / "b.mov")],
        "ask": [],
    }
    assert sorted(path.name for path in edit.iterdir()) == ["a.mov"]

    from proxx_flows.make_proxies import proxies

    again = proxies([card], PROFILE, edit, store=store, clips_per_job=1)  # nothing is executed a second time
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


def test_from_an_async_flow(prefect: Server, good: Path, tmp_path: Path) -> None:
    """The helper is plain in both kinds of flow."""
    from prefect import flow
    from proxx_flows.make_proxies import proxies

    @flow
    async def ingest() -> list[str]:
        made = proxies([good / "a.mov"], PROFILE, tmp_path / "edit", store=str(tmp_path / "store"))
        return [proxy.output for proxy in made.outputs]

    assert asyncio.run(ingest()) == [str(tmp_path / "edit" / "a.mov")]


def test_from_a_bucket_into_a_bucket(prefect: Server, ground: Ground) -> None:
    """A prefix as a card, as any folder is; the run and the job are called by its last part."""
    from proxx_flows.make_proxies import make_proxies, summary_of

    for name in ("DAY1/b.mov", "DAY1/a.mov"):
        ground.put(half_second("a.mov"), f"card/{name}")
    sources, edit, store = [ground.at("card")], ground.at("edit"), ground.at("store")
    state = make_proxies(sources, PROFILE, edit, store=store, clips_per_job=1, return_state=True)
    made = summary_of(state)
    assert made.status == "COMPLETED", state.message
    assert [(proxy.source, proxy.output) for proxy in made.outputs] == [
        (ground.at(f"card/DAY1/{name}.mov"), ground.at(f"edit/DAY1/{name}.mov")) for name in "ab"
    ]
    assert sorted(ground.files("edit")) == ["DAY1/a.mov", "DAY1/b.mov"]
    assert [job.name for job in made.jobs] == ["card-001", "card-002"]
    assert flow_run(run_id(state)).name == f"card · {PROFILE}"

    missing = summary_of(make_proxies([ground.at("no")], PROFILE, edit, store=store, return_state=True))
    assert (missing.problems[0].path, missing.problems[0].code) == (ground.at("no"), "SOURCE_MISSING")


def test_names_below_roots(prefect: Server, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a deployment, where a path has to be whole: a root's name is, and a root that is not here is none."""
    from proxx_flows.make_proxies import proxies

    ground.put(half_second("a.mov"), "media/A001/a.mov")
    ground.replace("proxies/before.txt", b"")
    monkeypatch.setenv("PROXX_ROOTS", f"media={ground.at('media')};proxies={ground.at('proxies')}")
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "as if it were one")
    made = proxies(["media:/A001"], PROFILE, "proxies:/A001", store=ground.at("store"))
    assert [(proxy.source, proxy.output) for proxy in made.outputs] == [
        ("media:/A001/a.mov", "proxies:/A001/a.mov")
    ], made.problems
    assert sorted(ground.files("proxies")) == ["A001/a.mov", "before.txt"]
    refused = proxies(["cards:/A001", "A001", "s3://elsewhere/A001"], PROFILE, "proxies:/x", store=ground.at("store"))
    assert [problem.path for problem in refused.problems] == ["cards:/A001", "A001"]


@pytest.mark.parametrize("what", ["a missing bucket", "a wrong secret"])
def test_a_bucket_that_cannot_be_used(
    prefect: Server, rgw_ground: Ground, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Said before anything is made, and without the secret."""
    from proxx_flows.make_proxies import make_proxies, summary_of

    rgw_ground.put(half_second("a.mov"), "card/a.mov")
    initialize_store(rgw_ground.store)
    output = "s3://no-such-bucket-at-all/edit" if what == "a missing bucket" else rgw_ground.at("edit")
    if what == "a wrong secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim-geheim-geheim")
    state = make_proxies([rgw_ground.at("card")], PROFILE, output, store=rgw_ground.at("store"), return_state=True)
    made = summary_of(state)
    told = f"{state.message} {made}"
    assert made.status == "FAILED"
    assert ("no such bucket" if what == "a missing bucket" else "credentials are refused") in told, told
    assert "geheim" not in told


# --- what is refused -------------------------------------------------------------------------------------


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_made(prefect: Server, tmp_path: Path) -> None:
    from proxx_flows.make_proxies import make_proxies, proxies, summary_of

    card, store = tmp_path / "card", tmp_path / "store"
    card.mkdir()
    (card / "a.mov").write_bytes(b"to do\n")
    (card / "b.mov").write_bytes(b"")
    state = make_proxies([str(card)], PROFILE, str(tmp_path / "edit"), store=str(store), return_state=True)
    summary = summary_of(state)
    assert (state.type.value, summary.status, summary.jobs) == ("FAILED", "FAILED", ())
    assert [said(problem) for problem in summary.problems] == [
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
    assert [said(problem) for problem in made.left_out] == [said(problem) for problem in summary.problems]
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
    asked = {"profile": PROFILE, "output": str(tmp_path / "edit"), "store": str(tmp_path / "store"), **changes}
    summary = proxies([good], **asked)
    assert [problem.code for problem in summary.problems] == [code]
    assert not (tmp_path / "store").exists()


def as_asked(source: Path, edit: Path, name: str) -> JobSpec:
    """The very job that `make-proxies` makes of this one source with the template `{source_name}`."""
    return create((source,), edit, PROFILE, name=name)


def test_an_open_attempt_and_anothers_outputs_are_reported(prefect: Server, good: Path, tmp_path: Path) -> None:
    from proxx_flows.make_proxies import proxies

    edit, store = tmp_path / "edit", open_store(str(tmp_path / "store"))
    job = as_asked(good / "a.mov", edit, "first")
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
    """A process that talks to the server; ended at the end, and all it started."""
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
    """The Python of the README's section for pipelines."""
    section = (ROOT / "README.md").read_text("utf-8").split("\n## In your own pipelines\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_the_readmes_examples(prefect: Server, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one as a subflow, the other asked of a server whose workers take both flows."""
    monkeypatch.setenv("PROXX_STORE", str(tmp_path / "store"))
    as_subflow, by_deployment = examples()
    here: dict[str, Any] = {}
    exec(compile(as_subflow, "README.md", "exec"), here)  # noqa: S102  (the project's own words)
    assert here["ingest"](str(good), str(tmp_path / "one")) == [str(tmp_path / "one" / "a.mov")]

    there = by_deployment.replace("/proxx", "/served").replace("/cards/A001", str(good))
    there = there.replace("/edit/A001", str(tmp_path / "two"))
    server_side = f"import os\nos.environ['PROXX_STORE'] = {str(tmp_path / 'store')!r}\n{SERVE}"
    with process(prefect, server_side, tmp_path):
        until(lambda: deployed("make-proxies/served") and deployed("proxy-job/served"), "both are served")
        found: dict[str, Any] = {}
        exec(compile(there, "README.md", "exec"), found)  # noqa: S102
    made = found["made"]
    assert (made.status, [proxy.output for proxy in made.outputs]) == ("COMPLETED", [str(tmp_path / "two" / "a.mov")])
    (run,) = runs_of(made)
    assert (run.id, run.key) == (made.jobs[0].run_id, f"{store_uuid(tmp_path)}:{made.jobs[0].job_id}:1:1")


def store_uuid(tmp_path: Path) -> str:
    return str(json.loads((tmp_path / "store" / "store.json").read_text())["uuid"])


def test_who_follows_may_go_and_the_jobs_stay(prefect: Server, good: Path, tmp_path: Path) -> None:
    """No worker takes the job here: the run waits, before and after whoever asked for it was ended."""
    from proxx_flows.common.api import runs_tagged

    with process(prefect, DEPLOY, tmp_path) as deploying:
        assert deploying.wait(60) == 0, (tmp_path / "process.log").read_text()
    store = tmp_path / "store"
    log = tmp_path / "process.log"
    with process(prefect, CALL, tmp_path, good, tmp_path / "edit", store) as calling:
        until(lambda: "1 job is with" in log.read_text(), "it follows", log.read_text)
        calling.send_signal(signal.SIGTERM)
        calling.wait(60)
    assert "this run ends; 1 job goes on without it: left" in log.read_text()
    (job,) = list_jobs(open_store(str(store)))
    (run,) = runs_tagged(f"job:{job.job_id[:12]}")
    assert run.state_type == "SCHEDULED"
    assert job_status(open_store(str(store)), job.job_id).state == "REGISTERED"

    cancel(run.id)  # by an operator, so that the same call has a run, and no hope
    from proxx_flows.make_proxies import proxies

    (lost,) = proxies(
        [good], PROFILE, tmp_path / "edit", store=str(store), name="left", deployment="proxy-job/nobody"
    ).jobs
    assert (lost.status, lost.recorded, lost.run_id) == ("LOST", True, run.id)
    assert lost.failures[0].code == "RUN_LOST"
    assert f"`proxx submit {job.job_id[:12]} --again`" in lost.failures[0].remedy
    assert [one.id for one in runs_tagged(f"job:{job.job_id[:12]}")] == [run.id]


def cancel(run_id: str) -> None:
    from uuid import UUID

    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run_id), Cancelled(), force=True)


# --- the form --------------------------------------------------------------------------------------------


def test_the_form_in_prefects_pages() -> None:
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
