"""Which languages of sound tracks a container can say, in the words ffmpeg writes and reads it by. Pure.

QuickTime files name languages by the Macintosh's old numbers (QuickTime File Format, "Language Code Values");
ffmpeg knows these under one word each, not always that of ISO 639, and writes any other as none (measured, 8.1.2).
MP4 holds every three-letter code, MXF none.
"""

from __future__ import annotations

from typing import Final

_WORDS: Final = (
    "eng fra ger ita dut sve spa dan por nor heb jpn ara fin gre ice mlt tur chi urd hin tha kor lit pol hun est lav "
    "rus per alb ron ces slk slv yid mac bul ukr bel uzb kaz aze arm geo mol kir tgk tuk mon pus kur kas snd tib nep "
    "san mar ben asm guj ori mal kan tam tel sin bur khm lao vie ind tgl may amh tir orm som swa run mlg epo wel baq "
    "cat lat que grn aym tat uig dzo jav"
)
QUICKTIME: Final = frozenset(_WORDS.split())
SAME: Final = {
    "fre": "fra", "deu": "ger", "nld": "dut", "swe": "sve", "nob": "nor", "nno": "nor", "ell": "gre", "isl": "ice",
    "zho": "chi", "fas": "per", "sqi": "alb", "rum": "ron", "cze": "ces", "slo": "slk", "mkd": "mac", "hye": "arm",
    "kat": "geo", "bod": "tib", "mya": "bur", "msa": "may", "cym": "wel", "eus": "baq",
}  # fmt: skip
"""ISO 639-2 codes of languages that ffmpeg's QuickTime writer knows by another word."""


def carried_language(container: str, language: str | None) -> str | None:
    """The word to write and to find again for an ISO 639-2 code; None where the container cannot say it."""
    if language is None or container == "mxf":
        return None
    if container == "mp4":
        return language
    word = SAME.get(language, language)
    return word if word in QUICKTIME else None
