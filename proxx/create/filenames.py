"""What a file's name says of it: a moving picture to look at, or what else it is. Pure."""

from __future__ import annotations

from typing import Final

MEDIA: Final = frozenset(
    {"mov", "qt", "mp4", "m4v", "3gp", "3g2", "mxf", "mts", "m2ts", "m2t", "ts", "mkv", "webm", "insv", "360",
     "avi", "wmv", "mpg", "mpeg", "m2v", "dv", "vob"}
)  # fmt: skip
"""Names of moving pictures, those included that the probe will refuse by name: none may be lost without a word."""

CAMERA_RAW: Final = frozenset({"r3d", "braw", "crm", "nev", "arx", "cine"})
"""Camera raw of one file a clip: candidates, so that each is refused by name and not passed over."""

_REASONS: Final[dict[str, frozenset[str]]] = {
    "frames of a picture sequence or stills; this version makes proxies of single files": frozenset(
        {"dng", "dpx", "exr", "tif", "tiff", "ari", "jpg", "jpeg", "png", "heic", "arw", "cr2", "cr3", "nef", "gpr",
         "insp", "raf", "bmp", "gif", "tga", "j2c", "jp2"}
    ),
    "sound without a picture": frozenset({"wav", "bwf", "aif", "aiff", "mp3", "m4a", "aac", "flac", "ac3"}),
    "a small copy the camera made": frozenset({"lrv", "lrf", "glv"}),
    "a sidecar": frozenset(
        {"xml", "xmp", "rmd", "thm", "mhl", "md5", "sha1", "xxh", "xxhash", "txt", "log", "pdf", "csv", "json", "ale",
         "edl", "fcpxml", "otio", "aaf", "cube", "3dl", "look", "aml", "cpi", "mpl", "bdm", "bim", "bin", "dat",
         "cpf", "smi", "ppn", "html", "ini", "db", "idx", "ifo", "bup", "inp", "int", "tid", "tdt", "jdt", "cif",
         "cont", "rtn", "rdc_xml", "sidecar", "srt", "vtt", "nmea", "gpx"}
    ),
}  # fmt: skip

_PROXY_FOLDERS: Final = frozenset({"proxy", "proxies"})


def why_not(name: str) -> str | None:
    ending = name.rpartition(".")[2].casefold() if "." in name else ""
    if ending in MEDIA or ending in CAMERA_RAW:
        return None
    for reason, endings in _REASONS.items():
        if ending in endings:
            return reason
    return "not the name of a media file; name the file itself to try it"


def proxy_folder(name: str, below: str) -> str | None:
    """Cameras' and editors' own proxies: `Proxy` (Premiere, Resolve, Panasonic), Sony's `SUB` beside `CLIP`."""
    folded, parent = name.casefold(), below.rpartition("/")[2].casefold()
    if folded in _PROXY_FOLDERS or (folded == "sub" and parent in ("m4root", "xdroot")):
        return "a folder of existing proxies; name it itself to use it"
    return None


def own_proxy(name: str, stems: set[str]) -> str | None:
    """`A001_Proxy.mov` beside its original `A001.*`: what Premiere names a proxy."""
    stem = stem_key(name)
    if stem.endswith("_proxy") and stem.removesuffix("_proxy") in stems:
        return "an existing proxy of a file beside it"
    return None


def stem_key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0]}".casefold()
