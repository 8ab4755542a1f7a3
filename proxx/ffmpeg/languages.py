"""Maps a sound track's language to the code that ffmpeg writes into a container and reads back. Pure.

QuickTime files store languages as the classic Macintosh numbers (QuickTime File Format, "Language Code Values").
ffmpeg has one code for each of them, not always that of ISO 639, and writes any other language as none (measured,
8.1.2). MP4 can hold every three-letter code, MXF no language at all.
"""

from __future__ import annotations

from typing import Final

_CODES: Final = (
    "eng fra ger ita dut sve spa dan por nor heb jpn ara fin gre ice mlt tur chi urd hin tha kor lit pol hun est lav "
    "rus per alb ron ces slk slv yid mac bul ukr bel uzb kaz aze arm geo mol kir tgk tuk mon pus kur kas snd tib nep "
    "san mar ben asm guj ori mal kan tam tel sin bur khm lao vie ind tgl may amh tir orm som swa run mlg epo wel baq "
    "cat lat que grn aym tat uig dzo jav"
)
QUICKTIME: Final = frozenset(_CODES.split())
SAME: Final = {
    "fre": "fra", "deu": "ger", "nld": "dut", "swe": "sve", "nob": "nor", "nno": "nor", "ell": "gre", "isl": "ice",
    "zho": "chi", "fas": "per", "sqi": "alb", "rum": "ron", "cze": "ces", "slo": "slk", "mkd": "mac", "hye": "arm",
    "kat": "geo", "bod": "tib", "mya": "bur", "msa": "may", "cym": "wel", "eus": "baq",
}  # fmt: skip
"""ISO 639-2 codes of languages for which ffmpeg's QuickTime writer uses another code."""


def carried_language(container: str, language: str | None) -> str | None:
    """Returns the code to write for an ISO 639-2 language, which reads back the same; None if it cannot be stored."""
    if language is None or container == "mxf":
        return None
    if container == "mp4":
        return language
    code = SAME.get(language, language)
    return code if code in QUICKTIME else None
