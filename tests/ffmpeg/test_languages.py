"""A language is written only if the container can hold it."""

from __future__ import annotations

import json
import subprocess

import pytest

from proxx.ffmpeg.languages import QUICKTIME, SAME, carried_language
from tests.support.makemedia import FFPROBE, make, sound


@pytest.mark.parametrize("part", range(5))
def test_every_quicktime_language_is_read_back(part: int) -> None:
    codes = sorted(QUICKTIME)[part::5]
    maps = ["-map", "0"] * len(codes)
    tags = [option for n, code in enumerate(codes) for option in (f"-metadata:s:a:{n}", f"language={code}")]
    path = make("l.mov", *sound(seconds="0.02"), *maps, "-c:a", "pcm_s16le", *tags)
    argv = [str(FFPROBE), "-v", "error", "-show_entries", "stream_tags=language", "-of", "json", f"file:{path}"]
    shown = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert [stream["tags"]["language"] for stream in shown["streams"]] == codes


def test_other_codes_of_a_language_are_mapped_to_that_of_quicktime() -> None:
    assert set(SAME.values()) <= QUICKTIME
    assert not set(SAME) & QUICKTIME
    assert carried_language("mov", "swe") == carried_language("mov", "sve") == "sve"


def test_a_language_the_container_cannot_hold_is_not_written() -> None:
    assert carried_language("mov", "gle") is None
    assert carried_language("mp4", "gle") == "gle"
    assert carried_language("mxf", "eng") is None
    assert carried_language("mov", None) is None
