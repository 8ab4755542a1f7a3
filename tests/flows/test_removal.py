"""Without the scaling code everything is as before (clause V6): a checkout with only the engine, and no Prefect."""

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
from tests.flows.ground import Ground
from tests.flows.pool import ROOT
from tests.flows.server import Server
from tests.support.jobs import make_job, write_spec
from tests.support.results import canonical_log

SCALING: Final = ("flows", "deployments", "prefect.yaml", "tests/flows", "tests/cluster")

BLOCK: Final = '''
"""Prefect and the flows are not installed; whoever asks for them is told so and named."""
import sys
from importlib import metadata

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("prefect", "proxx_flows"):
            raise ModuleNotFoundError(f"No module named {name!r}: it was removed", name=name)

sys.meta_path.insert(0, Gone())
real = metadata.entry_points

def entry_points(**wanted):
    """Of what was asked for by a group, without ours."""
    found = real(**wanted)
    return tuple(p for p in found if not p.module.startswith("proxx_flows")) if "group" in wanted else found

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


def alone(copy: Path, *arguments: str, **more: str) -> str:
    """The command of that copy, in an environment where nothing else of proxx can be found."""
    code = f"import sys; sys.path.insert(0, {str(copy)!r}); exec(open({str(copy / 'alone.py')!r}).read())"
    env = {"PATH": os.environ["PATH"], "HOME": str(copy.parent), "LC_ALL": "C.UTF-8", **more}
    argv = [sys.executable, "-P", "-c", code, *arguments]
    done = subprocess.run(argv, cwd=copy, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def came_of(store: Store, job: JobSpec) -> tuple[tuple[dict[str, Json], ...], Any]:
    """Canonical log and fingerprint."""
    (attempt,) = read_attempts(store, job.job_id)
    assert isinstance(attempt.state, Closed)
    assert attempt.state.result is not None
    return canonical_log(attempt.events), attempt.state.result["fingerprint"]


@pytest.mark.clause("V6", lead=True)
def test_the_same_job_gives_the_same(engine_alone: Path, prefect: Server, ground: Ground, tmp_path: Path) -> None:
    """One job as a flow run, and with flows removed and Prefect out of reach: the same bytes, log, fingerprint."""
    from proxx_flows.proxy_job import proxy_job

    job = make_job(ground.at("proxies"), "prores_proxy_half", clips=2)
    spec = write_spec(job, tmp_path / "job.json")
    flow_store, store = open_store(ground.at("flow-store")), ground.store
    state = proxy_job(spec=job, store=flow_store.uri, return_state=True)
    assert state.is_completed(), state
    by_flow = ground.digests("proxies")
    ground.clear("proxies")
    alone(engine_alone, "run", str(spec), "--store", store.uri, **ground.environment)
    assert ground.digests("proxies") == by_flow
    assert came_of(store, job) == came_of(flow_store, job)
    assert len(by_flow) == 2


@pytest.mark.clause("V6")
def test_the_verbs_are_the_engines(engine_alone: Path) -> None:
    listed = alone(engine_alone, "--help").split("Verbs:")[1].split("Exit status")[0]
    assert re.findall(r"^  (\w+)", listed, re.MULTILINE) == list(VERBS)
    assert "--ui" not in alone(engine_alone, "demo", "--help"), "the built-in demonstration"


@pytest.mark.clause("V6")
@pytest.mark.clause("P2")
def test_the_engine_does_not_name_the_scaling_code() -> None:
    """Neither an import nor a word: deleting it leaves nothing that speaks of it."""
    for module in sorted((ROOT / "proxx").rglob("*.py")):
        text = module.read_text(encoding="utf-8")
        assert "import prefect" not in text, module
        assert "from prefect" not in text, module
        assert "from flows" not in text, module
        assert "import flows" not in text, module
