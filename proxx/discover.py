"""Which files a card holds: a sorted list of candidates, and each file passed over with the reason.

What stands in a folder is judged by name only, so that looking at a card of thousands of files reads none of
them; whether a candidate is what its name says is for the probe. A file named by itself is always a candidate.

The order is natural and the same everywhere: by the parts of the path, numbers by value, letters without case,
and by the exact characters where that leaves a tie. No locale takes part. Symbolic links found in a folder are
never followed: the walk cannot leave its folder, and no file is found twice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from natsort import natsort_keygen, ns

from proxx.errors import Problem, SourceMissing, SourceUnreadable, SourceUnsupported

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

_HIDDEN: Final = "hidden"
_LINK: Final = "a symbolic link; name its target to use it"
_PROXY_FOLDERS: Final = frozenset({"proxy", "proxies"})
_SYSTEM: Final = frozenset({"$recycle.bin", "system volume information", "lost+found"})
_natural: Final = natsort_keygen(alg=ns.INT | ns.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One file to look at. path: absolute, symbolic links kept. given: what to call it to the user.

    folder: its folder below the source folder it was found in, `/` between the parts; `` for a named file.
    """

    path: Path
    given: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class PassedOver:
    """A file or folder that is not a candidate, and why."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the sources given hold. problems: what could not be looked at, all of it."""

    candidates: tuple[Candidate, ...]
    passed_over: tuple[PassedOver, ...]
    problems: tuple[Problem, ...]


def discover(sources: Sequence[Path], keep_out: Path | None = None) -> Found:
    """Look through files and folders in the order given, each folder in natural order.

    keep_out: the output folder, passed over where it stands inside a source folder. A file that several sources
    name is taken once, where it comes first.
    """
    state = _Walk(keep_out=keep_out.stat() if keep_out is not None and keep_out.is_dir() else None)
    for source in sources:
        state.look_at(source)
    return state.found()


def absolute(path: Path) -> Path:
    """The absolute form of a path, symbolic links kept. What stands before a `..` is resolved, as the system does."""
    whole = Path.cwd() / path
    parts = whole.parts
    if ".." not in parts:
        return whole
    last = len(parts) - 1 - parts[::-1].index("..")
    return Path(*parts[: last + 1]).resolve().joinpath(*parts[last + 1 :])


def natural_key(relative: str) -> tuple[object, ...]:
    """What paths are sorted by: see the module's first lines."""
    return (tuple(_natural(part) for part in relative.split("/")), relative)


@dataclass(kw_only=True)
class _Walk:
    keep_out: os.stat_result | None

    def __post_init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.passed: list[PassedOver] = []
        self.problems: list[Problem] = []
        self.seen: set[Path] = set()

    def found(self) -> Found:
        return Found(candidates=tuple(self.candidates), passed_over=tuple(self.passed), problems=tuple(self.problems))

    def look_at(self, source: Path) -> None:
        path, given = absolute(source), str(source)
        if self._unnameable(given):
            return
        try:
            mode = path.stat().st_mode  # a named link is followed: it was named
        except FileNotFoundError:
            self._problem(given, SourceMissing.code, "there is no such file or folder.", "Check the path.")
        except OSError as why:
            self._problem(given, SourceUnreadable.code, f"cannot be looked at: {why.strerror}.", "Check its rights.")
        else:
            if stat.S_ISDIR(mode):
                self._folder(path, given)
            elif stat.S_ISREG(mode):
                self._take(Candidate(path=path, given=given, folder=""))
            else:
                self._problem(given, SourceUnreadable.code, "is not a regular file.", "Name a file or a folder.")

    def _folder(self, root: Path, given: str) -> None:
        files = sorted(self._files(root, given, ""), key=natural_key)
        stems = {_stem_key(name) for name in files}
        for name in files:
            folder, _, last = name.rpartition("/")
            said = str(Path(given) / name)
            reason = _why_not(last) or _own_proxy(name, stems)
            if reason:
                self.passed.append(PassedOver(path=said, reason=reason))
            else:
                self._take(Candidate(path=root / name, given=said, folder=folder))

    def _files(self, root: Path, given: str, below: str) -> Iterator[str]:
        """The regular files under a folder by their relative names; everything else is recorded on the way."""
        try:
            with os.scandir(root / below) as entries:
                listing = sorted(entries, key=lambda entry: natural_key(entry.name))
        except OSError as why:
            said = str(Path(given) / below)
            self._problem(said, SourceUnreadable.code, f"cannot be listed: {why.strerror}.", "Check its rights.")
            return
        for entry in listing:
            name = f"{below}/{entry.name}" if below else entry.name
            said = str(Path(given) / name)
            reason = self._closed(entry, below)
            if reason:
                self.passed.append(PassedOver(path=_printable(said), reason=reason))
            elif self._unnameable(said):
                continue
            elif entry.is_dir(follow_symlinks=False):
                yield from self._files(root, given, name)
            else:
                yield name

    def _closed(self, entry: os.DirEntry[str], below: str) -> str | None:
        """Why an entry is not even looked into, or None."""
        name = entry.name
        if name.startswith("."):
            return _HIDDEN
        if entry.is_symlink():
            return _LINK
        if entry.is_dir(follow_symlinks=False):
            if self.keep_out is not None and os.path.samestat(entry.stat(), self.keep_out):
                return "the output folder"
            if name.casefold() in _SYSTEM:
                return "a folder of the operating system"
            return _proxy_folder(name, below)
        return None if entry.is_file(follow_symlinks=False) else "not a regular file"

    def _take(self, candidate: Candidate) -> None:
        if candidate.path not in self.seen:
            self.seen.add(candidate.path)
            self.candidates.append(candidate)

    def _unnameable(self, said: str) -> bool:
        """A name that is no UTF-8 has no place in a spec, which is JSON: refused, in words that can be printed."""
        try:
            said.encode()
        except UnicodeEncodeError:
            self._problem(
                _printable(said), SourceUnsupported.code, "its name is not UTF-8.", "Rename the file or folder."
            )
            return True
        return False

    def _problem(self, path: str, code: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(path, code, message, remedy))


def _why_not(name: str) -> str | None:
    ending = name.rpartition(".")[2].casefold() if "." in name else ""
    if ending in MEDIA or ending in CAMERA_RAW:
        return None
    for reason, endings in _REASONS.items():
        if ending in endings:
            return reason
    return "not the name of a media file; name the file itself to try it"


def _proxy_folder(name: str, below: str) -> str | None:
    """Cameras' and editors' own proxies: `Proxy` (Premiere, Resolve, Panasonic), Sony's `SUB` beside `CLIP`."""
    folded, parent = name.casefold(), below.rpartition("/")[2].casefold()
    if folded in _PROXY_FOLDERS or (folded == "sub" and parent in ("m4root", "xdroot")):
        return "a folder of existing proxies; name it itself to use it"
    return None


def _own_proxy(name: str, stems: set[str]) -> str | None:
    """`A001_Proxy.mov` beside its original `A001.*`: what Premiere names a proxy."""
    stem = _stem_key(name)
    if stem.endswith("_proxy") and stem.removesuffix("_proxy") in stems:
        return "an existing proxy of a file beside it"
    return None


def _stem_key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0]}".casefold()


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
