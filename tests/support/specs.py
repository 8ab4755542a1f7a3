"""Contract values for tests: a complete small job that needs no files."""

from __future__ import annotations

from proxx.contracts.job import Clip, JobContent, JobSpec, Toolchain, seal
from proxx.contracts.measures import Rate, Ratio, Size
from proxx.contracts.profile import ProfileSpec, parse_profile, pinned_threads
from proxx.contracts.recipe import (
    AudioDecoder,
    AudioTrack,
    ChannelPick,
    Colour,
    ColourValue,
    Conform,
    Crop,
    Expect,
    NamedValue,
    Names,
    Output,
    Recipe,
    Source,
    SourceFile,
    TimecodeDecision,
    VideoPick,
)

PROFILE_TOML = """
schema = "proxx.profile/1"
name = "sample"
version = 1
description = "A profile for tests."
toolchains = ["static"]
container = "mov"
container_options = [{ name = "movflags", value = "+faststart" }]
fields = "deinterlace"
rates = []
cpu_flags = ["mmx", "sse2", "avx2"]

[video]
encoder = "prores_aw"
codec = "prores"
profile = "Proxy"
pixel_format = "yuv422p10le"
bits = 10
options = [{ name = "profile:v", value = "0" }, { name = "vendor", value = "apl0" }]

[size]
mode = "divide"
n = 2

[colour]
range = "tv"
hdr = "drop"

[audio]
mode = "tracks"
rate = "source"
encoder = "pcm_s24le"
codec = "pcm_s24le"
bits = 24
options = []

[timecode]
missing = "absent"

[reel]
carried = "stream"

[threads]
decode = 2
filter = 1
encode = 2

[measured]
low_kbps = 10000
high_kbps = 90000
bounded = false
"""


def colour(origin: str = "tagged") -> Colour:
    """Returns BT.709, limited range."""

    def value(name: str) -> ColourValue:
        return ColourValue.model_validate({"value": name, "origin": origin})

    return Colour(range=value("tv"), matrix=value("bt709"), primaries=value("bt709"), transfer=value("bt709"))


def profile() -> ProfileSpec:
    return parse_profile(PROFILE_TOML, "sample.toml")


def toolchain() -> Toolchain:
    return Toolchain(
        name="static",
        platform="linux-x86_64",
        ffmpeg_version="n8.1.2",
        ffmpeg_sha256="sha256:" + "a" * 64,
        ffprobe_version="n8.1.2",
        ffprobe_sha256="sha256:" + "b" * 64,
        libc=None,
    )


def clip(index: int = 0, source: str | None = None, output: str | None = None) -> Clip:
    """Returns a 1080p clip of 25 frames with one stereo track, whose proxy has half the size."""
    nothing = NamedValue(value=None, origin=None)
    return Clip(
        source=Source(
            kind="file",
            files=(
                SourceFile(
                    uri=source or f"/media/A{index:03d}.mov",
                    size=1000 + index,
                    digest="sha256:" + f"{index:064x}",
                    role="picture",
                ),
            ),
            sequence=None,
            range=None,
        ),
        recipe=Recipe(
            video=VideoPick(file=0, stream=0, view=None, codec="h264", decoder="h264"),
            audio=(
                AudioTrack(
                    codec="pcm_s24le",
                    rate=48000,
                    bits=24,
                    layout="stereo",
                    labels=(),
                    language="eng",
                    title=None,
                    map=(ChannelPick(file=0, stream=1, channel=0), ChannelPick(file=0, stream=1, channel=1)),
                ),
            ),
            audio_decoders=(AudioDecoder(file=0, stream=1, codec="aac", decoder="aac_fixed"),),
            audio_offset=(0,),
            excluded=(),
            crop=Crop(left=0, top=0, right=0, bottom=0),
            rotation=0,
            size=Size(width=960, height=540),
            scaled=Size(width=960, height=540),
            sar=Ratio(num=1, den=1),
            scan="progressive",
            field_order=None,
            deinterlace=False,
            colour_in=colour(),
            colour_out=colour(),
            conform=Conform(mode="none", rate=Rate(num=25, den=1), round="near"),
            timecode=TimecodeDecision(
                state="present",
                start_frame=90000,
                nominal_fps=25,
                drop=False,
                rate=Rate(num=25, den=1),
                origin="tmcd",
            ),
            names=Names(
                reel=NamedValue(value="A001", origin="stream tag"),
                tape=nothing,
                camera_roll=nothing,
                clip_name=nothing,
            ),
            luts=(),
            hdr="drop",
            decode_errors="refuse",
            threads=pinned_threads(profile().threads, "h264", "refuse"),
        ),
        expect=Expect(
            packets=25,
            discarded=0,
            frames=25,
            output_frames=25,
            samples=(48000,),
            size=Size(width=960, height=540),
            sar=Ratio(num=1, den=1),
            rate=Rate(num=25, den=1),
            scan="progressive",
            field_order=None,
            colour=colour(),
            timecode=90000,
            reel="A001",
            side_data=(),
        ),
        outputs=(Output(role="proxy", uri=output or f"/proxies/A{index:03d}.mov", tracks=(0,)),),
    )


def job(clips: int = 1) -> JobSpec:
    return seal(
        JobContent(
            schema_="proxx.job/1",
            name="sample",
            profile=profile(),
            toolchain=toolchain(),
            clips=tuple(clip(index) for index in range(clips)),
            left_out=(),
        )
    )
