"""Files are recognised by their bytes: camera raw, not media, cut off."""

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
def test_camera_raw_names_the_tool_that_converts_it(name: str, head: bytes, tool: str) -> None:
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
def test_other_files_are_not_camera_raw(name: str, head: bytes) -> None:
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
def test_an_unknown_codec_of_a_camera_is_recognised(tag: str | None, head: bytes, tool: str) -> None:
    assert tool in (camera_raw_codec(tag, head) or "")


def test_other_unknown_codecs_are_not_recognised() -> None:
    assert camera_raw_codec("zzzz", FTYP) is None
    assert camera_raw_codec(None, MXF) is None


def test_a_real_red_header_is_recognised() -> None:
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
        (b"\x9a\x80\1\2\3\4\5\6\7\x08\x09", "no camera writes"),
        (FTYP, "index"),
        (MXF, "MXF"),
    ],
)
def test_a_refused_file_is_described(head: bytes, words: str) -> None:
    assert words in describe(head)


def damage(data: bytes, size: int | None = None) -> str | None:
    return cut_off(io.BytesIO(data), len(data) if size is None else size)


def test_a_movie_without_an_index_is_cut_off() -> None:
    assert "no index (moov)" in (damage(FTYP + struct.pack(">I4s", 100, b"free") + b"\0" * 92) or "")
    assert "no index (moov)" in (damage(struct.pack(">I4s", 0, b"mdat") + b"\1" * 50) or "")


def test_a_movie_with_too_little_data_is_cut_off() -> None:
    moov = struct.pack(">I4s", 8, b"moov")
    assert damage(FTYP + moov + struct.pack(">I4s", 20, b"mdat") + b"\1" * 12) is None
    assert damage(FTYP + moov + struct.pack(">I4s", 20, b"mdat") + b"\1" * 11) == (
        "its media data (mdat) should end at byte 44, but the file ends at byte 43"
    )
    large = struct.pack(">I4sQ", 1, b"mdat", 2**40)
    assert "mdat" in (damage(FTYP + moov + large) or "")
    assert damage(FTYP + moov + b"trailing rubbish") is None


def test_an_mxf_without_its_footer_is_cut_off() -> None:
    pack = MXF + b"\x83\0\0\x68" + struct.pack(">HHIQQQ", 1, 3, 1, 0, 0, 5000) + b"\0" * 72
    assert damage(pack, 5001) is None
    assert damage(pack, 5000) == "its MXF footer should be at byte 5000, but the file ends at byte 5000"
    assert damage(pack[:40]) == "it ends at byte 40, inside its MXF header"


@pytest.mark.parametrize("length", [b"\xa0", b"\x89", b"\xff"])
@pytest.mark.parametrize("size", [70, 5000])
def test_an_mxf_with_a_damaged_length_is_reported(length: bytes, size: int) -> None:
    """A length field has at most 8 bytes after the first (SMPTE ST 336); more once crashed on a short file."""
    pack = (b"run-in" + MXF + length).ljust(size, b"\0")
    assert damage(pack) == "the length of its MXF header at byte 22 is damaged"


@pytest.mark.parametrize(("packet", "before"), [(188, 0), (192, 4), (204, 0)])
def test_a_transport_stream_that_ends_inside_a_packet_is_cut_off(packet: int, before: int) -> None:
    data = (bytes(before) + b"G" + bytes(packet - before - 1)) * 9
    assert damage(data) is None
    assert damage(data[:-1]) == f"its last packet of {packet} bytes has only {packet - 1}"
    assert damage(b"G" + data[1 : 7 * packet + 1]) is None, "too short to be recognised"


@given(st.binary(max_size=300), st.sampled_from([b"", FTYP, MXF, MXF + b"\xa0", b"II*\0", b"MM\0*", b"\0\0\0\1mdat"]))
def test_any_bytes_are_judged_without_an_error(data: bytes, before: bytes) -> None:
    head = before + data
    assert describe(head)
    camera_raw("a.dng", head)
    camera_raw_codec("brhq", head)
    damage(head)


def test_text_may_be_cut_in_the_middle_of_a_character() -> None:
    assert describe(("a" + "ö" * HEAD).encode()[:HEAD]) == "plain text"
