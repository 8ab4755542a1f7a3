"""proxx in somebody else's Prefect project, which has a package `flows` of its own: neither hides the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from proxx.contracts.job import JobSpec
from proxx.store.status import State, job_history, job_status
from tests.flows.pool import Pool
from tests.flows.server import Server
from tests.support.jobs import half_second, make_job

OWN_FLOW: Final = '''
"""The project's own flow, in the project's own package."""
from prefect import flow
from proxx_flows.make_proxies import proxies

@flow(name="ingest")
def ingest(card: str, output: str, store: str) -> list[str]:
    return [proxy.output for proxy in proxies([card], "prores_proxy_half", output, store=store).outputs]
'''
CALL: Final = """
import json, sys
import flows, flows.ingest, proxx_flows
made = flows.ingest.ingest(*sys.argv[1:])
print(json.dumps({"flows": flows.__file__, "proxx_flows": proxx_flows.__file__, "made": made}))
"""
EMBEDDED: Final = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "240",
}
PROXX_FLOWS: Final = Path(__file__).parents[2] / "flows" / "proxx_flows" / "__init__.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with a package `flows` and a flow module in it."""
    package = tmp_path / "project" / "flows"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "ingest.py").write_text(OWN_FLOW)
    return package.parent


def card(folder: Path) -> Path:
    """A card with two small clips."""
    folder.mkdir()
    for number in range(2):
        clip = half_second(f"embedded{number}.mov", f"04:00:0{number}:00")
        (folder / f"{number}.mov").write_bytes(clip.read_bytes())
    return folder


@pytest.mark.quick
def test_a_users_flow_runs_proxies_as_a_subflow(project: Path, tmp_path: Path) -> None:
    """Without any server set, Prefect starts one of its own for the flow."""
    places = [card(tmp_path / "card"), tmp_path / "edit", tmp_path / "store"]
    env = Server(tmp_path / "prefect").env(**EMBEDDED)
    del env["PREFECT_API_URL"]
    ended = subprocess.run(
        [sys.executable, "-c", CALL, *map(str, places)],
        cwd=project,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == {
        "flows": str(project / "flows" / "__init__.py"),
        "proxx_flows": str(PROXX_FLOWS),
        "made": [str(tmp_path / "edit" / f"{number}.mov") for number in range(2)],
    }
    assert sorted(path.name for path in (tmp_path / "edit").iterdir()) == ["0.mov", "1.mov"]


@pytest.mark.parametrize("command", ["proxx_flows.worker", "proxx_flows.worker.check"])
def test_the_commands_are_found_in_the_projects_folder(project: Path, tmp_path: Path, command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", command, "--help"],
        cwd=project,
        env=Server(tmp_path / "prefect").env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "--must-write" in ended.stdout


def test_a_worker_started_in_the_projects_folder_completes_a_deployed_run(
    pool: Pool, project: Path, tmp_path: Path
) -> None:
    """The run inherits the worker's folder on its path, so that `import flows` finds the project's package there."""
    job: JobSpec = make_job(tmp_path / "edit", "prores_proxy_half", name="embedded")
    pool.kill_all()  # so that the project's worker takes the run
    worker = pool.start("in-project", cwd=project, PYTHONPATH=str(project))
    worker.wait_until_polling()
    run = pool.dispatch(job)
    ended = pool.wait_for_end(run)
    assert ended.state_type == "COMPLETED", pool.worker_logs()
    history = job_history(pool.store, job.job_id)
    assert {entry.worker.name for entry in history.entries} == {"in-project"}
    assert job_status(pool.store, job.job_id).state == State.COMPLETED
    assert len(list((tmp_path / "edit").iterdir())) == 1
    pool.kill_all()
