"""The files in deployments/ and prefect.yaml work as deployments/README.md describes, with its own commands."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml
from proxx_flows.audit.finding import JobVerdict

from proxx.cli.main import proxx
from proxx.console.running import run_command_line
from proxx.store.file import FileStore
from proxx.store.opening import initialize_store
from tests.flows import runbook
from tests.flows.pool import ROOT, Pool, digests
from tests.support.jobs import half_second

DEPLOYMENTS: Final = ("proxy-job/proxx", "make-proxies/proxx")
BIN: Final = Path(sys.executable).parent
PACKAGES: Final = {"proxx_flows.worker": "proxx_flows.worker.serve"}
"""Packages that `python -m` runs, with the module that defines their command."""
SYSTEM: Final = {
    "systemctl",
    "rsync",
    "aws",
    "pg_dump",
    "python3.11",
    "export",
}  # programs of others, whose arguments are not parsed here
OTHER_SETTINGS: Final = {
    "PREFECT_REDIS_MESSAGING_URL",  # of prefect-redis
    "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL",  # of prefect-redis too: without it, it looks for Redis on this machine
    "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR",  # read from the environment, not a setting
}


def in_a_test(line: str, pool: Pool, folder: Path) -> str:
    """Returns the line of the README with the test's places instead of the operator's."""
    places = {
        "/opt/proxx/bin": str(BIN),
        "http://127.0.0.1:4200/api": pool.server.url,
        "/mnt/proxx": str(folder / "share"),
        "/mnt/media": str(folder / "media"),
    }
    for documented, actual in places.items():
        line = line.replace(documented, actual)
    return line


def bash(script: str, pool: Pool) -> str:
    """Runs the script in the checkout as an operator does, and returns its output."""
    env = {name: value for name, value in pool.env().items() if name not in ("PREFECT_API_URL", "PROXX_STORE")}
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    output = ended.stdout.decode(errors="replace")
    assert ended.returncode == 0, f"{script}\n{output[-6000:]}"
    return output


def cards(folder: Path, *names: str) -> None:
    (folder / "share").mkdir()
    for number, name in enumerate(names):
        (folder / "media" / name).mkdir(parents=True)
        shutil.copy(half_second(f"{name}.mov", f"02:00:00:{number:02d}"), folder / "media" / name)


def test_the_set_up_of_the_readme(pool: Pool, tmp_path: Path) -> None:
    """Its ten lines; those in the middle have created the session's server and pool."""
    cards(tmp_path, "A001")
    pool.kill_all()  # so that this worker takes the run
    lines = runbook.block("set-up")
    assert len(lines) == 10
    start, _, wait = lines[2].partition(" && ")
    assert (start, wait) == ("prefect server start --background", "prefect server status --wait")
    assert [line.split()[0] for line in lines[3:6]] == ["prefect"] * 3, "run by the pool fixture"
    remaining = [in_a_test(line, pool, tmp_path) for line in (lines[1], wait, *lines[6:])]
    output = bash("\n".join((*remaining, "kill %1", "wait %1")), pool)
    assert sorted(digests(tmp_path / "share" / "proxies")) == ["A001.mov"]
    assert "host-1" in output


def test_runs_started_by_hand(pool: Pool, tmp_path: Path) -> None:
    cards(tmp_path, "A002", "A003")
    share = tmp_path / "share"
    initialize_store(FileStore(share / "store"))
    spec = str(share / "A003.json")
    create = ["create", str(tmp_path / "media" / "A003"), "--profile", "prores_proxy_half", "--output"]
    assert run_command_line(proxx, [*create, str(share / "proxies"), "--spec", spec]) == 0
    pool.ensure_workers(2)
    setting = f"export PATH={BIN}:$PATH PREFECT_API_URL={pool.server.url}\n"
    runs = []
    for line in runbook.block("by hand"):
        line = line.replace("-p output=", f"-p store={(share / 'store').as_uri()} -p output=")
        output = bash(setting + in_a_test(line, pool, tmp_path), pool)
        match = re.search(r"UUID: ([0-9a-f-]{36})", output)
        assert match is not None, output
        runs.append(match[1])
    for run in runs:
        end = pool.wait_for_end(run)
        assert end.state_type == "COMPLETED", end.state
    assert sorted(digests(share / "proxies")) == ["A002.mov", "A003.mov"]


def test_the_deployments_on_the_server(pool: Pool) -> None:
    """Entrypoints are modules, nothing is pulled, and the job variables equal the defaults of the pool's template."""
    template = json.loads((runbook.FOLDER / "pool.json").read_text())
    defaults = {
        name: field["default"]
        for name, field in template["variables"]["properties"].items()
        if field.get("default") is not None
    }
    with pool.client() as client:
        assert client.read_work_pool("proxx").base_job_template == template
        for name in DEPLOYMENTS:
            deployed = client.read_deployment_by_name(name)
            module = name.split("/")[0].replace("-", "_")
            assert deployed.entrypoint == f"proxx_flows.{module}.{module}"
            assert not deployed.pull_steps
            assert deployed.work_pool_name == "proxx"
            assert deployed.job_variables == defaults
            assert deployed.global_concurrency_limit is None
        automations = [a for a in automations_on(pool) if a["name"] == "proxx-silent-death"]
    assert len(automations) == 1
    assert automations[0]["enabled"]


def automations_on(pool: Pool) -> list[dict[str, Any]]:
    import httpx

    answer: list[dict[str, Any]] = httpx.post(f"{pool.server.url}/automations/filter", json={}, timeout=30).json()
    return answer


def test_the_template_has_the_fields_of_the_process_worker() -> None:
    from prefect.workers.process import ProcessWorker

    ours = json.loads((runbook.FOLDER / "pool.json").read_text())
    stock = ProcessWorker.get_default_base_job_template()
    assert ours["job_configuration"] == stock["job_configuration"]
    assert ours["variables"]["properties"].keys() == stock["variables"]["properties"].keys()


@pytest.mark.clause("F4")
def test_nothing_retries_or_schedules() -> None:
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert [d["schedules"] for d in deployed["deployments"]] == [[], []]
    automation = yaml.safe_load((runbook.FOLDER / "automation.yaml").read_text())["automations"][0]
    assert [action["type"] for action in automation["actions"]] == ["change-flow-run-state"]
    assert automation["actions"][0]["state"] == "CRASHED"
    for name in ("server.env", "worker.env"):
        assert "RETR" not in (runbook.FOLDER / name).read_text()


@pytest.mark.parametrize("line", sorted(set(runbook.commands())))
def test_every_command_of_the_readme_can_be_parsed(line: str) -> None:
    """The program itself parses it. The tests above run the blocks that can be run."""
    words = shlex.split(re.sub(r"\bID\b", str(uuid.UUID(int=0)), line))
    program, *rest = words
    if Path(program).name in ("pip", *SYSTEM):
        return
    if program == "prefect":
        from prefect.cli._app import _app

        _app.parse_args([w for w in rest if w != "--no-prompt"], exit_on_error=False, print_error=False)
    elif program == "proxx":
        with click.Context(proxx) as context:
            command = proxx.get_command(context, rest[0])
        assert command is not None, line
        if rest[1:]:
            command.make_context(rest[0], rest[1:])
    elif words[:2] == ["python", "-c"]:
        compile(words[2], line, "exec")  # run by test_pool_storage
    else:
        assert words[:2] == ["python", "-m"], line
        module = importlib.import_module(words[2])
        if hasattr(module, "__path__"):  # a package: `python -m` runs its __main__
            module = importlib.import_module(f"{words[2]}.__main__")
        module.main.make_context(words[2], words[3:])


def test_every_named_setting_exists() -> None:
    """Each setting in the README or an example is one of Prefect, of prefect-redis, or read from the environment."""
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_valid_setting_names

    text = "".join(file.read_text() for file in sorted(runbook.FOLDER.glob("*.env"))) + runbook.TEXT
    named = set(re.findall(r"\bPREFECT_[A-Z0-9_]+", text))
    known = set(_get_valid_setting_names(Settings)) | OTHER_SETTINGS
    assert named - known == set()


def test_every_state_and_verdict_is_explained() -> None:
    from prefect.client.schemas.objects import StateType

    for verdict in JobVerdict:
        assert f"| {verdict.value} |" in runbook.TEXT
    for state in set(StateType) - {StateType.PAUSED}:
        assert re.search(rf"^\| [A-Za-z, ]*\b{state.value.capitalize()}\b", runbook.TEXT, re.MULTILINE), state


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """systemd itself reads them, with this interpreter instead of the installed one. Skipped without systemd."""
    units = sorted(runbook.FOLDER.glob("*.service"))
    for unit in units:
        text = unit.read_text().replace("/opt/proxx/bin", str(BIN)).replace("User=proxx\nGroup=proxx\n", "")
        (tmp_path / unit.name).write_text(text)
    worker = (runbook.FOLDER / "proxx-worker@.service").read_text()
    for line in ("KillMode=process", "KillSignal=SIGTERM", "TimeoutStopSec=infinity", "Restart=on-failure"):
        assert f"\n{line}\n" in worker
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("SYSTEMD ABSENT: systemd-analyze did not read the units")
    for unit in units:
        name = unit.name.replace("@.", "@1.")
        if "@" in name:
            shutil.copy(tmp_path / unit.name, tmp_path / name)
        ended = subprocess.run(
            [program, "verify", "--recursive-errors=no", str(tmp_path / name)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
