"""Packets are counted as ffmpeg decodes them; packets made up here, no file."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxx.ffmpeg.packets import (
    AudioCounter,
    Packet,
    VideoCounter,
    audio_offset,
    is_truncated,
    largest_deviation,
    missing_seconds,
    packet_samples,
    repeated_pts,
)
from proxx.ffmpeg.streams import AudioPackets, AudioStream, ProbeResult, StreamColour, VideoPackets, VideoStream

NO_TAGS: MappingProxyType[str, str] = MappingProxyType({})
VIDEO = VideoStream(
    index=0,
    codec="h264",
    tag="avc1",
    profile="High",
    time_base=Fraction(1, 90000),
    start_pts=0,
    duration_ts=None,
    declared_packets=None,
    dispositions=frozenset(),
    tags=NO_TAGS,
    side_data=MappingProxyType({}),
    width=1920,
    height=1080,
    coded_width=1920,
    coded_height=1080,
    sar=None,
    pixel_format="yuv420p",
    bits=8,
    nominal_rate=Fraction(25),
    average_rate=Fraction(25),
    field_order="progressive",
    colour=StreamColour(range=None, matrix=None, primaries=None, transfer=None, chroma_location=None),
    b_frames=0,
    display_matrix=None,
    rotation=0,
    mirrored=False,
)
AUDIO = AudioStream(
    index=1,
    codec="aac",
    tag="mp4a",
    profile="LC",
    time_base=Fraction(1, 48000),
    start_pts=0,
    duration_ts=None,
    declared_packets=None,
    dispositions=frozenset(),
    tags=NO_TAGS,
    side_data=MappingProxyType({}),
    rate=48000,
    channels=2,
    layout="stereo",
    sample_format="fltp",
    bits=None,
    packed_bits=None,
    initial_padding=0,
)
MOV = ProbeResult(container="mov,mp4", size=1, start=None, duration=None, tags=NO_TAGS, streams=())


def packet(
    pts: int | None,
    duration: int = 3600,
    *,
    key: bool = False,
    discard: bool = False,
    corrupt: bool = False,
    size: int = 100,
    skip: int = 0,
    padding: int = 0,
) -> Packet:
    return Packet(pts, pts, duration, size, key, discard, corrupt, skip, padding)


def video(*packets: Packet, stream: VideoStream = VIDEO) -> VideoPackets:
    counter = VideoCounter(stream)
    for item in packets:
        counter.add(item)
    return counter.finish()


def audio(*packets: Packet, stream: AudioStream = AUDIO) -> AudioPackets:
    counter = AudioCounter(stream)
    for item in packets:
        counter.add(item)
    return counter.finish()


def evenly_spaced(count: int, step: int = 3600) -> tuple[Packet, ...]:
    return tuple(packet(n * step, step, key=n == 0) for n in range(count))


def steps(table: VideoPackets) -> set[int]:
    """Ticks from each frame to the next."""
    return {later - earlier for earlier, later in pairwise(table.pts)}


def test_progressive_frames_are_counted() -> None:
    table = video(*evenly_spaced(10))
    assert (table.packets, table.frames, table.keyframes, table.starts_mid_gop, table.certain) == (
        10,
        10,
        1,
        False,
        True,
    )
    assert (table.start, table.seconds, steps(table)) == (Fraction(0), Fraction(10, 25), {3600})


def test_reordered_frames_are_sorted_by_time() -> None:
    table = video(packet(0, key=True), packet(10800), packet(3600), packet(7200))
    assert list(table.pts) == [0, 3600, 7200, 10800]
    assert table.leading == 0


def test_packets_outside_the_edit_list_are_not_counted_as_frames() -> None:
    table = video(packet(-7200, key=True, discard=True), packet(-3600, discard=True), packet(0), packet(3600))
    assert (table.packets, table.discarded, table.frames, table.start) == (4, 2, 2, Fraction(0))


def test_two_field_packets_are_one_frame() -> None:
    fields = [packet(n * 1800, 1800, key=n == 0) for n in range(26)]
    interlaced = replace(VIDEO, field_order="tt", nominal_rate=Fraction(50))
    table = video(*fields, stream=interlaced)
    assert (table.packets, table.field_pairs, table.frames, steps(table)) == (26, 13, 13, {3600})
    assert video(*fields).frames == 26  # a progressive stream has no fields
    assert (
        video(*fields, stream=replace(interlaced, average_rate=Fraction(50))).frames == 13
    )  # as after a copy to MP4


def test_frames_and_field_pairs_may_be_mixed() -> None:
    interlaced = replace(VIDEO, field_order="bb")
    packets = [packet(0, 3600, key=True), packet(3600, 1800), packet(5400, 1800), packet(7200, 3600)]
    assert video(*packets, stream=interlaced).frames == 3


def test_fields_of_a_5994i_stream_are_paired_although_ticks_are_rounded() -> None:
    interlaced = replace(VIDEO, field_order="tt", average_rate=Fraction(30000, 1001))
    fields = [packet(n * 3003 // 2, 1501 + n % 2, key=n == 0) for n in range(20)]
    assert video(*fields, stream=interlaced).frames == 10


def test_a_stream_that_starts_in_the_middle_of_a_gop_is_uncertain() -> None:
    table = video(packet(0), packet(3600), packet(7200, key=True))
    assert (table.starts_mid_gop, table.certain) == (True, False)


def test_leading_packets_make_hevc_uncertain_only() -> None:
    packets = (packet(7200, key=True), packet(0), packet(3600), packet(None), packet(10800, key=True), packet(9000))
    table = video(*packets)
    assert (table.leading, table.certain) == (3, True)
    assert not video(*packets, stream=replace(VIDEO, codec="hevc")).certain
    assert table.frames == 6


def test_empty_packets_give_no_frame_and_corrupt_ones_are_uncertain() -> None:
    table = video(packet(0, key=True), packet(3600, size=0), packet(7200, corrupt=True))
    assert (table.empty, table.corrupt, table.frames, table.certain) == (1, 1, 2, False)


def test_a_track_without_packets_has_no_frames_and_no_samples() -> None:
    table = video()
    assert (table.frames, table.start, table.seconds, steps(table)) == (0, None, Fraction(0), set())
    assert largest_deviation(table, Fraction(25)) == 0
    assert audio().samples == 0


def test_priming_samples_are_dropped() -> None:
    """2112 samples, of which two discarded packets take 2048, as in the file of a FLIR camera."""
    first = packet(6185, 1024, discard=True, skip=2112)
    table = audio(first, packet(7209, 1024, discard=True), packet(8233, 1024), packet(9257, 1024))
    assert (table.samples, table.start, table.discarded) == (2 * 1024 - 64, Fraction(8297, 48000), 2)


def test_padding_samples_are_dropped() -> None:
    table = audio(packet(0, 1024), packet(1024, 1024, padding=1000))
    assert (table.samples, table.end) == (1048, Fraction(1048, 48000))


def test_a_short_last_aac_packet_decodes_to_1024_samples() -> None:
    assert audio(packet(0, 1024), packet(1024, 768)).samples == 2048


def test_gaps_in_sound_are_counted() -> None:
    assert audio(packet(0, 1024), packet(1024, 1024), packet(4096, 1024)).gaps == 1


@pytest.mark.parametrize(
    ("codec", "profile", "rate", "samples"),
    [
        ("aac", "LC", 48000, 1024),
        ("aac", "HE-AACv2", 48000, 2048),
        ("ac3", None, 48000, 1536),
        ("eac3", None, 48000, 768),
        ("mp3", None, 44100, 1152),
        ("mp3", None, 22050, 576),
        ("mp2", None, 48000, 1152),
        ("flac", None, 48000, 1000),
        ("opus", None, 48000, None),
        ("dts", None, 48000, None),
        (None, None, 48000, None),
    ],
)
def test_samples_per_packet_depend_on_the_codec(
    codec: str | None, profile: str | None, rate: int, samples: int | None
) -> None:
    assert packet_samples(replace(AUDIO, codec=codec, profile=profile, rate=rate), 1000, 99) == samples


@pytest.mark.parametrize(
    ("duration", "time_base", "samples"),
    [
        (512, Fraction(1, 48000), 512),
        (480, Fraction(1, 48000), 480),
        (300, Fraction(1, 48000), 480),  # the last packet of a MOV track
        (960, Fraction(1, 90000), 512),
        (900, Fraction(1, 90000), 480),
        (10, Fraction(1, 1000), None),  # Matroska: 480 and 512 samples both last 10 ms, rounded down
        (0, Fraction(1, 48000), None),
    ],
)
@pytest.mark.parametrize("profile", ["LD", "ELD"])
def test_low_delay_aac_has_short_frames(
    profile: str, duration: int, time_base: Fraction, samples: int | None
) -> None:
    stream = replace(AUDIO, profile=profile, time_base=time_base)
    assert packet_samples(stream, duration, 99) == samples


def test_low_delay_aac_is_not_counted_twice() -> None:
    table = audio(*(packet(n * 512, 512) for n in range(94)), stream=replace(AUDIO, profile="ELD"))
    assert (table.samples, table.gaps, table.seconds) == (94 * 512, 0, Fraction(94 * 512, 48000))


def test_pcm_samples_are_counted_by_bytes() -> None:
    assert packet_samples(replace(AUDIO, codec="pcm_s24le", packed_bits=24, channels=8), 0, 24 * 1920) == 1920


def test_samples_of_opus_are_unknown_and_never_truncated() -> None:
    opus = replace(AUDIO, codec="opus", duration_ts=48000)
    table = audio(packet(0, 960), packet(960, 960), stream=opus)
    assert table.samples is None
    assert not is_truncated(MOV, opus, table)


def test_the_audio_offset_is_exact() -> None:
    picture = video(packet(9009, 3003, key=True))
    sound = audio(packet(0, 1024))
    assert audio_offset(picture, sound) == Fraction(-48000 * 1001, 10000)
    assert audio_offset(picture, audio()) is None


@pytest.mark.parametrize(
    ("declared", "truncated"), [(36000, False), (39600, False), (39601, True), (32400, False), (32399, True)]
)
def test_a_difference_of_more_than_a_frame_is_truncated(declared: int, truncated: bool) -> None:
    stream = replace(VIDEO, duration_ts=declared)
    assert is_truncated(MOV, stream, video(*evenly_spaced(10))) is truncated


def test_a_stream_without_a_declared_duration_is_never_truncated() -> None:
    stream = replace(VIDEO, duration_ts=10**9)
    assert missing_seconds(replace(MOV, container="mpegts"), stream, video(*evenly_spaced(10))) == 0
    assert missing_seconds(MOV, VIDEO, video(*evenly_spaced(10))) == 0


def test_matroska_declares_its_duration_in_a_tag() -> None:
    webm = replace(MOV, container="matroska,webm")
    stream = replace(VIDEO, tags=MappingProxyType({"DURATION": "00:00:01.400000000"}))
    assert missing_seconds(webm, stream, video(*evenly_spaced(10))) == 1
    assert is_truncated(webm, stream, video(*evenly_spaced(10)))


def test_the_largest_deviation_from_an_even_grid_is_found() -> None:
    table = video(packet(0, key=True), packet(3600), packet(9000), packet(10800))
    assert largest_deviation(table, Fraction(25)) == Fraction(1, 2)
    assert steps(table) == {3600, 5400, 1800}
    assert repeated_pts(video(packet(0), packet(0), packet(3600))) == 1


@given(st.lists(st.integers(-(2**40), 2**40), unique=True, min_size=1, max_size=50), st.randoms())
def test_the_order_in_the_file_does_not_matter(times: list[int], random: object) -> None:
    shuffled = sorted(times, key=lambda _: random.random())  # type: ignore[attr-defined]
    table = video(*(packet(pts) for pts in shuffled))
    assert list(table.pts) == sorted(times)
    assert table.frames == len(times)


@given(st.integers(1, 500), st.integers(0, 5000), st.integers(0, 1024))
def test_samples_never_exceed_those_in_the_packets(count: int, skip: int, padding: int) -> None:
    packets = [packet(n * 1024, 1024, skip=skip if n == 0 else 0) for n in range(count)]
    packets[-1] = packets[-1]._replace(padding=padding)
    table = audio(*packets)
    assert table.samples is not None
    assert max(0, count * 1024 - skip - padding) <= table.samples <= max(0, count * 1024 - skip)
