"""How this process reaches the places of a spec: its roots, and its connection to object storage."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from proxx.contracts.error_bases import Problem
from proxx.contracts.errors import RootsInvalid
from proxx.files.roots import InBucket, OnDisk, Roots, Spot
from proxx.s3.bucket import Bucket
from proxx.s3.multipart import PART
from proxx.s3.transport import Transport

SINGLE: Final = 5 << 30  # bytes that one request may carry (Amazon S3 "Uploading objects")


@dataclass(frozen=True, kw_only=True)
class Places:
    """single, part: bytes above which an output is sent in parts, and of a part; tests make them small."""

    roots: Roots = field(default_factory=Roots)
    wire: Transport = field(default_factory=Transport)
    single: int = SINGLE
    part: int = PART

    def spot(self, place: str) -> Spot:
        """Raises OutOfReach."""
        return self.roots.spot(place)

    def bucket(self, spot: InBucket) -> Bucket:
        return Bucket(self.wire, spot.bucket)

    def allowing(self, folder: Path) -> Places:
        """The same with a folder of one's own beside the roots."""
        return replace(self, roots=self.roots.allowing(folder))


def leads_out(spot: OnDisk) -> bool:
    """Whether a link on the way takes the place out of its root. What is not there yet is where its folder is."""
    return spot.within is not None and not _real(spot.path).is_relative_to(_real(spot.within))


def _real(path: Path) -> Path:
    """Without links, as far as that can be found out: of links that lead in a circle it is the path itself."""
    return Path(os.path.realpath(path))


def require_apart(roots: Roots) -> None:
    """Raises RootsInvalid where two roots are one place by way of a link: a file would have two names."""
    on_disk = [(one.name, _real(Path(one.target))) for one in roots.roots if one.target.startswith("/")]
    problems = tuple(
        Problem(name, RootsInvalid.code, f"and {other} are the same place by way of a link.")
        for place, (name, real) in enumerate(on_disk)
        for other, its in on_disk[:place]
        if real.is_relative_to(its) or its.is_relative_to(real)
    )
    if problems:
        raise RootsInvalid(message="The roots cannot be used.", problems=problems)
