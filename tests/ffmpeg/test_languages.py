"""A language is written only where it is found again."""

from __future__ import annotations

import json
import subprocess

import pytest

from proxx.ffmpeg.languages import QUICKTIME, SAME, carried_language
from tests.support.makemedia import FFPROBE, make, sound


@pytest.mark.parametrize("part", range(5))
def test_every_word_comes_back_from_quicktime(part: int) -> None:
    words = sorted(QUICKTIME)[part::5]
    maps = [word for place, language in enumerate(words) for word in ("-map", "0")]
    tags = [
        word for place, language in enumerate(words) for word in (f"-metadata:s:a:{place}", f"language={language}")
    ]
    path = make("l.mov", *sound(seconds="0.02"), *maps, "-c:a", "pcm_s16le", *tags)
    argv = [str(FFPROBE), "-v", "error", "-show_entries", "stream_tags=language", "-of", "json", f"file:{path}"]
    answer = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert [stream["tags"]["language"] for stream in answer["streams"]] == words


def test_other_words_for_one_language_meet() -> None:
    assert set(SAME.values()) <= QUICKTIME
    assert not set(SAME) & QUICKTIME
    assert carried_language("mov", "swe") == carried_language("mov", "sve") == "sve"


def test_what_cannot_be_said_is_not() -> None:
    assert carried_language("mov", "gle") is None
    assert carried_language("mp4", "gle") == "gle"
    assert carried_language("mxf", "eng") is None
    assert carried_language("mov", None) is None
