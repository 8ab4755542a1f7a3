"""Files recognised by their bytes."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.ffmpeg.sniff import HEAD, camera_raw, camera_raw_codec, cut_off, describe
from tests.support.makemedia import camera_file

FTYP = struct.pack(">I4s4s4s", 16, b"ftyp", b"qt  ", b"\0\0\0\0")
MXF = bytes.fromhex("060e2b34020501010d01020101020400")


def dng(order: str) -> bytes:
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHII", 256, 3, 1, 4096) + struct.pack(order + "HHII", 50706, 1, 4, 1)
    return magic + struct.pack(order + "IH", 8, 2) + entries


@pytest.mark.parametrize(
    ("name", "head", "tool"),
    [
        ("A001.R3D", b"\0\0\4\x88RED2\5\x10", "REDCINE-X PRO"),
        ("renamed.mov", b"\0\0\4\x88RED1\5\x10", "REDCINE-X PRO"),
        ("A.ari", b"ARRI\x78\x56\x34\x12", "ARRI Reference Tool"),
        ("A.arx", b"\1\2\3\xff", "ARRI Reference Tool"),
        ("A.braw", b"\0\0\0\x08wide", "DaVinci Resolve"),
        ("A.CRM", b"\0\0\0\x18ftypcrx \0\0\0\1", "Cinema RAW Development"),
        ("A.mov", b"\0\0\0\x18ftypcrx \0\0\0\1", "Cinema RAW Development"),
        ("A.nev", b"\0\0\0\x18ftypniko", "NX Studio"),
        ("A.dng", dng("<"), "CinemaDNG"),
        ("A.tif", dng(">"), "CinemaDNG"),
    ],
)
def test_camera_raw_names_the_tool(name: str, head: bytes, tool: str) -> None:
    words = camera_raw(name, head)
    assert words is not None
    assert tool in words


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("A001.mov", FTYP),
        ("A001.tif", b"II*\0" + struct.pack("<IHHHII", 8, 1, 256, 3, 1, 4096)),
        ("notes.r3d", b"just words\n"),
        ("x.mxf", MXF + "ARRI".encode("utf-16-be")),
    ],
)
def test_other_files_are_not_raw(name: str, head: bytes) -> None:
    assert camera_raw(name, head) is None


@pytest.mark.parametrize(
    ("tag", "head", "tool"),
    [
        ("brhq", FTYP, "Blackmagic"),
        ("CRAW", FTYP, "Canon"),
        ("nraw", FTYP, "Nikon"),
        (None, b"run-in" + MXF + "ARRI".encode("utf-16-be"), "ARRIRAW"),
        (None, MXF + "Sony".encode("utf-16-be"), "X-OCN"),
    ],
)
def test_unknown_codecs_of_cameras(tag: str | None, head: bytes, tool: str) -> None:
    assert tool in (camera_raw_codec(tag, head) or "")


def test_unknown_codecs_of_nobody() -> None:
    assert camera_raw_codec("zzzz", FTYP) is None
    assert camera_raw_codec(None, MXF) is None


def test_a_real_red_header() -> None:
    assert "REDCINE-X" in (camera_raw("x.mov", camera_file("exiftool/Red.r3d").read_bytes()) or "")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"#EXTM3U\n", "playlist"),
        (b"ffconcat version 1.0\nfile a.mov\n", "concat list"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><NonRealTimeMeta/>', "XML"),
        (b"hello, this is a note\r\n", "plain text"),
        ("Drehbericht: schön\n".encode(), "plain text"),
        (b"\0" * 4096, "zeros only"),
        (b"\0\x05\x16\x07\0\2\0\0Mac OS X", "macOS"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x9a\x80\1\2\3\4\5\6\7\x08\x09", "no format"),
        (FTYP, "index"),
        (MXF, "MXF"),
    ],
)
def test_what_a_refused_file_looks_like(head: bytes, words: str) -> None:
    assert words in describe(head)


def cut(data: bytes, size: int | None = None) -> str | None:
    return cut_off(io.BytesIO(data), len(data) if size is None else size)


def test_a_movie_without_index() -> None:
    assert "no index (moov)" in (cut(FTYP + struct.pack(">I4s", 100, b"free") + b"\0" * 92) or "")
    assert "no index (moov)" in (cut(struct.pack(">I4s", 0, b"mdat") + b"\1" * 50) or "")


def test_a_movie_whose_data_ends_early() -> None:
    moov = struct.pack(">I4s", 8, b"moov")
    assert cut(FTYP + moov + struct.pack(">I4s", 20, b"mdat") + b"\1" * 12) is None
    assert cut(FTYP + moov + struct.pack(">I4s", 20, b"mdat") + b"\1" * 11) == (
        "its mdat part ends at byte 44, the file at byte 43"
    )
    large = struct.pack(">I4sQ", 1, b"mdat", 2**40)
    assert "mdat" in (cut(FTYP + moov + large) or "")
    assert cut(FTYP + moov + b"trailing rubbish") is None


def test_an_mxf_whose_footer_is_gone() -> None:
    pack = MXF + b"\x83\0\0\x68" + struct.pack(">HHIQQQ", 1, 3, 1, 0, 0, 5000) + b"\0" * 72
    assert cut(pack, 5001) is None
    assert cut(pack, 5000) == "its footer is at byte 5000, the file ends at byte 5000"
    assert "header ends" in (cut(pack[:40]) or "")


@pytest.mark.parametrize("length", [b"\xa0", b"\x89", b"\xff"])
@pytest.mark.parametrize("size", [70, 5000])
def test_an_mxf_with_a_damaged_length_is_reported(length: bytes, size: int) -> None:
    """A length field has at most 8 bytes after the first (SMPTE ST 336); more once crashed on a short file."""
    pack = (b"run-in" + MXF + length).ljust(size, b"\0")
    assert cut(pack) == "the length of its MXF header at byte 22 is damaged"


@pytest.mark.parametrize(("packet", "before"), [(188, 0), (192, 4), (204, 0)])
def test_a_transport_stream_that_ends_inside_a_packet(packet: int, before: int) -> None:
    data = (bytes(before) + b"G" + bytes(packet - before - 1)) * 9
    assert cut(data) is None
    assert cut(data[:-1]) == f"its last packet of {packet} bytes has {packet - 1}"
    assert cut(b"G" + data[1 : 7 * packet + 1]) is None, "too little to be sure of"


@given(st.binary(max_size=300), st.sampled_from([b"", FTYP, MXF, MXF + b"\xa0", b"II*\0", b"MM\0*", b"\0\0\0\1mdat"]))
def test_any_bytes_get_an_answer(data: bytes, before: bytes) -> None:
    head = before + data
    assert describe(head)
    camera_raw("a.dng", head)
    camera_raw_codec("brhq", head)
    cut(head)


def test_text_cut_in_the_middle_of_a_letter() -> None:
    assert describe(("a" + "ö" * HEAD).encode()[:HEAD]) == "plain text"
