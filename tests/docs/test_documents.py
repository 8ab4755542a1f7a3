"""The documents are complete and true: links, verbs, exit statuses, folders, dependencies, the commands they show."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.cli.command import environment
from tests.objects.moto import Moto
from tests.support.jobs import half_second

REPO: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted(
    str(path.relative_to(REPO))
    for path in (*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob("deployments/*.md"))
)
SCREENS: Final = 150  # lines: three screens of fifty
LINK: Final = re.compile(r"\[[^]]+\]\(([^)#]+)(#[^)]*)?\)")
SCALING: Final = ("flows/", "deployments/", "prefect.yaml", "tests/flows/", "tests/cluster/")
"""What a checkout without the scaling code lacks (clause V6)."""


def text_of(document: str) -> str:
    return (REPO / document).read_text("utf-8")


def blocks(document: str, language: str) -> list[str]:
    """Returns the code blocks of one language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(document), re.DOTALL | re.MULTILINE)
    return [text for word, text in fenced if word == language]


def help_text(*args: str) -> str:
    argv = [sys.executable, "-m", "proxx", *args, "--help"]
    return subprocess.run(argv, capture_output=True, check=True, text=True, env=environment(COLUMNS="100")).stdout


def is_here(path: Path) -> bool:
    """Returns whether a file exists, or is part of the scaling code in a checkout that lacks it."""
    name = path.resolve().relative_to(REPO.resolve()).as_posix()
    without_scaling = not (REPO / "flows").exists() and f"{name}/".startswith(SCALING)
    return path.exists() or without_scaling


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    for target, _ in LINK.findall(text_of(document)):
        assert not target.startswith("http"), f"{document} names a host: {target}"
        assert is_here((REPO / document).parent / target), f"{document}: {target} does not exist"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_modules_and_tests_that_a_document_names_exist(document: str) -> None:
    for name in re.findall(r"`((?:proxx|flows|tests)/[\w/]+\.(?:py|json|toml))`", text_of(document)):
        assert is_here(REPO / name), f"{document}: {name} does not exist"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_placeholder_is_left(document: str) -> None:
    assert not re.findall(r"\b(?:TIME_[A-Z]+|TODO|TBD|FIXME)\b", text_of(document))


def test_the_readme_fits_three_screens() -> None:
    assert len(text_of("README.md").splitlines()) <= SCREENS


def test_the_readme_and_the_manual_name_every_verb_and_exit_status() -> None:
    verbs, statuses = help_text().split("Verbs:")[1].split("Exit status:")
    manual = text_of("docs/manual.md")
    for verb in re.findall(r"^  ([a-z]+) ", verbs, re.MULTILINE):
        assert f"`proxx {verb}`" in text_of("README.md"), f"the README does not name `proxx {verb}`"
        assert f"\nproxx {verb}" in manual, f"the manual does not show `proxx {verb}`"
    for status in re.findall(r"\b\d+\b", statuses):
        assert f"\n| {status} |" in manual, f"the manual does not name exit status {status}"


def test_the_options_that_the_manual_shows_exist() -> None:
    shown = "\n".join(block for block in blocks("docs/manual.md", "") if block.startswith("proxx "))
    commands = [line for line in re.sub(r"\n +", " ", shown).splitlines() if line]
    assert len(commands) > 10
    for command in commands:
        verb = command.split()[1]
        if verb in ("submit", "audit") and not (REPO / "flows").exists():
            continue
        known = help_text(verb)
        for option in re.findall(r"--[a-z-]+", command):
            assert option in known, f"{command}: `proxx {verb}` has no {option}"


def test_every_folder_is_in_the_architecture() -> None:
    table = text_of("docs/architecture.md").split("## Where things are")[1].split("## The store")[0]
    folders = [path for path in (REPO / "proxx").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert len(folders) > 9
    for folder in folders:
        row = re.search(rf"\| `proxx/{folder.name}` \|[^|]+\| `([^`]+)` \|", table)
        assert row, f"docs/architecture.md has no row for proxx/{folder.name}"
        assert (folder / row[1]).exists(), f"proxx/{folder.name}/{row[1]} does not exist"


def test_each_dependency_has_its_line() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    listed = text_of("docs/dependencies.md")
    for requirement in project["dependencies"]:
        name = re.split(r"[<>=~!\[]", requirement)[0]
        assert f"| {name} |" in listed, f"docs/dependencies.md does not say why {name} is needed"


# --- the commands of the manual ----------------------------------------------------------------------------


def run_block(block: str, folder: Path, **variables: str) -> None:
    """Runs the lines of a shell block: `export NAME=VALUE`, and proxx with an optional `> file`."""
    settings: dict[str, str] = {"HOME": str(folder), **variables}
    for line in block.strip().splitlines():
        words = shlex.split(line)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            settings[name] = variables.get(name, value)
            continue
        assert words[0] == "proxx", line
        target = words[words.index(">") + 1] if ">" in words else None
        argv = [sys.executable, "-m", "proxx", *words[1 : words.index(">") if ">" in words else None]]
        finished = subprocess.run(
            argv, cwd=folder, env=environment(**settings), capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, f"{line}\n{finished.stdout}{finished.stderr}"
        if target is not None:
            (folder / target).write_text(finished.stdout, encoding="utf-8")


def block_with(words: str) -> str:
    (block,) = [block for block in blocks("docs/manual.md", "sh") if words in block]
    return block


def test_the_manuals_commands_with_roots_run(tmp_path: Path) -> None:
    card = tmp_path / "media" / "A001"
    card.mkdir(parents=True)
    (tmp_path / "edit").mkdir()
    (card / "clip.mov").write_bytes(half_second("manual.mov").read_bytes())
    block = block_with("PROXX_ROOTS=")
    assert "media=/mnt/media;proxies=/mnt/edit" in block
    run_block(
        block.replace("/mnt/", f"{tmp_path}/") + "proxx run a001.json\n",
        tmp_path,
        PROXX_STORE=str(tmp_path / "store"),
    )
    assert (tmp_path / "edit" / "A001" / "clip.mov").is_file()


def test_the_manuals_commands_for_a_profile_of_ones_own_run(tmp_path: Path) -> None:
    run_block(block_with("my.toml"), tmp_path)
    text = (tmp_path / "my.toml").read_text("utf-8")
    own = text.replace('name = "prores_proxy_half"', 'name = "my_proxy"')
    assert own != text
    (tmp_path / "my.toml").write_text(own, encoding="utf-8")
    clip = half_second("manual.mov")
    run_block(f"proxx create {clip} --profile my.toml --output {tmp_path}/out --spec own.json\n", tmp_path)


def test_the_manuals_commands_with_object_storage_run(tmp_path: Path, moto: Moto) -> None:
    endpoint = moto.as_user()
    buckets = {name: endpoint.bucket(name).make() for name in ("jobs", "cards", "edit")}
    buckets["cards"].put("A001/clip.mov", half_second("manual.mov").read_bytes())
    try:
        run_block(block_with("PROXX_STORE=s3://"), tmp_path, **endpoint.environment)
        assert buckets["edit"].get("A001/clip.mov")
    finally:
        for bucket in buckets.values():
            bucket.delete_all()
