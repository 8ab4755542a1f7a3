"""How this process reaches the places of a spec: its roots and its connection to object storage."""

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
    """The roots and the transport of this process.

    single: the size in bytes above which an output is sent in parts. part: the size of a part in bytes. Tests make
    both small.
    """

    roots: Roots = field(default_factory=Roots)
    wire: Transport = field(default_factory=Transport)
    single: int = SINGLE
    part: int = PART

    def spot(self, place: str) -> Spot:
        """Returns where a place of a spec is on this machine. Raises OutOfReach."""
        return self.roots.spot(place)

    def bucket(self, spot: InBucket) -> Bucket:
        """Returns the bucket of an object."""
        return Bucket(self.wire, spot.bucket)

    def allowing(self, folder: Path) -> Places:
        """Returns these places with one more folder, which may be used by its path in spite of the roots."""
        return replace(self, roots=self.roots.allowing(folder))

    def with_resends(self, resends: int) -> Places:
        """Returns these places with another number of resends of a request."""
        return replace(self, wire=self.wire.with_resends(resends))


def leads_out(spot: OnDisk) -> bool:
    """Returns whether a symbolic link takes the path out of its root. The path need not exist yet."""
    return spot.within is not None and not _real(spot.path).is_relative_to(_real(spot.within))


def _real(path: Path) -> Path:
    """Returns the path with its links resolved. A circle of links is left as it is."""
    return Path(os.path.realpath(path))


def require_apart(roots: Roots) -> None:
    """Raises RootsInvalid if a link makes two roots the same place: a file would have two names."""
    on_disk = [(root.name, _real(Path(root.target))) for root in roots.roots if root.target.startswith("/")]
    problems = tuple(
        Problem(name, RootsInvalid.code, f"and {other_name} are the same place, through a link.")
        for index, (name, real) in enumerate(on_disk)
        for other_name, other_real in on_disk[:index]
        if real.is_relative_to(other_real) or other_real.is_relative_to(real)
    )
    if problems:
        raise RootsInvalid(message="The roots cannot be used.", problems=problems)
