"""Each kind of source gives the right pixels and samples: fields, rotation, rates, sound, timecode, colour."""

from __future__ import annotations

import hashlib
from array import array
from fractions import Fraction
from pathlib import Path

import pytest

from proxx.contracts.profile import find_profile
from tests.media.encoding import Made, decide, encode, make_proxy
from tests.support.makemedia import ffmpeg, make, picture, sound

PRORES, HALF = find_profile("prores_proxy"), find_profile("prores_proxy_half")
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-threads", "1")


def samples(path: Path, track: int = 0, channel: int = 0) -> array[int]:
    """Returns the samples of one channel as 32-bit numbers."""
    pick = f"channelmap={channel}:mono"
    raw = ffmpeg(
        "-i", f"file:{path}", "-map", f"0:a:{track}", "-af", f"aresample=osf=s32p,{pick}", "-f", "s32le", "-"
    )
    return array("i", raw)


def pixels(path: Path, *, filters: str = "null", frame: int = 0) -> bytes:
    """Returns one frame as 8-bit RGB at a small size."""
    exact = "scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    chain = f"select=eq(n\\,{frame}),{exact},format=gbrp,{filters},scale=16:16:flags=area,format=rgb24"
    argv = ("-noautorotate", "-i", f"file:{path}", "-vf", chain, "-frames:v", "1", "-f", "rawvideo", "-")
    return ffmpeg(*argv)


def difference(one: bytes, other: bytes) -> Fraction:
    """Returns the mean difference of two pictures, in 8-bit steps."""
    return Fraction(sum(abs(a - b) for a, b in zip(one, other, strict=True)), len(one))


def _interlaced(order: str) -> Path:
    scan = {"tt": "tff", "bb": "bff"}[order]
    filters = f"interlace=scan={scan}"
    fields = ("-flags", "+ildct+ilme", "-field_order", order)
    # A transport stream, as in AVCHD and HDV.
    return make(
        f"{order}.ts", *picture(size="320x240", rate="50"), "-vf", filters, "-c:v", "mpeg2video", *fields, "-q:v", "2"
    )


@pytest.mark.parametrize(("order", "first"), [("tt", True), ("bb", False)])
def test_fields_are_kept_in_their_order(order: str, first: bool, tmp_path: Path) -> None:
    found = make_proxy(PRORES, _interlaced(order), tmp_path).found.picture
    assert found is not None
    assert (found.interlaced, found.top_first, found.field_order) == (True, first, {"tt": "tb", "bb": "bt"}[order])


@pytest.mark.parametrize("order", ["tt", "bb"])
@pytest.mark.parametrize("name", ["prores_proxy_half", "h264_half", "h264_1080"])
def test_reduced_sizes_and_h264_are_deinterlaced(name: str, order: str, tmp_path: Path) -> None:
    made = make_proxy(find_profile(name), _interlaced(order), tmp_path)
    assert made.clip.recipe.deinterlace
    assert made.found.picture is not None and not made.found.picture.interlaced


def test_packed_pixels_are_deinterlaced_too(tmp_path: Path) -> None:
    source = make(
        "packed.mov",
        *picture(size="320x240", rate="50"),
        *("-vf", "interlace=scan=bff,format=uyvy422", "-c:v", "rawvideo"),
    )
    assert make_proxy(HALF, source, tmp_path).clip.recipe.deinterlace


@pytest.mark.parametrize(
    ("turn", "filters"), [("90", "transpose=cclock"), ("-90", "transpose=clock"), ("180", "hflip,vflip")]
)
@pytest.mark.parametrize("format_", ["yuv420p", "yuv422p10le"])
def test_a_rotated_phone_clip_is_turned_upright(turn: str, filters: str, format_: str, tmp_path: Path) -> None:
    plain = make("flat.mov", *picture(size="192x96"), "-pix_fmt", format_, "-c:v", "libx264", "-crf", "5")
    source = make(f"turn{turn}.mov", "-display_rotation", turn, "-i", f"file:{plain}", "-c", "copy")
    made = make_proxy(PRORES, source, tmp_path)
    wide = made.found.picture is not None and made.found.picture.width > made.found.picture.height
    assert wide == (turn == "180")
    assert difference(pixels(made.path), pixels(plain, filters=filters)) < 5
    assert difference(pixels(made.path), pixels(plain, filters="hflip," + filters)) > 20


def test_the_pixel_aspect_ratio_is_kept(tmp_path: Path) -> None:
    source = make("wide.mov", *picture(size="720x576"), "-vf", "setsar=64/45", *X264)
    found = make_proxy(HALF, source, tmp_path).found.picture
    assert found is not None and found.sar == Fraction(64, 45)


@pytest.mark.parametrize("name", ["prores_proxy", "h264_half"])
def test_a_variable_rate_is_conformed(name: str, tmp_path: Path) -> None:
    late = "setpts=N/25/TB+if(gt(N\\,5)\\,0.23/TB)+if(gt(N\\,8)\\,0.31/TB)"
    source = make("vfr.mp4", *picture(), "-vf", late, "-fps_mode", "passthrough", *X264)
    made = make_proxy(find_profile(name), source, tmp_path)
    assert made.clip.recipe.conform.mode == "cfr"
    assert made.clip.expect.output_frames > made.clip.expect.frames


def test_rounded_time_stamps_drop_no_frame(tmp_path: Path) -> None:
    source = make("round.mkv", *picture(rate="24000/1001", seconds="2"), *X264)
    made = make_proxy(PRORES, source, tmp_path)
    assert made.clip.recipe.conform.mode == "retime"
    assert made.clip.expect.output_frames == made.clip.expect.frames


# --- sound -----------------------------------------------------------------------------------------------


def _click(late: int) -> Path:
    """Sound that starts `late` samples after the picture (negative: before); a click 4800 samples after both."""
    clock = f"aevalsrc=if(eq(n\\,{4800 + max(-late, 0)})\\,0.5\\,0):s=48000:d=1"
    delay = f"{abs(late) * 1000 // 48}us"
    return make(
        f"click{late}.mov",
        *(*(("-itsoffset", delay) if late < 0 else ()), *picture(seconds="1")),
        *(*(("-itsoffset", delay) if late > 0 else ()), "-f", "lavfi", "-i", clock),
        *("-map", "0", "-map", "1", *X264, "-bf", "0", "-c:a", "pcm_s24le", "-movie_timescale", "48000"),
    )


@pytest.mark.parametrize("late", [0, 960, 4800, -1920, -3840])
def test_sound_stays_in_sync_with_the_picture(late: int, tmp_path: Path) -> None:
    made = make_proxy(PRORES, _click(late), tmp_path)
    heard = samples(made.path)
    assert made.clip.recipe.audio_offset == (late,)
    assert heard.index(max(heard)) == 4800 + max(late, 0)
    assert len(heard) == made.clip.expect.samples[0] == made.clip.expect.output_frames * 1920


def test_pcm_samples_are_unchanged(tmp_path: Path) -> None:
    source = make("pcm.mov", *picture(), *sound("stereo"), *X264, "-c:a", "pcm_s24le")
    made = make_proxy(PRORES, source, tmp_path)
    for channel in (0, 1):
        assert samples(made.path, channel=channel) == samples(source, channel=channel)


def test_every_channel_becomes_a_mono_track_in_mxf(tmp_path: Path) -> None:
    source = make(
        "two.mov",
        *picture(size="256x128"),
        *("-f", "lavfi", "-i", "aevalsrc=0.1*sin(n/10)|0.2*sin(n/7):s=48000:d=0.48:c=stereo"),
        *(*X264, "-c:a", "pcm_s24le"),
    )
    made = make_proxy(find_profile("dnxhr_lb_mxf"), source, tmp_path)
    assert [one.channels for one in made.found.sound] == [1, 1]
    for channel in (0, 1):
        assert samples(made.path, track=channel) == samples(source, channel=channel)


def test_5_1_sound_keeps_its_layout(tmp_path: Path) -> None:
    source = make("51.mov", *picture(), *sound("5.1"), *X264, "-c:a", "pcm_s24le")
    made = make_proxy(PRORES, source, tmp_path)
    assert [(one.channels, one.layout) for one in made.found.sound] == [(6, "5.1")]
    for channel in range(6):
        assert samples(made.path, channel=channel) == samples(source, channel=channel)


def _eight() -> Path:
    every = "|".join(f"c{channel}=c0" for channel in range(8))
    filters = f"pan=8 channels|{every}"
    return make("eight.mov", *picture(), *sound(), "-af", filters, *X264, "-c:a", "pcm_s24le")


def test_eight_unlabelled_channels_stay_eight(tmp_path: Path) -> None:
    made = make_proxy(PRORES, _eight(), tmp_path)
    assert [(one.channels, one.layout) for one in made.found.sound] == [(8, None)]
    assert all(samples(made.path, channel=channel) == samples(_eight(), channel=channel) for channel in range(8))


def test_no_unlabelled_channel_is_filtered_as_low_frequency_effects(tmp_path: Path) -> None:
    """If the layout were guessed as 7.1, the AAC encoder would keep only the lowest frequencies of channel 4."""
    made = make_proxy(find_profile("h264_review_mp4"), _eight(), tmp_path)
    loud = [sum(abs(one) >> 16 for one in samples(made.path, track=track)) for track in range(8)]
    assert len(made.found.sound) == 8
    assert min(loud) * 10 > max(loud) * 9


def test_track_languages_are_kept(tmp_path: Path) -> None:
    source = make(
        "languages.mp4",
        *(*picture(), *sound(), "-map", "0", "-map", "1", "-map", "1", *X264, "-c:a", "aac"),
        *("-metadata:s:a:0", "language=swe", "-metadata:s:a:1", "language=gle"),
    )
    assert [one.language for one in make_proxy(PRORES, source, tmp_path / "1").found.sound] == ["sve", None]
    mp4 = make_proxy(find_profile("h264_review_mp4"), source, tmp_path / "2")
    assert [one.language for one in mp4.found.sound] == ["swe", "gle"]


# --- timecode and colour ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prores_proxy", "dnxhr_lb_mxf", "h264_review_mp4"])
@pytest.mark.parametrize(
    ("rate", "label"),
    [
        ("30000/1001", "01:00:59;28"),
        ("30000/1001", "01:01:00:00"),
        ("60000/1001", "23:59:59;59"),
        ("24000/1001", "00:00:00:00"),
        ("50", "10:00:00:26"),
        ("25", "23:59:59:24"),
    ],
)
def test_timecode_is_kept(name: str, rate: str, label: str, tmp_path: Path) -> None:
    source = make("tc.mov", *picture(size="256x128", rate=rate), *X264, "-timecode", label)
    assert make_proxy(find_profile(name), source, tmp_path).found.timecode == label


def test_a_source_without_timecode_gets_none(tmp_path: Path) -> None:
    source = make("none.mov", *picture(size="256x128"), *X264)
    assert make_proxy(PRORES, source, tmp_path / "1").found.timecode is None
    assert make_proxy(find_profile("dnxhr_lb_mxf"), source, tmp_path / "2").found.timecode == "00:00:00:00"


def _full(matrix: str) -> Path:
    chain = f"scale=out_range=pc:out_color_matrix={matrix},format=yuv420p"
    tags = ("-colorspace", matrix, "-color_primaries", matrix, "-color_trc", "bt709", "-color_range", "pc")
    return make(f"full_{matrix}.mov", *picture(size="256x128"), "-vf", chain, "-c:v", "libx264", "-crf", "5", *tags)


def _made_as(name: str, source: Path, folder: Path) -> Made:
    return make_proxy(find_profile(name), source, folder)


@pytest.mark.parametrize("name", ["prores_proxy", "prores_ks_proxy", "dnxhr_sq", "h264_1080", "dnxhr_lb_mxf"])
@pytest.mark.parametrize("matrix", ["bt709", "bt470bg", "smpte170m"])
def test_full_range_becomes_limited_range_and_looks_the_same(name: str, matrix: str, tmp_path: Path) -> None:
    made = _made_as(name, _full(matrix), tmp_path)
    assert made.found.picture is not None and made.found.picture.colour.range == "tv"
    assert difference(pixels(made.path), pixels(_full(matrix))) < 4, (
        "a wrong matrix differs by 8, a wrong range by 15"
    )


@pytest.mark.clause("F5")
def test_accepted_damage_gives_the_same_bytes_every_time(tmp_path: Path) -> None:
    source = make("good.mp4", *picture(seconds="2"), *X264, "-g", "5")
    clip = decide(PRORES, source)
    clip = clip.model_copy(update={"recipe": clip.recipe.model_copy(update={"decode_errors": "accept"})})
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    file = clip.source.files[0].model_copy(update={"uri": str(damaged)})
    clip = clip.model_copy(update={"source": clip.source.model_copy(update={"files": (file,)})})
    made = [encode(PRORES, clip, tmp_path / str(number)) for number in (1, 2, 3)]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path, _ in made}) == 1
    assert len({(one.corrupt_frames, one.read[0].errors) for _, one in made}) == 1
    assert made[0][1].corrupt_frames + made[0][1].read[0].errors > 0
