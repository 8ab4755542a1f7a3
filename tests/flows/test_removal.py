"""Without the scaling code everything works as before (clause V6): a checkout with only the engine, no Prefect."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from proxx.cli.lazy import VERBS
from proxx.contracts.canonical import Json
from proxx.contracts.job import JobSpec
from proxx.store.attempts import Closed, read_attempts
from proxx.store.base import Store
from proxx.store.opening import open_store
from tests.flows.pool import ROOT
from tests.flows.server import Server
from tests.flows.storage_area import StorageArea
from tests.support.jobs import make_job, write_spec
from tests.support.results import canonical_log

SCALING: Final = ("flows", "deployments", "prefect.yaml", "tests/flows", "tests/cluster")

BLOCK: Final = '''
"""Makes every import of Prefect and of the flows fail, as if they were not installed."""
import sys
from importlib import metadata

class Removed:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("prefect", "proxx_flows"):
            raise ModuleNotFoundError(f"No module named {name!r}: it was removed", name=name)

sys.meta_path.insert(0, Removed())
real = metadata.entry_points

def entry_points(**wanted):
    """The entry points without those of proxx_flows, if a group is asked for."""
    points = real(**wanted)
    return tuple(p for p in points if not p.module.startswith("proxx_flows")) if "group" in wanted else points

metadata.entry_points = entry_points
sys.argv[0] = "proxx"
from proxx.cli.main import main
main()
'''


@pytest.fixture(scope="module")
def engine_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout without the scaling code."""
    copy = tmp_path_factory.mktemp("removed") / "proxx"
    ignore = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", "*.egg-info", "shared")
    shutil.copytree(ROOT, copy, ignore=ignore)
    for name in SCALING:
        place = copy / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
    (copy / "alone.py").write_text(BLOCK)
    return copy


def run_alone(copy: Path, *arguments: str, **more: str) -> str:
    """Runs the command of that copy, in an environment where nothing else of proxx can be found."""
    code = f"import sys; sys.path.insert(0, {str(copy)!r}); exec(open({str(copy / 'alone.py')!r}).read())"
    env = {"PATH": os.environ["PATH"], "HOME": str(copy.parent), "LC_ALL": "C.UTF-8", **more}
    argv = [sys.executable, "-P", "-c", code, *arguments]
    ended = subprocess.run(argv, cwd=copy, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def log_and_fingerprint(store: Store, job: JobSpec) -> tuple[tuple[dict[str, Json], ...], Any]:
    """Returns the canonical log and the fingerprint of the job's only attempt."""
    (attempt,) = read_attempts(store, job.job_id)
    assert isinstance(attempt.state, Closed)
    assert attempt.state.result is not None
    return canonical_log(attempt.events), attempt.state.result["fingerprint"]


@pytest.mark.clause("V6", lead=True)
def test_the_same_job_gives_the_same(engine_alone: Path, prefect: Server, area: StorageArea, tmp_path: Path) -> None:
    """One job as a flow run, and without flows and Prefect: the same bytes, log and fingerprint."""
    from proxx_flows.proxy_job import proxy_job

    job = make_job(area.at("proxies"), "prores_proxy_half", clips=2)
    spec = write_spec(job, tmp_path / "job.json")
    flow_store, store = open_store(area.at("flow-store")), area.store
    state = proxy_job(spec=job, store=flow_store.uri, return_state=True)
    assert state.is_completed(), state
    by_flow = area.digests("proxies")
    area.clear("proxies")
    run_alone(engine_alone, "run", str(spec), "--store", store.uri, **area.environment)
    assert area.digests("proxies") == by_flow
    assert log_and_fingerprint(store, job) == log_and_fingerprint(flow_store, job)
    assert len(by_flow) == 2


@pytest.mark.clause("V6")
def test_only_the_engines_commands_are_listed(engine_alone: Path) -> None:
    listed = run_alone(engine_alone, "--help").split("Verbs:")[1].split("Exit status")[0]
    assert re.findall(r"^  (\w+)", listed, re.MULTILINE) == list(VERBS)
    assert "--ui" not in run_alone(engine_alone, "demo", "--help"), "the built-in demonstration"


@pytest.mark.clause("V6")
@pytest.mark.clause("P2")
def test_the_engine_does_not_name_the_scaling_code() -> None:
    """It neither imports it nor mentions it, so that nothing refers to it once it is deleted."""
    for module in sorted((ROOT / "proxx").rglob("*.py")):
        text = module.read_text(encoding="utf-8")
        assert "import prefect" not in text, module
        assert "from prefect" not in text, module
        assert "proxx_flows" not in text, module
