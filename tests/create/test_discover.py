"""discover: candidates in the same order on every machine, and every skipped file listed with its reason."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.create.discover import absolute_path, discover, locate_argument, natural_key
from proxx.files.places import Places
from proxx.files.roots import OnDisk, make_roots
from tests.objects.ground import Ground


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def relative(root: Path, *sources: Path, keep_out: Path | None = None) -> list[str]:
    return [
        str(c.path.relative_to(root))
        for c in discover(sources or (root,), OnDisk(keep_out) if keep_out else None).candidates
    ]


def reasons(root: Path) -> dict[str, str]:
    return {str(Path(p.path).relative_to(root)): p.reason for p in discover((root,)).passed_over}


def test_a_card_in_natural_order_with_numbers_by_value(tmp_path: Path) -> None:
    fill(tmp_path, "b/clip10.mov", "b/clip9.mov", "b/Clip1.mov", "a/z.mxf", "clip2.MP4", "clip10.mp4")
    assert relative(tmp_path) == ["a/z.mxf", "b/Clip1.mov", "b/clip9.mov", "b/clip10.mov", "clip2.MP4", "clip10.mp4"]


def test_the_folder_of_a_clip_is_kept_for_the_template(tmp_path: Path) -> None:
    fill(tmp_path, "DCIM/100/a.mov", "top.mov")
    discovery = discover((tmp_path, tmp_path / "top.mov"))
    assert [c.folder for c in discovery.candidates] == ["DCIM/100", ""]


def test_a_file_that_is_not_a_clip_is_listed_with_its_reason(tmp_path: Path) -> None:
    fill(
        tmp_path, "a.mov", "a.XML", "a.THM", ".DS_Store", "._a.mov", ".Trashes/b.mov", "GX01.LRV", "take.wav",
        "f_0001.dpx", "notes.xyz", "noending", "Proxy/a.mov", "M4ROOT/SUB/a.mp4", "M4ROOT/CLIP/a.mp4", "a_Proxy.mov",
        "apple-proxy.mov", "lone_proxy.mov", "$RECYCLE.BIN/x.mov",
    )  # fmt: skip
    skipped = reasons(tmp_path)
    assert relative(tmp_path) == ["a.mov", "apple-proxy.mov", "lone_proxy.mov", "M4ROOT/CLIP/a.mp4"]
    assert {name for name, reason in skipped.items() if reason == "hidden"} == {".DS_Store", "._a.mov", ".Trashes"}
    assert skipped["a.XML"] == skipped["a.THM"] == "a sidecar"
    assert skipped["GX01.LRV"] == "a low-resolution copy made by the camera"
    assert skipped["take.wav"] == "sound without a picture"
    assert "sequence" in skipped["f_0001.dpx"]
    assert "give the file itself" in skipped["notes.xyz"] and "give the file itself" in skipped["noending"]
    assert "existing proxies" in skipped["Proxy"] and "existing proxies" in skipped["M4ROOT/SUB"]
    assert skipped["a_Proxy.mov"] == "an existing proxy of a file beside it"
    assert "operating system" in skipped["$RECYCLE.BIN"]


def test_a_file_given_as_a_source_is_a_candidate_whatever_its_name(tmp_path: Path) -> None:
    fill(tmp_path, ".hidden.xml", "Proxy/a.mov")
    assert relative(tmp_path, tmp_path / ".hidden.xml", tmp_path / "Proxy") == [".hidden.xml", "Proxy/a.mov"]


def test_camera_raw_is_a_candidate_so_that_it_is_refused_with_its_own_message(tmp_path: Path) -> None:
    fill(tmp_path, "A001.R3D", "A002.braw")
    assert relative(tmp_path) == ["A001.R3D", "A002.braw"]


def test_links_in_a_folder_are_never_followed(tmp_path: Path) -> None:
    fill(tmp_path, "outside/b.mov", "card/a.mov")
    (tmp_path / "card/link.mov").symlink_to(tmp_path / "outside/b.mov")
    (tmp_path / "card/loop").symlink_to(tmp_path / "card")
    (tmp_path / "card/away").symlink_to(tmp_path / "outside")
    assert relative(tmp_path, tmp_path / "card") == ["card/a.mov"]
    assert set(reasons(tmp_path / "card")) == {"link.mov", "loop", "away"}


def test_a_link_given_as_a_source_is_followed_and_keeps_its_name(tmp_path: Path) -> None:
    fill(tmp_path, "real/b.mov")
    (tmp_path / "link.mov").symlink_to(tmp_path / "real/b.mov")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    assert relative(tmp_path, tmp_path / "link.mov", tmp_path / "folder") == ["link.mov", "folder/b.mov"]


def test_a_file_given_twice_is_listed_once(tmp_path: Path) -> None:
    fill(tmp_path, "a.mov", "b.mov")
    assert relative(tmp_path, tmp_path / "b.mov", tmp_path, tmp_path / "a.mov") == ["b.mov", "a.mov"]


def test_the_output_folder_inside_the_card_is_skipped(tmp_path: Path) -> None:
    fill(tmp_path, "a.mov", "out/a.mov")
    (tmp_path / "other").symlink_to(tmp_path / "out")
    assert relative(tmp_path, tmp_path, keep_out=tmp_path / "other") == ["a.mov"]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("media:/cards/A001/out", ["a.mov"]),
        ("media:/cards/A001", ["a.mov", "out/b.mov"]),
        ("media:/cards", ["a.mov", "out/b.mov"]),
        ("media:/", ["a.mov", "out/b.mov"]),
        ("media:/cards/A001/ou", ["a.mov", "out/b.mov"]),
        ("proxies:/", ["a.mov", "out/b.mov"]),
    ],
)
def test_an_output_folder_is_skipped_only_inside_the_card(ground: Ground, output: str, expected: list[str]) -> None:
    """In a folder and in a bucket: an output folder beside the card or above it hides nothing."""
    for name in ("a.mov", "out/b.mov"):
        ground.put(f"media:/cards/A001/{name}", b"x")
    places = ground.places()
    discovery = discover(["media:/cards/A001"], locate_argument(output, places), places)
    assert ["/".join(filter(None, (c.folder, c.path.name))) for c in discovery.candidates] == expected
    assert {p.reason for p in discovery.passed_over} == (set() if len(expected) == 2 else {"the output folder"})
    assert discovery.problems == ()


def test_with_roots_nothing_outside_them_is_accessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "media/a.mov", "outside/b.mov", "outside/notes.txt")
    places = Places(roots=make_roots((f"media={tmp_path / 'media'}", "cards=s3://bucket/cards")))
    given = [str(tmp_path / "outside"), "s3://other/x", "s3://bucket/cards2", str(tmp_path / "media")]
    accessed, real = list[Path](), Path.stat

    def recording_stat(path: Path, **_: object) -> os.stat_result:
        accessed.append(path)
        return real(path)

    monkeypatch.setattr(Path, "stat", recording_stat)
    monkeypatch.setattr(Places, "bucket", lambda *_: pytest.fail("object storage was accessed"))
    discovery = discover(given, places=places)
    monkeypatch.undo()
    assert accessed == [tmp_path / "media"]
    assert [(p.path, p.code) for p in discovery.problems] == [(path, "PLACE_UNREACHABLE") for path in given[:3]]
    assert all("below none of the roots" in p.message for p in discovery.problems)
    assert [c.spot for c in discovery.candidates] == [OnDisk(tmp_path / "media/a.mov")]
    assert discovery.passed_over == ()


def test_every_source_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    discovery = discover((tmp_path / "nothing", tmp_path / "pipe"))
    assert [p.code for p in discovery.problems] == ["SOURCE_MISSING", "SOURCE_UNREADABLE"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse to create such names")
def test_a_name_that_is_not_utf_8_is_refused_with_a_printable_path(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mov")).write_bytes(b"x")
    [problem] = discover((tmp_path,)).problems
    assert problem.code == "SOURCE_UNSUPPORTED"
    assert "\\" in problem.path and problem.path.isprintable()


def test_hostile_names_are_kept_unchanged(tmp_path: Path) -> None:
    names = ["-x.mov", "a:b.mov", "%03d.mov", "{index}.mov", "n\nl.mov", "'\"$(x).mov", "e\u0301.mov", "\u00e9.mov"]
    fill(tmp_path, *names)
    assert sorted(relative(tmp_path)) == sorted(names)


def test_relative_paths_become_absolute_without_following_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "real/deep/a.mov", "real/b.mov")
    (tmp_path / "link").symlink_to(tmp_path / "real/deep")
    monkeypatch.chdir(tmp_path)
    assert absolute_path(Path("link/a.mov")) == tmp_path / "link/a.mov"
    assert absolute_path(Path("link/../b.mov")) == tmp_path / "real/b.mov"  # what the system opens


@given(st.lists(st.text(alphabet="aB1290_ é/", min_size=1, max_size=8)))
def test_the_order_is_total_and_independent_of_the_listing(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)
