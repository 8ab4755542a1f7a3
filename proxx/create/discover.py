"""Which files a card holds: a sorted list of candidates, and each file passed over with the reason.

What stands in a folder is judged by name only (`medianames`), so that looking at a card of thousands of files
reads none of them; whether a candidate is what its name says is for the probe. A file named by itself is always a
candidate.

The order is natural and the same everywhere: by the parts of the path, numbers by value, letters without case,
and by the exact characters where that leaves a tie. No locale takes part. Symbolic links found in a folder are
never followed: the walk cannot leave its folder, and no file is found twice.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from natsort import natsort_keygen, ns

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import PlaceUnreachable, SourceMissing, SourceUnreadable, SourceUnsupported
from proxx.contracts.naming import uri_problem
from proxx.contracts.uri import InvalidFileUri, file_path, is_file_uri, without_secrets
from proxx.create.filenames import own_proxy, proxy_folder, stem_key, why_not
from proxx.files.places import Places
from proxx.files.roots import InBucket, OnDisk, OutOfReach, Spot, in_bucket

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HIDDEN: Final = "hidden"
_LINK: Final = "a symbolic link; name its target to use it"
_SYSTEM: Final = frozenset({"$recycle.bin", "system volume information", "lost+found"})
_natural: Final = natsort_keygen(alg=ns.INT | ns.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One file to look at. path: absolute, symbolic links kept; of an object `/bucket/key`, for its name only.

    given: what to call it to the user. folder: its folder below the source folder it was found in, `/` between the
    parts; `` for a named file. spot: where it is.
    """

    path: Path
    given: str
    folder: str
    spot: Spot


@dataclass(frozen=True, kw_only=True)
class PassedOver:
    """A file or folder that is not a candidate, and why."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """What the sources given hold. problems: what could not be looked at, all of it."""

    candidates: tuple[Candidate, ...]
    passed_over: tuple[PassedOver, ...]
    problems: tuple[Problem, ...]


def discover(sources: Sequence[Path | str], keep_out: Spot | None = None, places: Places | None = None) -> Discovery:
    """Look through files, folders and prefixes in the order given, each folder in natural order.

    keep_out: the output folder, passed over where it stands inside a source folder. A file that several sources
    name is taken once, where it comes first. Raises WireFault where object storage cannot be listed.
    """
    state = _Walk(keep_out=keep_out, places=places or Places())
    for source in sources:
        state.look_at(str(source))
    return state.found()


def locate_argument(text: str, places: Places) -> Spot:
    """The place that a person means: a path, `file:///path`, `s3://bucket/key`, or a name below a root.

    Raises OutOfReach, also where roots are set and it is below none: there nothing is even looked at.
    """
    spot = _spot(text, places)
    places.roots.name(spot)
    return spot


def _spot(text: str, places: Places) -> Spot:
    if text.startswith("s3://") or places.roots.is_below_a_root(text):
        whole = text.rstrip("/")
        bare = whole.count("/") < 3 if whole.startswith("s3://") else whole.endswith(":")
        if not bare and (fault := uri_problem(whole)):
            raise OutOfReach(fault)
        return in_bucket(whole) if whole.startswith("s3://") else places.spot(whole)
    if is_file_uri(text):
        try:
            return OnDisk(absolute_path(Path(file_path(text))))
        except InvalidFileUri as why:
            raise OutOfReach(str(why)) from why
    if _URL.match(text):  # as a path it would stand below the folder one happens to be in
        raise OutOfReach(f"{without_secrets(text)!r} is of a kind that is not supported, only paths and s3:// are")
    return OnDisk(absolute_path(Path(text)))


def absolute_path(path: Path) -> Path:
    """The absolute form of a path, symbolic links kept. What stands before a `..` is resolved, as the system does."""
    whole = Path.cwd() / path
    parts = whole.parts
    if ".." not in parts:
        return whole
    last = len(parts) - 1 - parts[::-1].index("..")
    return Path(os.path.realpath(Path(*parts[: last + 1]))).joinpath(*parts[last + 1 :])


def natural_key(relative: str) -> tuple[object, ...]:
    """What paths are sorted by: see the module's first lines."""
    return (tuple(_natural(part) for part in relative.split("/")), relative)


@dataclass(kw_only=True)
class _Walk:
    keep_out: Spot | None
    places: Places

    def __post_init__(self) -> None:
        out = self.keep_out
        self.no_folder = out.path.stat() if isinstance(out, OnDisk) and out.path.is_dir() else None
        self.candidates: list[Candidate] = []
        self.passed: list[PassedOver] = []
        self.problems: list[Problem] = []
        self.seen: set[Spot] = set()

    def found(self) -> Discovery:
        return Discovery(
            candidates=tuple(self.candidates), passed_over=tuple(self.passed), problems=tuple(self.problems)
        )

    def look_at(self, given: str) -> None:
        if self._unnameable(given):
            return
        try:
            spot = locate_argument(given, self.places)
        except OutOfReach as why:
            self._problem(given, PlaceUnreachable.code, f"{why}.", "Name a place of this machine.")
            return
        if isinstance(spot, InBucket):
            self._objects(spot, given)
        else:
            self._on_disk(spot.path, given)

    def _on_disk(self, path: Path, given: str) -> None:
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
                self._take(Candidate(path=path, given=given, folder="", spot=OnDisk(path)))
            else:
                self._problem(given, SourceUnreadable.code, "is not a regular file.", "Name a file or a folder.")

    def _folder(self, root: Path, given: str) -> None:
        files = sorted(self._files(root, given, ""), key=natural_key)
        self._choose(files, lambda name: str(Path(given) / name), lambda name: (root / name, OnDisk(root / name)))

    def _objects(self, spot: InBucket, given: str) -> None:
        """An object of that key, or else those below it as below a folder."""
        bucket = self.places.bucket(spot)
        prefix = spot.prefix
        spot = InBucket(spot.bucket, prefix.rstrip("/"))  # of a root itself it ends in a slash
        if spot.key and bucket.touch(spot.key):  # a HEAD that is refused does not say why
            self._take(Candidate(path=Path("/", spot.bucket, spot.key), given=given, folder="", spot=spot))
            return
        keys = [one.key for objects, _ in bucket.pages(prefix) for one in objects if not one.key.endswith("/")]
        if not keys:
            self._problem(given, SourceMissing.code, "there is no such object and nothing below it.", "Check it.")
        names = [key[len(prefix) :] for key in keys if self._open(spot, key[len(prefix) :], given)]
        base = given.rstrip("/")
        self._choose(
            sorted(names, key=natural_key),
            lambda name: f"{base}/{name}",
            lambda name: (Path("/", spot.bucket, prefix + name), InBucket(spot.bucket, prefix + name)),
        )

    def _is_output(self, spot: InBucket, walked: InBucket) -> bool:
        """Only where the output folder stands inside what is walked: it may be the same, or above it."""
        out = self.keep_out
        if not isinstance(out, InBucket) or out.bucket != walked.bucket or out.prefix == walked.prefix:
            return False
        return out.prefix.startswith(walked.prefix) and spot.key.startswith(out.prefix)

    def _open(self, walked: InBucket, name: str, given: str) -> bool:
        """Whether a key below what is walked is looked at by its name; why not is recorded."""
        spot, reason = InBucket(walked.bucket, f"{walked.prefix}{name}"), None
        if self._is_output(spot, walked):
            reason = "the output folder"
        parts = name.split("/")
        if any(part.startswith(".") for part in parts):
            reason = _HIDDEN
        for place, part in enumerate(parts[:-1]):
            reason = reason or proxy_folder(part, "/".join(parts[:place]))
        if uri_problem(f"s3://{spot.bucket}/{spot.key}"):
            reason = "its key has an empty part, `.` or `..`"
        if reason:
            self.passed.append(PassedOver(path=_printable(f"{given.rstrip('/')}/{name}"), reason=reason))
        return reason is None

    def _choose(
        self, names: Sequence[str], said_of: Callable[[str], str], place_of: Callable[[str], tuple[Path, Spot]]
    ) -> None:
        """Of the sorted names in one folder, those that may be clips."""
        stems = {stem_key(name) for name in names}
        for name in names:
            folder, _, last = name.rpartition("/")
            reason = why_not(last) or own_proxy(name, stems)
            if reason:
                self.passed.append(PassedOver(path=said_of(name), reason=reason))
            else:
                path, spot = place_of(name)
                self._take(Candidate(path=path, given=said_of(name), folder=folder, spot=spot))

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
            if self.no_folder is not None and os.path.samestat(entry.stat(), self.no_folder):
                return "the output folder"
            if name.casefold() in _SYSTEM:
                return "a folder of the operating system"
            return proxy_folder(name, below)
        return None if entry.is_file(follow_symlinks=False) else "not a regular file"

    def _take(self, candidate: Candidate) -> None:
        if candidate.spot not in self.seen:
            self.seen.add(candidate.spot)
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
        self.problems.append(Problem(without_secrets(path), code, message, remedy))


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
