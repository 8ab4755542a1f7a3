"""The README's session is run, and what it shows is what is printed. `python -m tests.test_readme` writes it anew."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.makemedia import make, picture, sound

README = Path(__file__).parents[2] / "README.md"
HERE = "/shoot"  # what the folder of the session is called in the README
BLOCK = re.compile(r"```console\n\$ (proxx [^\n]*)\n(.*?)```", re.DOTALL)
VARYING = (
    (re.compile(r"\b[0-9a-f]{12}([0-9a-f]{52})?\b"), "<id>"),  # ids hold the folder's path
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"in \d+(\.\d+)? s"), "in <seconds>"),
    (re.compile(r"[\d.]+ [kMGT]?i?B are free"), "<bytes> are free"),
)


def card(folder: Path) -> None:
    """The card of the session: two camera clips, a phone's, and sound without picture."""
    colour = ("-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "12", "-threads", "1", *colour)
    camera = ("-c:a", "pcm_s24le", "-metadata:s:v:0", "reel_name=A001", *video)
    clips = {
        "A001C001.mov": make(
            "A001C001.mov",
            *picture("1280x720", "25", "2"),
            *sound("stereo", "2"),
            *camera,
            *("-timecode", "10:00:00:00"),
        ),
        "A001C002.mov": make(
            "A001C002.mov",
            *picture("1280x720", "30000/1001", "2.002"),
            *sound("mono", "2.002"),
            *camera,
            *("-timecode", "00:59:59;28"),
        ),
        "PHONE/IMG_2210.mov": make(
            "IMG_2210.mov",
            *("-display_rotation", "-90", "-i", str(upright())),
            *("-c", "copy"),
        ),
        "ROOM_TONE.mov": make("ROOM_TONE.mov", *sound("stereo", "2"), "-c:a", "pcm_s24le"),
    }
    for name, clip in clips.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, folder / name)


def upright() -> Path:
    return make(
        "phone.mov",
        *picture("1280x720", "30", "1"),
        *sound("mono", "1"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-threads", "1", "-c:a", "aac"),
    )


def session(folder: Path) -> list[tuple[str, str]]:
    """Each command of the README with what it prints here."""
    card(folder / "A001")
    said = []
    for command, _ in BLOCK.findall(README.read_text("utf-8")):
        argv = [sys.executable, "-m", "proxx", *command.split()[1:]]
        env = {"PROXX_STORE": str(folder / "store"), "HOME": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "120"}
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, check=False, text=True)
        said.append((command, (done.stdout + done.stderr).replace(str(folder), HERE)))
    return said


def plain(text: str) -> str:
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return re.sub(r" +", " ", text)


def test_the_session_is_what_is_printed(tmp_path: Path) -> None:
    shown = BLOCK.findall(README.read_text("utf-8"))
    assert len(shown) >= 5
    for (command, text), (_, printed) in zip(shown, session(tmp_path), strict=True):
        assert plain(printed) == plain(text), f"{command}: remake with `python -m tests.test_readme`"


def test_the_manual_names_every_verb_and_exit_status() -> None:
    text = README.read_text("utf-8")
    argv = [sys.executable, "-m", "proxx", "--help"]
    told = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    verbs, statuses = told.split("Verbs:")[1].split("Exit status:")
    for verb in re.findall(r"^  ([a-z]+) ", verbs, re.MULTILINE):
        assert f"\nproxx {verb}" in text, f"the README's manual does not name `proxx {verb}`"
    for status in re.findall(r"\b\d+\b", statuses):
        assert f"\n| {status} |" in text, f"the README's manual does not name exit status {status}"


@pytest.mark.parametrize("name", ["pydantic", "ffmpeg-python", "rfc8785", "timecode", "click", "rich", "natsort"])
def test_each_dependency_earns_its_line(name: str) -> None:
    assert f"| {name} |" in README.read_text("utf-8")


def remake() -> None:
    with tempfile.TemporaryDirectory() as folder:
        said = dict(session(Path(folder).resolve()))
    text = README.read_text("utf-8")
    text = BLOCK.sub(lambda match: f"```console\n$ {match[1]}\n{said[match[1]]}```", text)
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    remake()
