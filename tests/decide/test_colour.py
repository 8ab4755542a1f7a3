"""decide_colour: tagged or assumed colours, and only tags that the proxy's codec can carry."""

from __future__ import annotations

import pytest

from proxx.contracts.errors import SourceUnsupported
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import Colour as Decided
from proxx.decide.colour import HDR_SIDE_DATA, decide_colour
from proxx.decide.notes import NoteKind
from proxx.ffmpeg.streams import StreamColour
from tests.support.facts import BT709, UNTAGGED, frame, kinds, profile, video

PRORES = profile()
DNXHR = profile(
    video={"encoder": "dnxhd", "codec": "dnxhd", "profile": "DNXHR LB", "pixel_format": "yuv422p", "bits": 8}
)
H264 = profile(video={"encoder": "libx264", "codec": "h264", "profile": "High", "pixel_format": "yuv420p", "bits": 8})


def words(colour: Decided) -> tuple[str, ...]:
    return tuple(value.value for value in (colour.range, colour.matrix, colour.primaries, colour.transfer))


def tagged(
    matrix: str | None, primaries: str | None, transfer: str | None, range_: str | None = "tv"
) -> StreamColour:
    return StreamColour(range=range_, matrix=matrix, primaries=primaries, transfer=transfer, chroma_location=None)


def test_the_tags_of_a_source_are_used() -> None:
    decision = decide_colour(PRORES, video(), frame())
    assert words(decision.source) == words(decision.proxy) == ("tv", "bt709", "bt709", "bt709")
    assert {value.origin for value in (decision.source.range, decision.source.matrix)} == {"tagged"}
    assert decision.notes == ()


@pytest.mark.parametrize(
    ("size", "matrix", "primaries"),
    [
        ((1280, 720), "bt709", "bt709"),
        ((1080, 1440), "bt709", "bt709"),
        ((1280, 544), "bt709", "bt709"),
        ((720, 576), "smpte170m", "bt470bg"),
        ((720, 608), "smpte170m", "bt470bg"),
        ((720, 486), "smpte170m", "smpte170m"),
        ((640, 272), "smpte170m", "smpte170m"),
    ],
)
def test_missing_tags_are_assumed_by_size_and_noted(size: tuple[int, int], matrix: str, primaries: str) -> None:
    decision = decide_colour(PRORES, video(colour=UNTAGGED), frame(*size, colour=UNTAGGED))
    assert words(decision.proxy) == ("tv", matrix, primaries, "bt709")
    assert decision.source.matrix.origin == decision.proxy.primaries.origin == "assumed"
    assert decision.notes[0].kind is NoteKind.COLOUR_ASSUMED and "colour assumed" in decision.notes[0].text


def test_missing_tags_match_the_present_ones() -> None:
    half = tagged("smpte170m", None, None)
    decision = decide_colour(PRORES, video(colour=half), frame(1920, 1080, colour=half))
    assert words(decision.proxy) == ("tv", "smpte170m", "smpte170m", "bt709")
    assert (decision.source.matrix.origin, decision.source.primaries.origin) == ("tagged", "assumed")


def test_the_decoded_range_outranks_the_container() -> None:
    full = frame(pixel_format="yuvj420p", colour=tagged("bt709", "bt709", "bt709", "pc"))
    decision = decide_colour(PRORES, video(), full)  # a GoPro MAX
    assert (decision.source.range.value, decision.proxy.range.value) == ("pc", "tv")


def test_bt470bg_is_written_as_the_equal_matrix_that_reads_back() -> None:
    pal = tagged("bt470bg", "bt470bg", "smpte170m")
    decision = decide_colour(PRORES, video(colour=pal), frame(720, 576, colour=pal))
    assert words(decision.source) == ("tv", "bt470bg", "bt470bg", "smpte170m")
    assert words(decision.proxy) == ("tv", "smpte170m", "bt470bg", "bt709")


def test_dnxhr_is_always_converted_to_bt709() -> None:
    pal = tagged("smpte170m", "bt470bg", "bt709")
    decision = decide_colour(DNXHR, video(colour=pal), frame(720, 576, colour=pal))
    assert words(decision.proxy) == ("tv", "bt709", "bt709", "bt709")
    assert NoteKind.COLOUR_CONVERTED in kinds(decision.notes)


@pytest.mark.parametrize(
    ("primaries", "matrix"), [("bt709", "bt709"), ("bt2020", "bt2020nc"), ("bt470bg", "smpte170m"), (None, "bt709")]
)
def test_rgb_is_full_range_and_converted_to_the_matrix_of_its_primaries(primaries: str | None, matrix: str) -> None:
    rgb = tagged(None, primaries, "bt709", None)
    decision = decide_colour(PRORES, video(colour=rgb), frame(pixel_format="rgb48le", colour=rgb))
    assert words(decision.source)[:2] == ("pc", "gbr")
    assert decision.proxy.matrix.value == matrix


def test_a_matrix_tag_on_rgb_is_ignored() -> None:
    decision = decide_colour(PRORES, video(), frame(pixel_format="rgb48le", colour=BT709))  # an IMF of Resolve
    assert (decision.source.matrix.value, decision.proxy.matrix.value) == ("gbr", "bt709")


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_is_kept_in_ten_bits_and_refused_in_eight(transfer: str) -> None:
    hdr = tagged("bt2020nc", "bt2020", transfer)
    picture = frame(colour=hdr, pixel_format="yuv420p10le")
    decision = decide_colour(PRORES, video(colour=hdr), picture)
    assert words(decision.proxy) == ("tv", "bt2020nc", "bt2020", transfer)
    assert NoteKind.HDR_KEPT in kinds(decision.notes)
    for other in (DNXHR, H264, profile(colour={"hdr": "refuse"})):
        with pytest.raises(SourceUnsupported, match="HDR"):
            decide_colour(other, video(colour=hdr), picture)


@pytest.mark.parametrize(("rule", "kept"), [("keep", HDR_SIDE_DATA[:1]), ("drop", ())])
def test_mastering_metadata_is_kept_or_dropped_by_the_profile(rule: str, kept: tuple[str, ...]) -> None:
    hdr = tagged("bt2020nc", "bt2020", "smpte2084")
    stream = video(colour=hdr, side_data={HDR_SIDE_DATA[0]: {}})
    decision = decide_colour(profile(colour={"hdr": rule}), stream, frame(colour=hdr))
    assert (decision.hdr, decision.side_data) == (rule, kept)
    assert (NoteKind.HDR_METADATA_DROPPED in kinds(decision.notes)) == (rule == "drop")


@pytest.mark.parametrize(
    ("rules", "colour"),
    [
        (PRORES, tagged("ycgco", "bt709", "bt709")),
        (PRORES, tagged("fcc", "bt709", "bt709")),
        (PRORES, tagged("bt709", "bt709", "iec61966-2-1")),
        (PRORES, tagged("bt709", "film", "bt709")),
        (DNXHR, tagged("bt2020nc", "bt2020", "bt709")),
        (DNXHR, tagged("bt709", "bt709", "iec61966-2-1")),
        (H264, tagged("bt709", "film", "bt709")),
    ],
)
def test_colours_that_the_codec_cannot_tag_are_refused(rules: ProfileSpec, colour: StreamColour) -> None:
    with pytest.raises(SourceUnsupported):
        decide_colour(rules, video(colour=colour), frame(colour=colour))


def test_cinema_masters_are_refused() -> None:
    with pytest.raises(SourceUnsupported, match="XYZ"):
        decide_colour(PRORES, video(), frame(pixel_format="xyz12le"))
