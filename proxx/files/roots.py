"""Translates between the places named in a spec and their location on this machine. Pure.

A place is `/path`, `s3://bucket/key`, or a name below a root: `media:/A001/clip.mov`. The target of a root, a folder
or a prefix in a bucket, is a setting of the machine and not part of any spec, so one spec works on every machine that
has the same media. If roots are set, nothing outside them is read or written, and every file has one name, the one
below its root.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import PlaceUnreachable, RootsInvalid
from proxx.contracts.job import JobSpec
from proxx.contracts.output_names import bucket_name_problem, normalized_name, uri_problem
from proxx.contracts.uri import without_secrets

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_RESERVED: Final = frozenset({"s3", "file", "memory", "http", "https", "ftp", "pipe", "concat", "data"})
_REMEDY: Final = "Set the roots that the spec uses on this machine (PROXX_ROOTS or --root)."


@dataclass(frozen=True)
class OnDisk:
    """A file of this machine. within: the folder of its root, which no link may leave; None without roots."""

    path: Path
    within: Path | None = None


@dataclass(frozen=True)
class InBucket:
    """An object: `s3://bucket/key`. The key of a folder ends in `/` or is empty."""

    bucket: str
    key: str

    @property
    def prefix(self) -> str:
        """The prefix of all keys below this folder, "" for a whole bucket."""
        return f"{self.key.rstrip('/')}/".lstrip("/")


Spot: TypeAlias = OnDisk | InBucket


class OutOfReach(ValueError):
    """This machine does not have the place, or its roots exclude it. The text is a sentence for people."""


@dataclass(frozen=True)
class Root:
    """A name for a location. target: an absolute folder, or `s3://bucket/prefix` without a slash at its end."""

    name: str
    target: str


@dataclass(frozen=True)
class Roots:
    """The roots of this machine, none by default. loose: a folder that may be used by its path in spite of them."""

    roots: tuple[Root, ...] = ()
    loose: Path | None = field(default=None)

    def allowing(self, folder: Path) -> Roots:
        """Returns these roots with a folder that may be used by its path."""
        return replace(self, loose=folder)

    def spot(self, place: str) -> Spot:
        """Returns where a place of a spec is. Raises OutOfReach."""
        if place.startswith("/"):
            path = Path(place)
            if self.roots and not (self.loose is not None and path.is_relative_to(self.loose)):
                raise OutOfReach(f"{place!r} is a plain path, but roots are set: only names below a root are allowed")
            return OnDisk(path)
        kind, _, rest = place.partition(":")
        if kind == "s3":
            if self.roots:
                shown = without_secrets(place)
                raise OutOfReach(f"{shown!r} names a bucket, but roots are set: only names below a root are allowed")
            return in_bucket(place)
        root = next((root for root in self.roots if root.name == kind), None)
        if root is None:
            known = f"it has {', '.join(root.name for root in self.roots)}" if self.roots else "none are set"
            raise OutOfReach(f"this machine has no root named {kind!r} ({known})")
        below = rest.lstrip("/")
        if root.target.startswith("s3://"):
            return in_bucket(f"{root.target}/{below}")
        return OnDisk(Path(root.target) / below, within=Path(root.target))

    def name(self, spot: Spot) -> str:
        """Returns the name of a location in a spec. Raises OutOfReach if roots are set and none contains it."""
        plain = str(spot.path) if isinstance(spot, OnDisk) else f"s3://{spot.bucket}/{spot.key}"
        if not self.roots:
            return plain
        for root in self.roots:
            if plain == root.target or plain.startswith(f"{root.target.rstrip('/')}/"):
                return f"{root.name}:/{plain[len(root.target.rstrip('/')) :].lstrip('/')}"
        names = ", ".join(f"{root.name} ({root.target})" for root in self.roots)
        raise OutOfReach(f"{plain!r} is below none of the roots of this machine: {names}")

    def is_below_a_root(self, text: str) -> bool:
        """Returns whether `text` is written as a name below one of these roots."""
        return any(text.startswith(f"{root.name}:/") for root in self.roots)

    def lacking(self, text: str) -> str | None:
        """Returns what to set if `text` is written as a name below a root that this machine does not have."""
        name, mark, rest = text.partition(":/")
        if not mark or rest.startswith("/") or not _NAME.fullmatch(name) or self.is_below_a_root(text):
            return None
        return f"No root is called `{name}`: set --root {name}=… or PROXX_ROOTS."


def in_bucket(place: str) -> InBucket:
    """Returns the object of an `s3://` URL. Raises OutOfReach if its bucket's name is not valid."""
    bucket, _, key = place.removeprefix("s3://").partition("/")
    if problem := bucket_name_problem(bucket):
        raise OutOfReach(f"{without_secrets(place)!r} does not name a bucket: {problem}")
    return InBucket(bucket, key)


def parse_roots(text: str) -> Roots:
    """Returns the roots of `media=/mnt/media;proxies=s3://bucket/edit`. Raises RootsInvalid with every problem."""
    return make_roots(part for part in text.split(";") if part.strip())


def make_roots(parts: Iterator[str] | tuple[str, ...]) -> Roots:
    """Returns the roots, each given as `name=target`. Raises RootsInvalid with every problem."""
    roots: list[Root] = []
    problems: list[Problem] = []

    def report(name: str, problem: str) -> None:
        problems.append(Problem(name, RootsInvalid.code, f"{problem}."))

    for part in parts:
        name, mark, target = (word.strip() for word in part.partition("="))
        target = target.rstrip("/") or target
        problem = _root_problem(name, mark, target)
        if problem:
            # A URL without a name is split at its first `=`, which can be in its password.
            report(without_secrets(part.strip()) if "://" in name else name or "root", problem)
        elif any(root.name == name for root in roots):
            report(name, "is given twice")
        elif other := next((root for root in roots if _overlap(root.target, target)), None):
            report(name, f"and {other.name} share files, which would then have two names")
        else:
            roots.append(Root(name, target))
    if problems:
        raise RootsInvalid(message="The roots cannot be used.", problems=tuple(problems))
    return Roots(tuple(roots))


def _root_problem(name: str, mark: str, target: str) -> str | None:
    if not mark or not _NAME.fullmatch(name) or name in _RESERVED:
        return "is not a root: write name=/folder or name=s3://bucket/prefix, the name in lower case"
    if target.startswith("s3://"):
        bucket = target.removeprefix("s3://").partition("/")[0]
        return bucket_name_problem(bucket) or (None if target == f"s3://{bucket}" else uri_problem(target))
    if not target.startswith("/"):
        return "needs an absolute path or s3://bucket/prefix"
    return uri_problem(target) if target != "/" else "cannot be the whole machine"


def _overlap(first: str, second: str) -> bool:
    a, b = (f"{normalized_name(target).rstrip('/')}/" for target in (first, second))
    return a.startswith(b) or b.startswith(a)


def require_places_here(spec: JobSpec, roots: Roots) -> None:
    """Raises PlaceUnreachable with every source and output that this machine does not have."""
    problems = []
    for where, uri in places(spec):
        try:
            roots.spot(uri)
        except OutOfReach as error:
            problems.append(Problem(where, PlaceUnreachable.code, f"{error}.", _REMEDY))
    if problems:
        raise PlaceUnreachable(
            message="The job names places that this machine does not have.", problems=tuple(problems)
        )


def places(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """Yields the place of every source and output of a spec, with its field."""
    for number, clip in enumerate(spec.clips):
        for index, file in enumerate(clip.source.files):
            yield f"clips[{number}].source.files[{index}].uri", file.uri
        for index, output in enumerate(clip.outputs):
            yield f"clips[{number}].outputs[{index}].uri", output.uri
