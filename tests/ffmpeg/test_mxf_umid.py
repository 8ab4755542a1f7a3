"""Each clip gets its own UMIDs, the same on every run, everywhere in the file; nothing else is changed."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.contracts.errors import FormatMismatch
from proxx.ffmpeg.mxf_umid import CONSTANTS, LABEL, ROLES, SIZE, UmidPosition, find_umids, umids, write_umids
from tests.support.makemedia import FFPROBE, make, picture, sound

SOURCE, PROFILE = "sha256:" + "a" * 64, "b" * 64
FRAMES = 12
hexes = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)


def _mxf(*options: str, tracks: int = 2) -> Path:
    maps = [word for _ in range(tracks) for word in ("-map", "1")]
    return make(
        "made.mxf",
        *picture(size="256x128"),
        *sound(),
        *(
            "-map",
            "0",
            *maps,
            "-vf",
            "format=yuv422p",
            "-c:v",
            "dnxhd",
            "-profile:v",
            "dnxhr_lb",
            "-c:a",
            "pcm_s24le",
        ),
        *("-timecode", "01:00:00:00", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
        *(*options, "-f", "mxf"),
    )


def _shown_by_ffprobe(path: Path) -> dict[str, str]:
    """The UMID of each package, as ffprobe shows it."""
    argv = [str(FFPROBE), "-v", "error", "-show_format", "-show_streams", "-of", "json", f"file:{path}"]
    shown = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    tags = {**shown["streams"][0]["tags"], **shown["format"]["tags"]}
    return {key.removesuffix("_umid"): value.removeprefix("0x") for key, value in tags.items() if "umid" in key}


@given(source=hexes, profile=hexes, other=hexes)
def test_a_umid_is_a_pure_function_of_source_and_profile(source: str, profile: str, other: str) -> None:
    made = umids(source, profile)
    assert made == umids(source, profile)
    assert len(set(made.values())) == len(ROLES)
    assert all(len(umid) == SIZE == 32 and umid.startswith(LABEL) for umid in made.values())
    assert not set(made.values()) & set(CONSTANTS)
    if other not in (source, profile):
        assert not set(made.values()) & (set(umids(other, profile).values()) | set(umids(source, other).values()))


@pytest.mark.clause("I1")
def test_every_constant_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    source = _mxf("-metadata", "reel_name=A001")
    path = tmp_path / "staged.mxf"
    shutil.copyfile(source, path)
    before = path.read_bytes()
    count = write_umids(path, SOURCE, PROFILE)
    after = path.read_bytes()
    # With a reel: three packages, each track's clip in two of them, the essence data set, and one per frame.
    assert count == 3 + 2 * 3 + 1 + FRAMES == sum(before.count(constant) for constant in CONSTANTS)
    assert not any(constant in after for constant in CONSTANTS)
    with io.BytesIO(before) as stream:
        for place in find_umids(stream):
            before = before[: place.offset] + umids(SOURCE, PROFILE)[place.role] + before[place.offset + SIZE :]
    assert after == before


def test_ffprobe_shows_the_new_umids(tmp_path: Path) -> None:
    path = tmp_path / "staged.mxf"
    shutil.copyfile(_mxf("-metadata", "reel_name=A001"), path)
    write_umids(path, SOURCE, PROFILE)
    made = {role: umid.hex().upper() for role, umid in umids(SOURCE, PROFILE).items()}
    assert _shown_by_ffprobe(path) == {
        "material_package": made["material"],
        "file_package": made["file"],
        "reel": made["tape"],
    }


def test_without_a_reel_there_are_two_packages(tmp_path: Path) -> None:
    path = tmp_path / "staged.mxf"
    shutil.copyfile(_mxf(tracks=1), path)
    assert write_umids(path, SOURCE, PROFILE) == 2 + 2 + 1 + FRAMES
    with path.open("rb") as stream:
        assert list(find_umids(stream)) == []


def _item(key: str, value: bytes, length: bytes | None = None) -> bytes:
    return bytes.fromhex(key).ljust(16, b"\0") + (length or bytes([0x83]) + len(value).to_bytes(3, "big")) + value


def test_essence_is_never_searched() -> None:
    material = next(iter(CONSTANTS))
    picture_item = _item("060e2b34010201010d01030115", material)
    header = _item("060e2b34025301010d010101010137", (0x4401).to_bytes(2, "big") + b"\0\x20" + material)
    found = list(find_umids(io.BytesIO(picture_item + header)))
    assert found == [UmidPosition(len(picture_item) + 20 + 4, "material")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not an mxf file at all, none", "no KLV item at byte 0"),
        (_item("060e2b34", b"abc")[:-1], "extends past the end of the file"),
        (_item("060e2b34", b"", b"\x89"), "has no valid length"),
        (_item("060e2b34", b"", b"\xa0").ljust(70, b"\0"), "has no valid length"),
        (_item("060e2b34", b"", b"\x84\0\0"), "has no valid length"),
        (_item("060e2b34025301010d010101010137", bytes(2 << 20)), "has 2097152 bytes"),
        (_item("060e2b34", b"abc"), "no material package"),
    ],
)
def test_an_mxf_that_ffmpeg_did_not_write_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mxf"
    path.write_bytes(data)
    with pytest.raises(FormatMismatch, match=message):
        write_umids(path, SOURCE, PROFILE)
    assert path.read_bytes() == data
