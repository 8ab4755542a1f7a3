"""What Prefect has of a job, read from a real server: log, progress, table, report, events, assets."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from proxx_flows.job.events import job_payload
from proxx_flows.job.registered_job import job_facts
from proxx_flows.proxy_job import proxy_job

from proxx.contracts.event import this_worker
from proxx.contracts.result import ExecutionResult
from proxx.store.file import FileStore
from tests.flows.runs import artifacts, codes, data_of, events, log_of, registered, run_here, run_id
from tests.support.jobs import create, half_second, make_job

pytestmark = pytest.mark.usefixtures("prefect")

HOSTILE = "A`1`|<b>\n\x1b[31m.mov"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.mark.clause("A7")
def test_a_failed_job_is_reported_as_in_its_ledger(store: FileStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "proxies", "prores_proxy", 2, name="A001")
    (tmp_path / "proxies").mkdir()
    (tmp_path / "proxies" / "clip1.mov").write_bytes(b"another file")
    state = run_here(reference=registered(job, store))
    run, worker = run_id(state), this_worker()
    result = ExecutionResult.model_validate_json(json.dumps(data_of(state)))

    lines = log_of(run, "Finished in state Failed")
    assert codes(lines) == [
        "lock.acquired",
        *("clip.started", "clip.publishing", "clip.completed"),
        *("clip.started", "clip.failed"),
        "lock.released",
    ]
    events_logged = [(level, text) for level, text in lines if codes([(level, text)])]
    assert all(text.endswith(f" [{worker}]") for _, text in events_logged)
    assert [level for level, _ in events_logged] == [logging.INFO] * 5 + [logging.ERROR] * 2
    sha256 = result.clips[0].output_sha256
    assert (
        events_logged[3][1]
        == f"clip.completed: 1 of 2, clip0.mov, 12 frames, {sha256}, {job.clips[0].outputs[0].uri} [{worker}]"
    )
    assert not [text for _, text in lines if "could not be sent to Prefect" in text]
    assert max(len(text) for _, text in lines) < 1000  # Prefect prints a failed state into the log, data and all

    by_kind = artifacts(run, 3)
    short = job.job_id[:12]
    assert {kind: artifact["key"] for kind, artifact in by_kind.items()} == {
        "progress": f"proxx-{short}-progress",
        "table": f"proxx-{short}-clips",
        "markdown": f"proxx-{short}-report",
    }
    assert {artifact["description"] for artifact in by_kind.values()} == {
        f"A001: job `{short}`, attempt 1, profile prores\\_proxy"
    }
    assert by_kind["progress"]["data"] == 100
    rows = json.loads(by_kind["table"]["data"])
    assert [(row["clip"], row["frames"], row["timecode"], row["verdict"]) for row in rows] == [
        ("1", "12", "01:00:00:00", "COMPLETED"),
        ("2", "", "01:00:01:00", "OUTPUT_EXISTS"),
    ]
    assert rows[0]["sha256"] == str(sha256).removeprefix("sha256:")
    report = by_kind["markdown"]["data"]
    assert report.startswith("# FAILED: A001\n\n1 of 2 clips, 12 frames, ")
    assert "## Clip 2 of 2: clip1\\.mov\n\n**OUTPUT\\_EXISTS**: " in report
    assert "What to do: Move that file\\, which was not touched\\, out of the way" in report

    (event,) = events("proxx.job", f"proxx.job.{job.job_id}", 1)
    facts = job_facts(job, 1, store.uri)
    assert (event["event"], event["payload"]) == ("proxx.job.failed", job_payload(result, facts))
    assert [output["output"] for output in event["payload"]["outputs"]] == [job.clips[0].outputs[0].uri]
    assert event["resource"]["prefect.resource.name"] == "A001"
    assert f"prefect.flow-run.{run}" in {resource["prefect.resource.id"] for resource in event["related"]}

    assets = events("prefect.asset.materialization", f"proxx://{job.job_id}", 2)
    assert [
        (asset["event"].rpartition(".")[2], asset["resource"]["prefect.resource.id"][-4:]) for asset in assets
    ] == [
        ("succeeded", "0000"),
        ("failed", "0001"),
    ]
    digest = job.clips[0].source.files[0].digest.removeprefix("sha256:")
    related = assets[0]["related"]
    upstream = [each["prefect.resource.id"] for each in related if each["prefect.resource.role"] == "asset"]
    assert upstream == [f"proxx://source/{digest}"]
    assert assets[0]["payload"] == {
        "job_id": job.job_id,
        "attempt": 1,
        "clip": 0,
        "source": job.clips[0].source.files[0].uri,
        "output": job.clips[0].outputs[0].uri,
        "sha256": sha256,
        "frames": 12,
    }


def test_a_completed_job_ends_at_100_percent_and_emits_its_event(store: FileStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "proxies", "prores_proxy")
    state = run_here(reference=registered(job, store))
    assert artifacts(run_id(state), 3)["progress"]["data"] == 100
    (event,) = events("proxx.job", f"proxx.job.{job.job_id}", 1)
    assert (event["event"], event["payload"]["status"]) == ("proxx.job.completed", "COMPLETED")
    assert [output["sha256"] for output in event["payload"]["outputs"]] == [
        data_of(state)["clips"][0]["output_sha256"]
    ]


def test_hostile_names_are_shown_and_have_no_effect(store: FileStore, tmp_path: Path) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    source = Path(shutil.copy(half_second("clip0.mov"), camera / HOSTILE))
    job = create((source,), tmp_path / "proxies", "prores_proxy", name="A|`\n<b>")
    state = run_here(reference=registered(job, store))
    assert state.is_completed(), state.message
    by_kind = artifacts(run_id(state), 3)
    (row,) = json.loads(by_kind["table"]["data"])
    assert row["source"].endswith("/A`1`|<b>\\n\\x1b[31m.mov")
    assert by_kind["markdown"]["data"].startswith("# COMPLETED: A\\|\\`\\\\n\\<b\\>\n\n")
    lines = log_of(run_id(state), "Finished in state Completed")
    assert all("\x1b" not in text and "\n" not in text for _, text in lines if codes([(0, text)]))
    assert len(events("prefect.asset.materialization", f"proxx://{job.job_id}", 1)) == 1


def test_a_refusal_is_one_log_line_and_no_artifact(store: FileStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "proxies", "prores_proxy")
    reference = registered(job, store)
    run_here(reference=reference)
    again = run_here(reference=reference)
    lines = log_of(run_id(again), "Finished in state Failed")
    assert codes(lines) == ["refused"]
    assert artifacts(run_id(again), 0) == {}


def test_the_flows_description_explains_how_to_find_a_job() -> None:
    description = proxy_job.description or ""
    assert all(text in description for text in ("tag `job:", "first 12 digits", "`proxx status`", "`proxx history`"))
