"""Replaces the constant UMIDs that ffmpeg's bitexact mode writes into an MXF file with UMIDs of the clip.

A basic UMID (SMPTE ST 330) is 32 bytes: a 12-byte label (its last two bytes give the kind of material and how the
number was made: not identified, no defined method), the length 13h of what follows, a 3-byte instance number (0: the
original), and a 16-byte material number. ffmpeg writes either a random number, which differs in every run, or in
bitexact mode 0, 1 and 2 in every file, which Avid takes for the same clip. Here the number is derived from the
source's bytes, the profile and the package's role: a clip gets the same UMIDs wherever it is made, and no other clip
gets them.
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
LABEL: Final = bytes.fromhex("060a2b340101010501010d0013")  # including the length byte
INSTANCE: Final = bytes(3)
NUMBER: Final = 16  # bytes of the material number
SIZE: Final = len(LABEL) + len(INSTANCE) + NUMBER

ROLES: Final = ("material", "file", "tape")  # in the order of ffmpeg's constants 0, 1 and 2
CONSTANTS: Final = {LABEL + INSTANCE + bytes(NUMBER - 1) + bytes([number]): role for number, role in enumerate(ROLES)}

# SMPTE ST 377-1: header metadata sets have 2-byte tags and lengths; the tags below hold a UMID.
_SET: Final = bytes.fromhex("060e2b34025301010d010101")
_UMID_TAGS: Final = {0x4401: "PackageUID", 0x1101: "SourcePackageID", 0x2701: "LinkedPackageUID"}
# SMPTE ST 385: each frame's system item has a package metadata set; its item 83h is the file package's UMID.
_SYSTEM_SET: Final = bytes.fromhex("060e2b34024301010d01030104010201")
_SYSTEM_UMID: Final = bytes.fromhex("830020")
_KEY_START: Final = bytes.fromhex("060e2b34")
_LARGEST_SET: Final = 1 << 20  # bytes; a header metadata set has a few hundred


@dataclass(frozen=True)
class UmidPosition:
    """A constant UMID in a file. offset: in bytes from the start; role: of the package it names."""

    offset: int
    role: str


def umids(source_digest: str, profile: str) -> Mapping[str, bytes]:
    """Returns the UMID of each package of a clip, by role.

    source_digest: `sha256:<hex>` of the source; profile: the profile's fingerprint.
    """
    by_role = {}
    for role in ROLES:
        content = {"source": source_digest, "profile": profile, "package": role}
        by_role[role] = LABEL + INSTANCE + bytes.fromhex(fingerprint(UMID_SCHEMA, content))[:NUMBER]
    return by_role


def write_umids(mxf: Path, source_digest: str, profile: str) -> int:
    """Replaces every constant UMID in an unpublished MXF file and returns how many there were.

    The file's length and all its other bytes stay the same. Raises FormatMismatch if the file is not an MXF as
    ffmpeg writes it.
    """
    by_role = umids(source_digest, profile)
    with mxf.open("r+b") as stream:
        positions = tuple(find_umids(stream))
        if not {"material", "file"} <= {position.role for position in positions}:
            raise _unexpected("it has no material package or no file package")
        for position in positions:
            stream.seek(position.offset)
            stream.write(by_role[position.role])
    return len(positions)


def find_umids(stream: BinaryIO) -> Iterator[UmidPosition]:
    """Yields every constant UMID of an MXF file, in order, by walking its KLV items; essence is never searched.

    Raises FormatMismatch if the items cannot be followed to the end of the file.
    """
    for key, start, length in _items(stream):
        if key.startswith(_SET):
            yield from _umids_in_set(_read_value(stream, start, length), start)
        elif key == _SYSTEM_SET:
            yield from _umid_in_system_set(_read_value(stream, start, length), start)


def _items(stream: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yields (key, offset of the value, length of the value) of each KLV item (SMPTE ST 336) of the file."""
    end, at = stream.seek(0, os.SEEK_END), 0
    while at < end:
        stream.seek(at)
        head = stream.read(KEY_BYTES + LENGTH_BYTES)
        if not head.startswith(_KEY_START) or len(head) <= KEY_BYTES:
            raise _unexpected(f"there is no KLV item at byte {at}")
        field = read_ber_length(head[KEY_BYTES:])
        if field is None:
            raise _unexpected(f"the KLV item at byte {at} has no valid length")
        length, field_size = field
        start = at + KEY_BYTES + field_size
        if start + length > end:
            raise _unexpected(f"the KLV item at byte {at} extends past the end of the file")
        yield head[:KEY_BYTES], start, length
        at = start + length


def _umids_in_set(value: bytes, start: int) -> Iterator[UmidPosition]:
    at = 0
    while at + 4 <= len(value):
        tag, length = int.from_bytes(value[at : at + 2], "big"), int.from_bytes(value[at + 2 : at + 4], "big")
        role = CONSTANTS.get(value[at + 4 : at + 4 + length])
        if tag in _UMID_TAGS and role is not None:
            yield UmidPosition(start + at + 4, role)
        at += 4 + length


def _umid_in_system_set(value: bytes, start: int) -> Iterator[UmidPosition]:
    role = CONSTANTS.get(value[len(_SYSTEM_UMID) : len(_SYSTEM_UMID) + SIZE])
    if value.startswith(_SYSTEM_UMID) and role is not None:
        yield UmidPosition(start + len(_SYSTEM_UMID), role)


def _read_value(stream: BinaryIO, start: int, length: int) -> bytes:
    if length > _LARGEST_SET:
        raise _unexpected(f"the metadata set at byte {start} has {length} bytes")
    stream.seek(start)
    return stream.read(length)


def _unexpected(problem: str) -> FormatMismatch:
    return FormatMismatch(message=f"no UMIDs can be written into the MXF proxy: {problem}", stage="verify")
