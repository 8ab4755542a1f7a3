"""Where the places of a spec are on this machine, and what places are called in a spec. Pure, and the only one.

A place is `/path`, `s3://bucket/key`, or a name below a root: `media:/A001/clip.mov`. A root's target, a folder or a
prefix in a bucket, is the machine's business and no part of any spec, so one spec works wherever the same media is
seen. Where roots are set, nothing outside them is read or written, and every file has one name: its root's.
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
from proxx.contracts.naming import bucket_name_problem, normalized_name, uri_problem
from proxx.contracts.uri import without_secrets

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_RESERVED: Final = frozenset({"s3", "file", "memory", "http", "https", "ftp", "pipe", "concat", "data"})
_REMEDY: Final = "Set the roots of this machine (PROXX_ROOTS or --root) as the spec needs them."


@dataclass(frozen=True)
class OnDisk:
    """A file of this machine. within: the folder of its root, which no link may lead out of; None without roots."""

    path: Path
    within: Path | None = None


@dataclass(frozen=True)
class InBucket:
    """An object: `s3://bucket/key`. As a folder its key ends in `/`, or is empty."""

    bucket: str
    key: str

    @property
    def prefix(self) -> str:
        """What the keys of all that is below it begin with: nothing for a whole bucket."""
        return f"{self.key.rstrip('/')}/".lstrip("/")


Spot: TypeAlias = OnDisk | InBucket


class OutOfReach(ValueError):
    """This machine has no such place, or may not go there. Its text is a sentence for people."""


@dataclass(frozen=True)
class Root:
    """target: an absolute folder, or `s3://bucket/prefix` without a slash at its end."""

    name: str
    target: str


@dataclass(frozen=True)
class Roots:
    """The roots of this machine, none by default. loose: a folder that may be used all the same by its path."""

    roots: tuple[Root, ...] = ()
    loose: Path | None = field(default=None)

    def allowing(self, folder: Path) -> Roots:
        """The same with a folder of one's own, named by its path."""
        return replace(self, loose=folder)

    def spot(self, place: str) -> Spot:
        """Where a place of a spec is. Raises OutOfReach."""
        if place.startswith("/"):
            path = Path(place)
            if self.roots and not (self.loose is not None and path.is_relative_to(self.loose)):
                raise OutOfReach(f"{place!r} is a plain path, and with roots set only names below a root are used")
            return OnDisk(path)
        kind, _, rest = place.partition(":")
        if kind == "s3":
            if self.roots:
                shown = without_secrets(place)
                raise OutOfReach(f"{shown!r} names a bucket, and with roots set only names below a root are used")
            return in_bucket(place)
        root = next((one for one in self.roots if one.name == kind), None)
        if root is None:
            known = f"it has {', '.join(one.name for one in self.roots)}" if self.roots else "none are set here"
            raise OutOfReach(f"this machine has no root called {kind!r} ({known})")
        below = rest.lstrip("/")
        if root.target.startswith("s3://"):
            return in_bucket(f"{root.target}/{below}")
        return OnDisk(Path(root.target) / below, within=Path(root.target))

    def name(self, spot: Spot) -> str:
        """What a place is called in a spec. Raises OutOfReach where roots are set and it is below none of them."""
        plain = str(spot.path) if isinstance(spot, OnDisk) else f"s3://{spot.bucket}/{spot.key}"
        if not self.roots:
            return plain
        for root in self.roots:
            if plain == root.target or plain.startswith(f"{root.target.rstrip('/')}/"):
                return f"{root.name}:/{plain[len(root.target.rstrip('/')) :].lstrip('/')}"
        names = ", ".join(f"{one.name} ({one.target})" for one in self.roots)
        raise OutOfReach(f"{plain!r} is below none of the roots of this machine: {names}")

    def is_below_a_root(self, text: str) -> bool:
        """Whether `text` is written as a name below one of these roots."""
        return any(text.startswith(f"{root.name}:/") for root in self.roots)


def in_bucket(place: str) -> InBucket:
    bucket, _, key = place.removeprefix("s3://").partition("/")
    if fault := bucket_name_problem(bucket):
        raise OutOfReach(f"{without_secrets(place)!r} names no bucket: {fault}")
    return InBucket(bucket, key)


def parse_roots(text: str) -> Roots:
    """`media=/mnt/media;proxies=s3://bucket/edit`. Raises RootsInvalid with all that is wrong."""
    return make_roots(part for part in text.split(";") if part.strip())


def make_roots(parts: Iterator[str] | tuple[str, ...]) -> Roots:
    """From `name=target` each. Raises RootsInvalid with all that is wrong."""
    roots: list[Root] = []
    problems: list[Problem] = []

    def wrong(where: str, why: str) -> None:
        problems.append(Problem(where, RootsInvalid.code, f"{why}."))

    for part in parts:
        name, mark, target = (word.strip() for word in part.partition("="))
        target = target.rstrip("/") or target
        fault = _root_fault(name, mark, target)
        if fault:
            # A URL alone is cut at the first `=`, which may stand in its password.
            wrong(without_secrets(part.strip()) if "://" in name else name or "root", fault)
        elif any(root.name == name for root in roots):
            wrong(name, "is given twice")
        elif other := next((root for root in roots if _overlap(root.target, target)), None):
            wrong(name, f"and {other.name} share files, which would then have two names")
        else:
            roots.append(Root(name, target))
    if problems:
        raise RootsInvalid(message="The roots cannot be used.", problems=tuple(problems))
    return Roots(tuple(roots))


def _root_fault(name: str, mark: str, target: str) -> str | None:
    if not mark or not _NAME.fullmatch(name) or name in _RESERVED:
        return "is no root: it is written name=/folder or name=s3://bucket/prefix, the name in small letters"
    if target.startswith("s3://"):
        bucket = target.removeprefix("s3://").partition("/")[0]
        return bucket_name_problem(bucket) or (None if target == f"s3://{bucket}" else uri_problem(target))
    if not target.startswith("/"):
        return "needs a full path or s3://bucket/prefix"
    return uri_problem(target) if target != "/" else "may not be the whole machine"


def _overlap(one: str, other: str) -> bool:
    a, b = (f"{normalized_name(target).rstrip('/')}/" for target in (one, other))
    return a.startswith(b) or b.startswith(a)


def require_places_here(spec: JobSpec, roots: Roots) -> None:
    """Raises PlaceUnreachable with every source and output that this machine cannot name."""
    problems = []
    for where, uri in places(spec):
        try:
            roots.spot(uri)
        except OutOfReach as why:
            problems.append(Problem(where, PlaceUnreachable.code, f"{why}.", _REMEDY))
    if problems:
        raise PlaceUnreachable(
            message="The job names places that this machine does not have.", problems=tuple(problems)
        )


def places(spec: JobSpec) -> Iterator[tuple[str, str]]:
    """Every source and output of a spec, with its path in the spec."""
    for number, clip in enumerate(spec.clips):
        for which, file in enumerate(clip.source.files):
            yield f"clips[{number}].source.files[{which}].uri", file.uri
        for which, output in enumerate(clip.outputs):
            yield f"clips[{number}].outputs[{which}].uri", output.uri
