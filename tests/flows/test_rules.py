"""Rules for the source of `proxx_flows`: no retry, no cache, no pickle, one call of the engine, one-way imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from proxx_flows.proxy_job import execute_job, proxy_job

REPO: Final = Path(__file__).parents[2]
FLOWS: Final = REPO / "flows" / "proxx_flows"
MODULES: Final = sorted(str(path.relative_to(FLOWS)) for path in FLOWS.rglob("*.py"))
FORBIDDEN: Final = (
    *("retry", "retries", "retry_delay_seconds", "retry_condition_fn", "retry_jitter_factor"),
    *("cache", "lru_cache", "cache_policy", "cache_key_fn", "cache_expiration", "cache_result_in_memory"),
    *("pickle", "cloudpickle", "dill", "PickleSerializer", "CompressedPickleSerializer"),
    *("concurrency", "rate_limit", "timeout_seconds", "task_runner"),
)
"""Names that no module may use, except `retries=0` at a flow or a task."""


def tree(module: str) -> ast.Module:
    return ast.parse((FLOWS / module).read_text(encoding="utf-8"), module)


def names(module: str) -> Iterator[str]:
    """Yields every name that the module imports, uses, or passes as a keyword; without `retries=0`."""
    for node in ast.walk(tree(module)):
        match node:
            case ast.keyword(arg="retries", value=ast.Constant(value=0)):
                pass
            case ast.keyword(arg=str(name)) | ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                yield from (part for alias in imported for part in alias.name.split("."))
                if isinstance(node, ast.ImportFrom):
                    yield from (node.module or "").split(".")


def flow_options(module: str) -> Iterator[dict[str, object]]:
    """Yields the constant options of each flow and task in the module."""
    for node in ast.walk(tree(module)):
        for call in getattr(node, "decorator_list", ()):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("flow", "task"):
                yield {
                    str(word.arg): word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)
                }
            else:
                assert ast.unparse(call) not in ("flow", "task"), f"{module}: Prefect's settings would apply"


@pytest.mark.clause("F4", lead=True)
@pytest.mark.clause("N2")
@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_retried_skipped_or_limited(module: str) -> None:
    """No module of the flows uses anything of Prefect that retries, caches, limits or reschedules."""
    assert not set(FORBIDDEN) & set(names(module))


@pytest.mark.clause("F4")
def test_each_flow_and_task_sets_its_own_options() -> None:
    """So that no setting of a server, a profile or an environment changes them."""
    by_module = {module: list(flow_options(module)) for module in MODULES}
    assert {module for module, options in by_module.items() if options} == {"make_proxies.py", "proxy_job.py"}
    for options in (options for module in by_module.values() for options in module):
        assert {name: options.get(name) for name in ("retries", "persist_result", "result_serializer")} == {
            "retries": 0,
            "persist_result": True,
            "result_serializer": "json",
        }
    assert (proxy_job.retries, execute_job.retries) == (0, 0)
    policies: list[object] = [execute_job.cache_policy, execute_job.cache_key_fn, execute_job.refresh_cache]
    assert policies == [None, None, True]


SETTINGS: Final = {
    "PREFECT_FLOWS_DEFAULT_RETRIES": "3",
    "PREFECT_TASKS_DEFAULT_RETRIES": "3",
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "pickle",
}
PRINT_OPTIONS: Final = """
from proxx_flows.make_proxies import make_proxies
from proxx_flows.proxy_job import execute_job, proxy_job
for made in (proxy_job, make_proxies, execute_job):
    print(made.retries, made.persist_result, made.result_serializer, getattr(made, "cache_policy", None))
"""


@pytest.mark.clause("F4")
def test_no_setting_adds_a_retry(tmp_path: Path) -> None:
    env = {**os.environ, **SETTINGS, "PREFECT_HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", PRINT_OPTIONS], cwd=REPO, env=env, capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines() == ["0 True json None"] * 3, ended.stderr


@pytest.mark.clause("P2", lead=True)
def test_the_task_is_one_call_of_the_engine() -> None:
    """The flow's task is one call of the engine."""
    calls = [
        ast.unparse(node.func)
        for node in ast.walk(tree("proxy_job.py"))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("execute", "execute_job", "RunEnvironment")
    ]
    assert sorted(calls) == ["RunEnvironment", "execute", "execute_job"]
    users = [
        module
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom) and "execute" in [alias.name for alias in node.names]
    ]
    assert users == ["proxy_job.py"]


@pytest.mark.parametrize("module", MODULES)
def test_prefects_private_modules_are_not_used(module: str) -> None:
    assert not [name for name in names(module) if name == "_internal"]


@pytest.mark.clause("P2")
def test_imports_go_one_way() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    argv = [str(program), "--config", str(REPO / "flows" / ".importlinter")]
    ended = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 kept, 0 broken" in ended.stdout
