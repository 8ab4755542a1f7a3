"""The golden clips: half a second made here by each profile of the catalogue, whose sha256 is known beforehand.

They prove an installation: the same encoder on the same kind of CPU gives the same bytes. The source is made by
the same build from generated pictures and tones. `golden.json` is made anew on purpose only:
`python -m proxx.golden`, after a change of the toolchain, the catalogue or the command.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import ToolchainMissing
from proxx.contracts.fingerprint import digest_bytes
from proxx.contracts.job import Clip
from proxx.contracts.measures import Rate, Ratio, Size
from proxx.contracts.profile import ProfileSpec, catalogue, find_profile, pinned_threads
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
from proxx.decide.picture import decide_size
from proxx.ffmpeg.command import bind_paths, plan_command
from proxx.ffmpeg.process import capture, decode_signal
from proxx.ffmpeg.toolchain import AVX2, NAMES, InstalledToolchain, find_toolchain, require_cpu

GOLDEN_SCHEMA: Final = "proxx.golden/1"
_FILE: Final = "golden.json"
_SECONDS: Final = 300  # each takes a tenth of one; emulated CPUs are twenty times slower
_SIZE: Final = Size(width=512, height=288)  # halves of it are still wide enough for DNxHR
_RATE: Final = Rate(num=25, den=1)
_FRAMES: Final = 12
_SAMPLES: Final = 23040
_PICTURE: Final = f"testsrc2=size={_SIZE}:rate={_RATE}:duration=0.48,format=yuv420p"
_SOUND: Final = (
    "sine=frequency=440:sample_rate=48000:duration=0.48[l];"
    "sine=frequency=997:sample_rate=48000:duration=0.48[r];[l][r]amerge=inputs=2,aformat=channel_layouts=stereo"
)


@dataclass(frozen=True)
class GoldenResult:
    """One golden clip. expected: None where none is known for this build. found: None where none was made."""

    profile: str
    expected: str | None
    found: str | None
    words: str = ""

    @property
    def equal(self) -> bool:
        return self.expected is not None and self.expected == self.found


def check_golden_clips(installed: InstalledToolchain, folder: Path) -> Iterator[GoldenResult]:
    """A proof for each catalogue profile of this toolchain, sorted by name. folder: an empty place to work in."""
    known = _known(installed)
    source = make_source(installed, folder)
    for profile in _profiles(installed):
        expected = known.get(profile.name, {}).get(profile.fingerprint)
        try:
            yield GoldenResult(profile.name, expected, make_golden(installed, profile, source, folder))
        except ProxxError as why:
            yield GoldenResult(profile.name, expected, None, str(why))


def make_source(installed: InstalledToolchain, folder: Path) -> Path:
    """Half a second of moving bars and two tones as a camera would write them: H.264 and AAC."""
    path = folder / "golden-source.mov"
    argv = (*installed.ffmpeg_argv, "-nostdin", "-nostats", "-hide_banner", "-loglevel", "error")
    argv += ("-cpuflags", "+".join(AVX2), "-filter_threads", "1", "-filter_complex_threads", "1")
    argv += ("-f", "lavfi", "-i", _PICTURE, "-f", "lavfi", "-i", _SOUND, "-fps_mode", "passthrough")
    argv += ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-threads:v", "1")
    argv += ("-x264-params", "asm=avx2:lookahead-threads=1:sliced-threads=0:keyint=6:bframes=0", "-c:a", "aac")
    argv += ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")
    argv += ("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-f", "mov", f"file:{path}")
    _run(argv)
    return path


def make_golden(installed: InstalledToolchain, profile: ProfileSpec, source: Path, folder: Path) -> str:
    """Encode the source with the very command of a job; the sha256 of the bytes."""
    output = folder / f"golden-{profile.name}.{profile.container}"
    todo = plan_command(profile, golden_clip(profile, source, output))
    try:
        _run((*installed.launcher, *bind_paths(todo.argv, installed.ffmpeg, source, output)))
        return digest_bytes(output.read_bytes())
    finally:
        output.unlink(missing_ok=True)


def golden_clip(profile: ProfileSpec, source: Path, output: Path) -> Clip:
    """The decisions for the golden source, written down: creation is not what is proven here."""
    scaled, size = decide_size(profile.size, _SIZE, False)
    channels = tuple(ChannelPick(file=0, stream=1, channel=channel) for channel in (0, 1))
    groups = {"tracks": (channels,), "mono": tuple((one,) for one in channels), "none": ()}[profile.audio.mode]
    tracks = tuple(
        AudioTrack(
            codec=profile.audio.codec,
            rate=48000,
            bits=profile.audio.bits,
            layout="stereo" if len(group) > 1 else "mono",
            labels=(),
            language=None,
            title=None,
            map=group,
        )
        for group in groups
    )
    reel = "GOLDEN" if profile.reel.carried != "none" else None
    nothing = NamedValue(value=None, origin=None)
    colour = _bt709()
    return Clip(
        source=Source(
            kind="file",
            files=(
                SourceFile(
                    uri=str(source),
                    size=source.stat().st_size,
                    digest=digest_bytes(source.read_bytes()),
                    role="picture",
                ),
            ),
            sequence=None,
            range=None,
        ),
        recipe=Recipe(
            video=VideoPick(file=0, stream=0, view=None, codec="h264", decoder="h264"),
            audio=tracks,
            audio_decoders=(AudioDecoder(file=0, stream=1, codec="aac", decoder="aac_fixed"),) if tracks else (),
            audio_offset=(0,) * len(tracks),
            excluded=(),
            crop=Crop(left=0, top=0, right=0, bottom=0),
            rotation=0,
            size=size,
            scaled=scaled,
            sar=Ratio(num=1, den=1),
            scan="progressive",
            field_order=None,
            deinterlace=False,
            colour_in=colour,
            colour_out=colour,
            conform=Conform(mode="none", rate=_RATE, round="near"),
            timecode=TimecodeDecision(
                state="present", start_frame=90000, nominal_fps=25, drop=False, rate=_RATE, origin="golden"
            ),
            names=Names(
                reel=NamedValue(value="GOLDEN", origin="golden"), tape=nothing, camera_roll=nothing, clip_name=nothing
            ),
            luts=(),
            hdr="drop",
            decode_errors="refuse",
            threads=pinned_threads(profile.threads, "h264", "refuse"),
        ),
        expect=Expect(
            packets=_FRAMES,
            discarded=0,
            frames=_FRAMES,
            output_frames=_FRAMES,
            samples=(_SAMPLES,) * len(tracks),
            size=size,
            sar=Ratio(num=1, den=1),
            rate=_RATE,
            scan="progressive",
            field_order=None,
            colour=colour,
            timecode=90000,
            reel=reel,
            side_data=(),
        ),
        outputs=(Output(role="proxy", uri=str(output), tracks=tuple(range(len(tracks)))),),
    )


def remake(path: Path) -> None:
    """Write the golden file of this machine's platform for both toolchains; other platforms' entries stay."""
    text = path.read_text("utf-8") if path.exists() else "{}"
    builds: dict[str, Any] = json.loads(text).get("builds", {})
    for name in NAMES:
        installed = find_toolchain(name)
        require_cpu(installed, AVX2)
        with tempfile.TemporaryDirectory(prefix="proxx-golden-") as folder:
            source = make_source(installed, Path(folder))
            made = {
                profile.name: {profile.fingerprint: make_golden(installed, profile, source, Path(folder))}
                for profile in _profiles(installed)
            }
        key = f"{installed.identity.platform} {name}"
        builds[key] = {"ffmpeg_sha256": installed.identity.ffmpeg_sha256, "profiles": made}
    record = {"schema": GOLDEN_SCHEMA, "builds": builds}
    path.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", "utf-8")


def _known(installed: InstalledToolchain) -> dict[str, dict[str, str]]:
    """By profile name, then profile fingerprint, for exactly this build; libc is part of what is proven."""
    record = json.loads(resources.files("proxx.doctor").joinpath(_FILE).read_text("utf-8"))
    build = record["builds"].get(f"{installed.identity.platform} {installed.identity.name}", {})
    same = build.get("ffmpeg_sha256") == installed.identity.ffmpeg_sha256
    return dict(build["profiles"]) if same else {}


def _profiles(installed: InstalledToolchain) -> Iterator[ProfileSpec]:
    for name in catalogue():
        profile = find_profile(name)
        if installed.identity.name in profile.toolchains:
            yield profile


def _run(argv: tuple[str, ...]) -> None:
    done = capture(argv, stdout_limit=1 << 20, timeout=_SECONDS)
    if not done.succeeded:
        ended = decode_signal(done.exit) or f"exit {done.exit}"
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise ToolchainMissing(message=f"The encoder failed: {ended}.", detail=" | ".join(words))


def _bt709() -> Colour:
    def tagged(value: str) -> ColourValue:
        return ColourValue(value=value, origin="tagged")

    return Colour(range=tagged("tv"), matrix=tagged("bt709"), primaries=tagged("bt709"), transfer=tagged("bt709"))


if __name__ == "__main__":
    remake(Path(__file__).with_name(_FILE))
    sys.stdout.write(f"{_FILE} was made anew: say why in the change that holds it.\n")
