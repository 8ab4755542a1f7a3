"""Recognises from a file's own bytes why it cannot be used: camera raw, cut off, or not media. Decodes nothing."""

from __future__ import annotations

import struct
from pathlib import PurePath
from typing import BinaryIO, Final

from proxx.ffmpeg.klv import KEY_BYTES, LENGTH_BYTES, read_ber_length

HEAD: Final = 64 << 10  # bytes from the start of a file that these functions look at

_RAW: Final = {
    "red": "RED R3D raw: export it as a movie file with REDCINE-X PRO or DaVinci Resolve",
    "arri": "ARRIRAW: export it as a movie file with the ARRI Reference Tool or DaVinci Resolve",
    "braw": "Blackmagic RAW: export it as a movie file with DaVinci Resolve",
    "sony": "Sony X-OCN or Sony raw: export it as a movie file with Catalyst Browse or DaVinci Resolve",
    "canon": "Canon Cinema RAW: export it as a movie file with Cinema RAW Development or DaVinci Resolve",
    "dng": "CinemaDNG, one raw file per frame: export it as a movie file with DaVinci Resolve",
    "nikon": "Nikon N-RAW: export it as a movie file with DaVinci Resolve or NX Studio",
}
_BY_SUFFIX: Final = {
    ".r3d": "red",
    ".ari": "arri",
    ".arx": "arri",
    ".braw": "braw",
    ".crm": "canon",
    ".dng": "dng",
    ".nev": "nikon",
}
_MXF_PARTITION: Final = bytes.fromhex("060e2b34020501010d01020101")
_SYNC: Final = 0x47
_DNG_VERSION: Final = 50706  # the TIFF tag that makes a TIFF a DNG


def camera_raw(name: str, head: bytes) -> str | None:
    """Returns which camera raw format a file is and how to convert it, or None if it is not camera raw.

    Magic bytes decide first, then the suffix of `name`. head: the first HEAD bytes.
    """
    if head[4:8] in (b"RED1", b"RED2"):
        return _RAW["red"]
    if head[:4] == b"ARRI":
        return _RAW["arri"]
    if head[4:12] == b"ftypcrx ":
        return _RAW["canon"]
    if _is_dng(head):
        return _RAW["dng"]
    kind = _BY_SUFFIX.get(PurePath(name).suffix.lower())
    return _RAW[kind] if kind is not None and not _is_plain(head) else None


def camera_raw_codec(tag: str | None, head: bytes) -> str | None:
    """Returns which camera raw format a picture track of unknown codec is and how to convert it, or None.

    tag: the codec tag of the track; an MXF file is recognised by the company that wrote it.
    """
    if tag is not None and len(tag) == 4:
        if tag.startswith("br") and not tag.endswith(" "):
            return _RAW["braw"]
        if tag == "CRAW":
            return _RAW["canon"]
        if tag.lower() == "nraw":
            return _RAW["nikon"]
    if _MXF_PARTITION in head:
        for company, kind in (("ARRI", "arri"), ("Sony", "sony"), ("SONY", "sony")):
            if company.encode("utf-16-be") in head:
                return _RAW[kind]
    return None


def describe(head: bytes) -> str:
    """Returns a noun phrase for what a file that no demuxer accepts looks like. head: its first bytes."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, description in _MAGIC:
        if text.startswith(magic):
            return description
    if not head.strip(b"\0"):
        return "zeros only, as a failed copy or a card recovery leaves behind"
    if _is_plain(head):
        return "plain text"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "a QuickTime or MP4 file whose index cannot be read"
    if _MXF_PARTITION in head:
        return "an MXF file whose header cannot be read"
    return "a format that no camera writes"


_MAGIC: Final = (
    (b"#EXTM3U", "an HLS playlist, which only points to other files"),
    (b"ffconcat", "an ffmpeg concat list, which only points to other files"),
    (b"<?xml", "an XML file"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
    (b"<", "an XML file"),
    (b"{", "a JSON file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"%PDF", "a PDF"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"\0\x05\x16\x07", "a metadata file of macOS (._name), not the clip itself"),
    (b"ID3", "an MP3 sound file"),
)


def cut_off(stream: BinaryIO, size: int) -> str | None:
    """Returns a sentence for how the container shows that the file is cut off or damaged, or None if it does not.

    size: of the file, in bytes.
    """
    stream.seek(0)
    head = stream.read(HEAD)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return _boxes_cut_off(stream, size)
    if (packet := _transport_packet(head)) is not None:
        return f"its last packet of {packet} bytes has only {size % packet}" if size % packet else None
    at = head.find(_MXF_PARTITION)
    return _mxf_cut_off(head[at:], at, size) if at >= 0 else None


def _transport_packet(head: bytes) -> int | None:
    """Returns the packet size of an MPEG transport stream in bytes, or None if `head` is not one.

    Recognised by sync bytes (ISO/IEC 13818-1 2.4.3.2): 188 bytes; 192 with 4 bytes of time before each packet, as
    cameras write them (AVCHD, Blu-ray); 204 with error correction after each packet.
    """
    for size, sync in ((188, 0), (192, 4), (204, 0)):
        if len(head) >= 8 * size and all(head[at] == _SYNC for at in range(sync, 8 * size, size)):
            return size
    return None


def _boxes_cut_off(stream: BinaryIO, size: int) -> str | None:
    at, kinds, problems = 0, set[bytes](), list[str]()
    while at + 8 <= size:
        stream.seek(at)
        header = stream.read(16)
        length, kind = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            (length,) = struct.unpack(">Q", header[8:])
        elif length == 0:
            length = size - at
        if length < 8 or not kind.isascii():
            break  # not a box: other data follows the movie
        kinds.add(kind)
        at += length
        if at > size and kind in _CHECKED_BOXES:
            problems.append(f"its {_CHECKED_BOXES[kind]} should end at byte {at}, but the file ends at byte {size}")
    if not kinds & {b"moov", b"moof"}:
        problems.append("it has no index (moov): the camera did not finish the recording, or the copy was cut short")
    return "; ".join(problems) or None


_CHECKED_BOXES: Final = {b"mdat": "media data (mdat)", b"moov": "index (moov)"}


def _mxf_cut_off(pack: bytes, at: int, size: int) -> str | None:
    """Checks the partition pack at byte `at` (SMPTE ST 377-1 7.1): the footer's offset is 24 bytes into its value."""
    if len(pack) < 64:
        return f"it ends at byte {size}, inside its MXF header"
    field = read_ber_length(pack[KEY_BYTES : KEY_BYTES + LENGTH_BYTES])
    if field is None:
        return f"the length of its MXF header at byte {at + KEY_BYTES} is damaged"
    footer_at = KEY_BYTES + field[1] + 24
    footer = int.from_bytes(pack[footer_at : footer_at + 8], "big")
    if footer and at + footer >= size:
        return f"its MXF footer should be at byte {at + footer}, but the file ends at byte {size}"
    return None


def _is_dng(head: bytes) -> bool:
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return False
    order = "<" if head[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", head, 4) if len(head) >= 8 else (0,)
    if not 8 <= at <= len(head) - 2:
        return False
    (count,) = struct.unpack_from(order + "H", head, at)
    entries = range(at + 2, min(at + 2 + 12 * count, len(head) - 12 + 1), 12)
    return any(struct.unpack_from(order + "H", head, entry)[0] == _DNG_VERSION for entry in entries)


def _is_plain(head: bytes) -> bool:
    """Returns whether `head` is UTF-8 text without control characters; its last character may be cut off."""
    try:
        text = head[: len(head) - 4 if len(head) == HEAD else None].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 8:
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and all(c.isprintable() or c in "\r\n\t\f﻿" for c in text)
