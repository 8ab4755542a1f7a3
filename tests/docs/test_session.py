"""Runs the session of the README and compares what it prints.

`python -m tests.docs.test_session` rewrites the session.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.makemedia import make, picture, sound

README = Path(__file__).parents[2] / "README.md"
SHOWN_FOLDER = "/shoot"  # stands in the README for the folder of the session
BLOCK = re.compile(r"```console\n\$ (proxx [^\n]*)\n(.*?)```", re.DOTALL)
VARYING = (
    (re.compile(r"\b[0-9a-f]{12}([0-9a-f]{52})?\b"), "<id>"),  # ids hold the folder's path
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"in \d+(\.\d+)? s"), "in <seconds>"),
    (re.compile(r"[\d.]+ [kMGT]?i?B are free"), "<bytes> are free"),
)


def card(folder: Path) -> None:
    """Makes the card of the session: two camera clips, a phone clip, and sound without a picture."""
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
    """Returns each command of the README with what it prints on this machine."""
    card(folder / "A001")
    printed = []
    for command, _ in BLOCK.findall(README.read_text("utf-8")):
        argv = [sys.executable, "-m", "proxx", *command.split()[1:]]
        env = {"PROXX_STORE": str(folder / "store"), "HOME": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "120"}
        finished = subprocess.run(argv, cwd=folder, env=env, capture_output=True, check=False, text=True)
        printed.append((command, (finished.stdout + finished.stderr).replace(str(folder), SHOWN_FOLDER)))
    return printed


def plain(text: str) -> str:
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return re.sub(r" +", " ", text)


def test_the_session_is_what_is_printed(tmp_path: Path) -> None:
    shown = BLOCK.findall(README.read_text("utf-8"))
    assert len(shown) >= 5
    for (command, text), (_, printed) in zip(shown, session(tmp_path), strict=True):
        assert plain(printed) == plain(text), f"{command}: rewrite it with `python -m tests.docs.test_session`"


def remake() -> None:
    with tempfile.TemporaryDirectory() as folder:
        printed = dict(session(Path(folder).resolve()))
    text = README.read_text("utf-8")
    text = BLOCK.sub(lambda match: f"```console\n$ {match[1]}\n{printed[match[1]]}```", text)
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    remake()
