"""Lists the files of a card: sorted candidates, and every file or folder that was skipped with the reason.

Files in a folder are judged by their names only (`filenames`), so a card of thousands of files is listed without
reading any of them; the probe decides later whether a candidate is what its name says. A file that is given as a
source itself is always a candidate.

The order is natural and the same on every machine: by the parts of the path, numbers by value, letters without
case, and by the exact characters if that leaves a tie. No locale takes part. Symbolic links found in a folder are
never followed: the walk cannot leave its folder, and no file is listed twice.
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
from proxx.contracts.output_names import uri_problem
from proxx.contracts.uri import InvalidFileUri, file_path, is_file_uri, without_secrets
from proxx.create.filenames import existing_proxy_reason, proxy_folder_reason, skip_reason, stem_key
from proxx.files.places import Places
from proxx.files.roots import InBucket, OnDisk, OutOfReach, Spot, in_bucket

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HIDDEN: Final = "hidden"
_LINK: Final = "a symbolic link; to use its target, give the target as a source"
_OUTPUT: Final = "the output folder"
_SYSTEM: Final = frozenset({"$recycle.bin", "system volume information", "lost+found"})
_natural: Final = natsort_keygen(alg=ns.INT | ns.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One file to examine.

    path: absolute, symbolic links kept; for an object `/bucket/key`, which serves only for its name. given: its path
    as the user wrote it, for messages. folder: its folder below the source it was found in, `/` between the parts,
    or `` for a file that is a source itself. spot: where the file is.
    """

    path: Path
    given: str
    folder: str
    spot: Spot


@dataclass(frozen=True, kw_only=True)
class PassedOver:
    """A file or folder that is not a candidate, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """The contents of all sources. problems: every source, file or folder that could not be listed."""

    candidates: tuple[Candidate, ...]
    passed_over: tuple[PassedOver, ...]
    problems: tuple[Problem, ...]


def discover(sources: Sequence[Path | str], keep_out: Spot | None = None, places: Places | None = None) -> Discovery:
    """Lists files, folders and prefixes in the order given, the files of each folder in natural order.

    keep_out: the output folder, which is skipped if it is inside a source folder. A file that is in several sources
    is listed once, where it comes first. Raises StorageFault if object storage cannot be listed.
    """
    walk = _Walk(keep_out=keep_out, places=places or Places())
    for source in sources:
        walk.add_source(str(source))
    return walk.discovery()


def locate_argument(text: str, places: Places) -> Spot:
    """Returns the place that an option means: a path, `file:///path`, `s3://bucket/key`, or a name below a root.

    Raises OutOfReach if the text names no place of this machine, or if roots are set and the place is below none of
    them. The place itself is not accessed.
    """
    spot = _parse_argument(text, places)
    places.roots.name(spot)
    return spot


def _parse_argument(text: str, places: Places) -> Spot:
    if text.startswith("s3://") or places.roots.is_below_a_root(text):
        trimmed = text.rstrip("/")
        is_root = trimmed.count("/") < 3 if trimmed.startswith("s3://") else trimmed.endswith(":")
        if not is_root and (fault := uri_problem(trimmed)):
            raise OutOfReach(fault)
        return in_bucket(trimmed) if trimmed.startswith("s3://") else places.spot(trimmed)
    if is_file_uri(text):
        try:
            return OnDisk(absolute_path(Path(file_path(text))))
        except InvalidFileUri as error:
            raise OutOfReach(str(error)) from error
    if _URL.match(text):  # taken as a path it would be relative to the current folder
        raise OutOfReach(f"{without_secrets(text)!r} is not supported: only paths, file:/// and s3:// are")
    return OnDisk(absolute_path(Path(text)))


def absolute_path(path: Path) -> Path:
    """Returns the absolute path with symbolic links kept, except that the part before a `..` is resolved.

    That is the file the operating system opens: it follows a link before it goes up.
    """
    absolute = Path.cwd() / path
    parts = absolute.parts
    if ".." not in parts:
        return absolute
    last = len(parts) - 1 - parts[::-1].index("..")
    return Path(os.path.realpath(Path(*parts[: last + 1]))).joinpath(*parts[last + 1 :])


def natural_key(relative: str) -> tuple[object, ...]:
    """Returns the sort key of a relative path, for the order described in the module's docstring."""
    return (tuple(_natural(part) for part in relative.split("/")), relative)


@dataclass(kw_only=True)
class _Walk:
    """Collects candidates, skipped files and problems over all sources."""

    keep_out: Spot | None
    places: Places

    def __post_init__(self) -> None:
        output = self.keep_out
        self.output_stat = output.path.stat() if isinstance(output, OnDisk) and output.path.is_dir() else None
        self.candidates: list[Candidate] = []
        self.passed_over: list[PassedOver] = []
        self.problems: list[Problem] = []
        self.seen: set[Spot] = set()

    def discovery(self) -> Discovery:
        return Discovery(
            candidates=tuple(self.candidates), passed_over=tuple(self.passed_over), problems=tuple(self.problems)
        )

    def add_source(self, given: str) -> None:
        if self._refuse_undecodable(given):
            return
        try:
            spot = locate_argument(given, self.places)
        except OutOfReach as error:
            self._missing(given, PlaceUnreachable.code, f"{error}.", "Give a file or folder of this machine.")
            return
        if isinstance(spot, InBucket):
            self._add_objects(spot, given)
        else:
            self._add_path(spot.path, given)

    def _add_path(self, path: Path, given: str) -> None:
        try:
            mode = path.stat().st_mode  # follows a link, which the user gave on purpose
        except FileNotFoundError:
            self._missing(given, SourceMissing.code, "There is no such file or folder.", "Check the path.")
        except OSError as error:
            self._unreadable(given, f"It cannot be accessed: {error.strerror}.", "Check its permissions.")
        else:
            if stat.S_ISDIR(mode):
                self._add_folder(path, given)
            elif stat.S_ISREG(mode):
                self._add(Candidate(path=path, given=given, folder="", spot=OnDisk(path)))
            else:
                self._unreadable(given, "It is not a regular file.", "Give a file or a folder.")

    def _add_folder(self, root: Path, given: str) -> None:
        files = sorted(self._files(root, given, ""), key=natural_key)
        self._add_files(files, lambda name: str(Path(given) / name), lambda name: (root / name, OnDisk(root / name)))

    def _add_objects(self, spot: InBucket, given: str) -> None:
        """Adds the object of that key, or if it does not exist all objects below it, as of a folder."""
        bucket = self.places.bucket(spot)
        prefix = spot.prefix
        spot = InBucket(spot.bucket, prefix.rstrip("/"))  # the key of a root's target ends in a slash
        if spot.key and bucket.touch(spot.key):  # a GET, because a refused HEAD does not give the reason
            self._add(Candidate(path=Path("/", spot.bucket, spot.key), given=given, folder="", spot=spot))
            return
        keys = [entry.key for page, _ in bucket.pages(prefix) for entry in page if not entry.key.endswith("/")]
        if not keys:
            message = "There is no object of this name, and none below it."
            self._problem(given, SourceMissing.code, message, "Check the bucket and the key.")
        names = [name for name in (key[len(prefix) :] for key in keys) if self._accept_key(spot, name, given)]
        self._add_files(
            sorted(names, key=natural_key),
            lambda name: f"{given.rstrip('/')}/{name}",
            lambda name: (Path("/", spot.bucket, prefix + name), InBucket(spot.bucket, prefix + name)),
        )

    def _is_output(self, spot: InBucket, source: InBucket) -> bool:
        """Returns whether an object is in the output folder, if that is inside the source and not equal to it."""
        output = self.keep_out
        if not isinstance(output, InBucket) or output.bucket != source.bucket or output.prefix == source.prefix:
            return False
        return output.prefix.startswith(source.prefix) and spot.key.startswith(output.prefix)

    def _accept_key(self, source: InBucket, name: str, given: str) -> bool:
        """Returns whether an object below a source can be a candidate by its folders; records the reason if not."""
        spot = InBucket(source.bucket, f"{source.prefix}{name}")
        reason = _OUTPUT if self._is_output(spot, source) else None
        parts = name.split("/")
        if any(part.startswith(".") for part in parts):
            reason = _HIDDEN
        for depth, part in enumerate(parts[:-1]):
            reason = reason or proxy_folder_reason(part, "/".join(parts[:depth]))
        if uri_problem(f"s3://{spot.bucket}/{spot.key}"):
            reason = "its key has an empty part, `.` or `..`"
        if reason:
            self.passed_over.append(PassedOver(path=_printable(f"{given.rstrip('/')}/{name}"), reason=reason))
        return reason is None

    def _add_files(
        self, names: Sequence[str], given_of: Callable[[str], str], place_of: Callable[[str], tuple[Path, Spot]]
    ) -> None:
        """Adds the files of one source, given by their sorted relative names, that may be clips."""
        stems = {stem_key(name) for name in names}
        for name in names:
            folder, _, last = name.rpartition("/")
            if reason := skip_reason(last) or existing_proxy_reason(name, stems):
                self.passed_over.append(PassedOver(path=given_of(name), reason=reason))
            else:
                path, spot = place_of(name)
                self._add(Candidate(path=path, given=given_of(name), folder=folder, spot=spot))

    def _files(self, root: Path, given: str, below: str) -> Iterator[str]:
        """Yields the relative names of the regular files under a folder; records everything else."""
        try:
            with os.scandir(root / below) as entries:
                listing = sorted(entries, key=lambda entry: natural_key(entry.name))
        except OSError as error:
            message = f"The folder cannot be listed: {error.strerror}."
            self._unreadable(str(Path(given) / below), message, "Check its permissions.")
            return
        for entry in listing:
            name = f"{below}/{entry.name}" if below else entry.name
            shown = str(Path(given) / name)
            if reason := self._entry_reason(entry, below):
                self.passed_over.append(PassedOver(path=_printable(shown), reason=reason))
            elif self._refuse_undecodable(shown):
                continue
            elif entry.is_dir(follow_symlinks=False):
                yield from self._files(root, given, name)
            else:
                yield name

    def _entry_reason(self, entry: os.DirEntry[str], below: str) -> str | None:
        """Returns why a folder entry is skipped by its kind, or None if it is a file or folder to look into."""
        name = entry.name
        if name.startswith("."):
            return _HIDDEN
        if entry.is_symlink():
            return _LINK
        if entry.is_dir(follow_symlinks=False):
            if self.output_stat is not None and os.path.samestat(entry.stat(), self.output_stat):
                return _OUTPUT
            if name.casefold() in _SYSTEM:
                return "a folder of the operating system"
            return proxy_folder_reason(name, below)
        return None if entry.is_file(follow_symlinks=False) else "not a regular file"

    def _add(self, candidate: Candidate) -> None:
        if candidate.spot not in self.seen:
            self.seen.add(candidate.spot)
            self.candidates.append(candidate)

    def _refuse_undecodable(self, given: str) -> bool:
        """Returns whether a name is not UTF-8, so that no spec can hold it, and records that problem."""
        try:
            given.encode()
        except UnicodeEncodeError:
            message = "The name is not valid UTF-8, so no spec can hold it."
            self._problem(_printable(given), SourceUnsupported.code, message, "Rename the file or folder.")
            return True
        return False

    def _unreadable(self, path: str, message: str, remedy: str) -> None:
        self._problem(path, SourceUnreadable.code, message, remedy)

    def _missing(self, given: str, code: str, message: str, remedy: str) -> None:
        lacking = self.places.roots.lacking(given)
        self._problem(given, code, lacking or message, "" if lacking else remedy)

    def _problem(self, path: str, code: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(without_secrets(path), code, message, remedy))


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
