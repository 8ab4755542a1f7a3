"""Estimates the bytes of a clip's proxy: the picture by the profile's measured range, PCM exactly.

The measured range is in kilobits a second at 1920×1080 and 25 frames/s; it is scaled by pixels and frames. Disks are
checked against the upper bound: unbounded encoders reach it on noise (measured).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from proxx.contracts.job import Clip
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import AudioTrack

_MEASURED_AT: Final = 1920 * 1080 * 25  # pixels a second of `profile.measured`
_HEADERS: Final = 64 << 10  # bytes: file headers, or the header and footer of an OP1a MXF
_MOV_SAMPLE: Final = 24  # bytes of index for each frame: sizes, offsets, times (ISO/IEC 14496-12 stsz, co64, stts)
_MXF_GRID: Final = 512  # bytes: ffmpeg's MXF writer pads each element to a multiple of this
_AAC_FRAME: Final = (6144, 1024)  # (the most bits per channel, for this many samples) (ISO/IEC 14496-3)


@dataclass(frozen=True, kw_only=True)
class SpaceEstimate:
    """Bytes: the lower and the upper bound."""

    low: int
    high: int

    def __add__(self, other: SpaceEstimate) -> SpaceEstimate:
        return SpaceEstimate(low=self.low + other.low, high=self.high + other.high)


NOTHING: Final = SpaceEstimate(low=0, high=0)


def estimate_space(profile: ProfileSpec, clip: Clip) -> SpaceEstimate:
    """Returns the space that one clip's proxy takes."""
    size, frames = clip.recipe.size, clip.expect.output_frames
    pixels = size.width * size.height * frames
    tracks = zip(clip.recipe.audio, clip.expect.samples, strict=True)
    sound = sum(_track_bytes(profile, track, samples) for track, samples in tracks)
    elements = 1 + len(clip.recipe.audio)
    overhead = _MXF_GRID * (elements + 1) if profile.container == "mxf" else _MOV_SAMPLE * elements
    return SpaceEstimate(
        low=_picture_bytes(profile.measured.low_kbps, pixels) + (sound if _is_pcm(profile) else 0),
        high=_picture_bytes(profile.measured.high_kbps, pixels) + sound + _HEADERS + overhead * frames,
    )


def _picture_bytes(kbps: int, pixels: int) -> int:
    return ceil(Fraction(kbps * 1000 * pixels, 8 * _MEASURED_AT))


def _is_pcm(profile: ProfileSpec) -> bool:
    return profile.audio.codec.startswith("pcm_")


def _track_bytes(profile: ProfileSpec, track: AudioTrack, samples: int) -> int:
    channels = len(track.map)
    if _is_pcm(profile):
        return samples * channels * (track.bits // 8)
    bits, frame = _AAC_FRAME
    return ceil(Fraction(samples * channels * bits, frame * 8))
