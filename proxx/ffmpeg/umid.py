"""Gives an MXF file UMIDs of its own in place of the constants that ffmpeg's bitexact mode writes.

A basic UMID (SMPTE ST 330) is 32 bytes: a 12-byte label (its last two say what kind of material and how the number
was made: not identified, no defined method), the length 13h of what follows, a 3-byte instance number (0: the
original), and a 16-byte material number. ffmpeg writes either a random number, other bytes in every run, or with
bitexact 0, 1 and 2 in every file, which an Avid takes for one clip. Here the number comes from what the clip is:
the source's bytes, the profile, the package's role. So a clip has the same UMIDs wherever it is made, and no other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from proxx.contracts.errors import FormatMismatch
from proxx.contracts.fingerprint import fingerprint
from proxx.ffmpeg.klv import KEY_BYTES, LENGTH_BYTES, read_ber_length

UMID_SCHEMA: Final = "proxx.umid/1"
LABEL: Final = bytes.fromhex("060a2b340101010501010d0013")  # with the length byte
INSTANCE: Final = bytes(3)
NUMBER: Final = 16  # bytes of the material number
SIZE: Final = len(LABEL) + len(INSTANCE) + NUMBER

ROLES: Final = ("material", "file", "tape")  # the order is that of ffmpeg's constants
CONSTANTS: Final = {LABEL + INSTANCE + bytes(NUMBER - 1) + bytes([place]): role for place, role in enumerate(ROLES)}

# SMPTE ST 377-1: sets of header metadata have 2-byte tags and lengths; the tags below hold a UMID.
_SET: Final = bytes.fromhex("060e2b34025301010d010101")
_UMID_TAGS: Final = {0x4401: "PackageUID", 0x1101: "SourcePackageID", 0x2701: "LinkedPackageUID"}
# SMPTE ST 385: each frame's system item has a package metadata set; its item 83h is the file package's UMID.
_SYSTEM_SET: Final = bytes.fromhex("060e2b34024301010d01030104010201")
_SYSTEM_UMID: Final = bytes.fromhex("830020")
_KEY_START: Final = bytes.fromhex("060e2b34")
_LARGEST_SET: Final = 1 << 20  # bytes; sets of header metadata are some hundred


@dataclass(frozen=True)
class UmidPosition:
    """Where a constant UMID stands: its offset in the file and the package it names."""

    offset: int
    role: str


def umids(source_digest: str, profile: str) -> Mapping[str, bytes]:
    """The UMID of each package of a clip. source_digest: `sha256:<hex>`; profile: its fingerprint."""
    made = {}
    for role in ROLES:
        content = {"source": source_digest, "profile": profile, "package": role}
        made[role] = LABEL + INSTANCE + bytes.fromhex(fingerprint(UMID_SCHEMA, content))[:NUMBER]
    return made


def write_umids(mxf: Path, source_digest: str, profile: str) -> int:
    """Replace every constant UMID in a file that is not published yet; returns how many there were.

    Its length and everything else in it stay. Raises FormatMismatch where it is not the MXF that ffmpeg writes.
    """
    made = umids(source_digest, profile)
    with mxf.open("r+b") as stream:
        places = tuple(find_umids(stream))
        if not {"material", "file"} <= {place.role for place in places}:
            raise _not_ours("it names no material package or no file package")
        for place in places:
            stream.seek(place.offset)
            stream.write(made[place.role])
    return len(places)


def find_umids(stream: BinaryIO) -> Iterator[UmidPosition]:
    """Every constant UMID, in order, found by walking the file's items: essence is never searched."""
    for key, start, length in _items(stream):
        if key.startswith(_SET):
            yield from _in_set(_value(stream, start, length), start)
        elif key == _SYSTEM_SET:
            yield from _in_system_set(_value(stream, start, length), start)


def _items(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(key, offset of the value, its length) of each KLV item (SMPTE ST 336) to the end of the file."""
    end, at = stream.seek(0, os.SEEK_END), 0
    while at < end:
        stream.seek(at)
        head = stream.read(KEY_BYTES + LENGTH_BYTES)
        if not head.startswith(_KEY_START) or len(head) <= KEY_BYTES:
            raise _not_ours(f"there is no item at byte {at}")
        field = read_ber_length(head[KEY_BYTES:])
        if field is None:
            raise _not_ours(f"the item at byte {at} has no length")
        length, field_size = field
        start = at + KEY_BYTES + field_size
        if start + length > end:
            raise _not_ours(f"the item at byte {at} is longer than the file")
        yield head[:KEY_BYTES], start, length
        at = start + length


def _in_set(value: bytes, start: int) -> Iterator[UmidPosition]:
    at = 0
    while at + 4 <= len(value):
        tag, length = int.from_bytes(value[at : at + 2], "big"), int.from_bytes(value[at + 2 : at + 4], "big")
        role = CONSTANTS.get(value[at + 4 : at + 4 + length])
        if tag in _UMID_TAGS and role is not None:
            yield UmidPosition(start + at + 4, role)
        at += 4 + length


def _in_system_set(value: bytes, start: int) -> Iterator[UmidPosition]:
    role = CONSTANTS.get(value[len(_SYSTEM_UMID) : len(_SYSTEM_UMID) + SIZE])
    if value.startswith(_SYSTEM_UMID) and role is not None:
        yield UmidPosition(start + len(_SYSTEM_UMID), role)


def _value(stream: BinaryIO, start: int, length: int) -> bytes:
    if length > _LARGEST_SET:
        raise _not_ours(f"the metadata at byte {start} has {length} bytes")
    stream.seek(start)
    return stream.read(length)


def _not_ours(why: str) -> FormatMismatch:
    return FormatMismatch(message=f"the MXF file that was made cannot be given UMIDs: {why}", stage="verify")
