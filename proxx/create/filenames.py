"""What a file's name says about it: a clip to examine, or the reason to skip it. Pure."""

from __future__ import annotations

from typing import Final

MEDIA: Final = frozenset(
    {"mov", "qt", "mp4", "m4v", "3gp", "3g2", "mxf", "mts", "m2ts", "m2t", "ts", "mkv", "webm", "insv", "360",
     "avi", "wmv", "mpg", "mpeg", "m2v", "dv", "vob"}
)  # fmt: skip
"""Endings of movie files, also of formats that the probe refuses: such a file is refused and not silently skipped."""

CAMERA_RAW: Final = frozenset({"r3d", "braw", "crm", "nev", "arx", "cine"})
"""Endings of camera raw with one file per clip: candidates, so that each is refused with a message of its own."""

_REASONS: Final[dict[str, frozenset[str]]] = {
    "a still or a frame of an image sequence; this version makes proxies of single movie files": frozenset(
        {"dng", "dpx", "exr", "tif", "tiff", "ari", "jpg", "jpeg", "png", "heic", "arw", "cr2", "cr3", "nef", "gpr",
         "insp", "raf", "bmp", "gif", "tga", "j2c", "jp2"}
    ),
    "sound without a picture": frozenset({"wav", "bwf", "aif", "aiff", "mp3", "m4a", "aac", "flac", "ac3"}),
    "a low-resolution copy made by the camera": frozenset({"lrv", "lrf", "glv"}),
    "a sidecar": frozenset(
        {"xml", "xmp", "rmd", "thm", "mhl", "md5", "sha1", "xxh", "xxhash", "txt", "log", "pdf", "csv", "json", "ale",
         "edl", "fcpxml", "otio", "aaf", "cube", "3dl", "look", "aml", "cpi", "mpl", "bdm", "bim", "bin", "dat",
         "cpf", "smi", "ppn", "html", "ini", "db", "idx", "ifo", "bup", "inp", "int", "tid", "tdt", "jdt", "cif",
         "cont", "rtn", "rdc_xml", "sidecar", "srt", "vtt", "nmea", "gpx"}
    ),
}  # fmt: skip

_PROXY_FOLDERS: Final = frozenset({"proxy", "proxies"})


def skip_reason(name: str) -> str | None:
    """Returns why a file of this name is not a candidate, or None if it is one."""
    ending = name.rpartition(".")[2].casefold() if "." in name else ""
    if ending in MEDIA or ending in CAMERA_RAW:
        return None
    for reason, endings in _REASONS.items():
        if ending in endings:
            return reason
    return "not the name of a media file; to use it, give the file itself as a source"


def proxy_folder_reason(name: str, parent: str) -> str | None:
    """Returns why a folder is skipped if it holds proxies of a camera or an editing program, else None.

    These are `Proxy` (Premiere, Resolve, Panasonic) and Sony's `SUB` beside `CLIP`. parent: the path of the folder
    that contains it, `/` between the parts.
    """
    folded, folded_parent = name.casefold(), parent.rpartition("/")[2].casefold()
    if folded in _PROXY_FOLDERS or (folded == "sub" and folded_parent in ("m4root", "xdroot")):
        return "a folder of existing proxies; to use it, give the folder itself as a source"
    return None


def existing_proxy_reason(name: str, stems: set[str]) -> str | None:
    """Returns why `A001_Proxy.mov` beside its original `A001.*` is skipped, else None. Premiere uses such names.

    stems: the `stem_key` of every file in the listing.
    """
    stem = stem_key(name)
    if stem.endswith("_proxy") and stem.removesuffix("_proxy") in stems:
        return "an existing proxy of a file beside it"
    return None


def stem_key(name: str) -> str:
    """Returns the path without its ending, folded for comparison without case."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0]}".casefold()
