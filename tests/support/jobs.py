"""Small real jobs for tests: generated media, and specs made by `create_jobs`."""

from __future__ import annotations

from pathlib import Path

from proxx.contracts.job import JobSpec, spec_bytes
from proxx.contracts.profile import find_profile
from proxx.create.jobs import create_jobs
from proxx.create.request import CreateRequest
from proxx.ffmpeg.installed import ToolchainName
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.files.places import Places
from tests.support.makemedia import make, picture, sound


def half_second(name: str, timecode: str = "01:00:00:00", reel: str = "A001") -> Path:
    """Returns a clip of 12 frames of 320×240 at 25 frames/s with a stereo track, a timecode and a reel."""
    return make(
        name,
        *picture(size="320x240"),
        *sound("stereo"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "6", "-threads", "1", "-c:a", "pcm_s16le"),
        *("-timecode", timecode, "-metadata:s:v:0", f"reel_name={reel}", "-shortest"),
    )


def make_job(output: Path | str, profile: str, clips: int = 1, *, name: str = "test") -> JobSpec:
    """Returns a job of `clips` half-second clips, all different, into `output`."""
    sources = tuple(half_second(f"clip{index}.mov", f"01:00:0{index}:00") for index in range(clips))
    return create(sources, output, profile, name=name)


def create(
    sources: tuple[Path | str, ...],
    output: Path | str,
    profile: str,
    *,
    name: str = "test",
    build: ToolchainName = "static",
    places: Places | None = None,
    template: str = "{source_name}",
) -> JobSpec:
    """Returns one job of these sources, made by `create_jobs`."""
    toolchain = find_toolchain(build)
    created = create_jobs(
        CreateRequest(
            sources=sources,
            profile=find_profile(profile),
            toolchain=toolchain.identity,
            output=str(output),
            name=name,
            template=template,
            clips_per_job=None,
            leave_out_refused=False,
            accept_damage=(),
            date="2026-01-02",
            places=places or Places(),
        ),
        ffprobe=toolchain.ffprobe,
        decoders=decoders(toolchain.ffmpeg),
    )
    (job,) = created.jobs
    return job


def write_spec(job: JobSpec, path: Path) -> Path:
    path.write_bytes(spec_bytes(job))
    return path
