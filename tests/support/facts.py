"""Facts about invented sources, for the tests of decisions: by default a 1080p25 H.264 clip of 25 frames."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from proxx.contracts.profile import ProfileSpec
from proxx.decide.clip import SourceFacts
from proxx.decide.notes import Note, NoteKind
from proxx.ffmpeg.streams import (
    AudioPackets,
    AudioStream,
    FirstFrame,
    OtherStream,
    ProbeResult,
    Stream,
    StreamColour,
    VideoPackets,
    VideoStream,
)
from tests.support import specs

DECODERS = frozenset({"h264", "hevc", "prores", "aac", "ac3", "pcm_s16le", "pcm_s24le", "mp3", "flac"})
BT709 = StreamColour(range="tv", matrix="bt709", primaries="bt709", transfer="bt709", chroma_location=None)
UNTAGGED = StreamColour(range=None, matrix=None, primaries=None, transfer=None, chroma_location=None)


def profile(**changes: object) -> ProfileSpec:
    """Returns the sample profile at full size, with parts (`size={...}`) changed field by field."""
    plain: dict[str, Any] = specs.profile().model_dump(by_alias=True)
    plain["size"] = {"mode": "same", "n": None, "width": None, "height": None}
    if "container" in changes:  # the options of another container are refused
        plain["container_options"] = ()
    if isinstance(video := changes.get("video"), dict) and "encoder" in video:
        pinned = ({"name": "x264-params", "value": "asm=avx2"},) if video["encoder"] == "libx264" else ()
        plain["video"]["options"] = pinned
    for part, change in changes.items():
        plain[part] = {**plain[part], **change} if isinstance(change, dict) else change
    return ProfileSpec.model_validate(plain)


def kinds(notes: Sequence[Note]) -> list[NoteKind]:
    return [note.kind for note in notes]


def _base(index: int, codec: str | None, tags: Mapping[str, str], time_base: Fraction) -> dict[str, Any]:
    return {
        "index": index,
        "codec": codec,
        "tag": None,
        "profile": None,
        "time_base": time_base,
        "start_pts": 0,
        "duration_ts": None,
        "declared_packets": None,
        "dispositions": frozenset[str](),
        "tags": dict(tags),
        "side_data": {},
    }


def video(index: int = 0, tags: Mapping[str, str] | None = None, **changes: object) -> VideoStream:
    plain: dict[str, Any] = {
        **_base(index, "h264", tags or {}, Fraction(1, 25)),
        "width": 1920,
        "height": 1080,
        "coded_width": 1920,
        "coded_height": 1088,
        "sar": None,
        "pixel_format": "yuv420p",
        "bits": 8,
        "nominal_rate": Fraction(25),
        "average_rate": Fraction(25),
        "field_order": "progressive",
        "colour": BT709,
        "b_frames": 0,
        "display_matrix": None,
        "rotation": 0,
        "mirrored": False,
    }
    plain.update(changes)
    return VideoStream(**plain)


def audio(index: int = 1, tags: Mapping[str, str] | None = None, **changes: object) -> AudioStream:
    plain: dict[str, Any] = {
        **_base(index, "pcm_s24le", tags or {}, Fraction(1, 48000)),
        "rate": 48000,
        "channels": 2,
        "layout": "stereo",
        "sample_format": "s32",
        "bits": 24,
        "packed_bits": 24,
        "initial_padding": 0,
    }
    plain.update(changes)
    return AudioStream(**plain)


def clock(index: int, label: str, rate: Fraction | None = Fraction(25), **tags: str) -> OtherStream:
    base = _base(index, None, {"timecode": label, **tags}, Fraction(1, 25))
    return OtherStream(**{**base, "tag": "tmcd"}, kind="data", average_rate=rate)


def other(index: int, kind: str) -> OtherStream:
    """Returns a stream that is neither picture nor sound; `kind` is ffmpeg's word."""
    return OtherStream(**_base(index, None, {}, Fraction(1, 25)), kind=kind, average_rate=None)


def frame(width: int = 1920, height: int = 1080, **changes: object) -> FirstFrame:
    plain: dict[str, Any] = {
        "width": width,
        "height": height,
        "sar": None,
        "pixel_format": "yuv420p",
        "colour": BT709,
        "interlaced": False,
        "top_field_first": False,
        "side_data": frozenset[str](),
    }
    plain.update(changes)
    return FirstFrame(**plain)


def pictures(pts: Sequence[int] = tuple(range(25)), **changes: object) -> VideoPackets:
    last = (pts[-1] - pts[-2]) if len(pts) > 1 else 1
    plain: dict[str, Any] = {
        "stream": 0,
        "time_base": Fraction(1, 25),
        "packets": len(pts),
        "discarded": 0,
        "corrupt": 0,
        "empty": 0,
        "keyframes": 1,
        "field_pairs": 0,
        "leading": 0,
        "without_pts": 0,
        "starts_mid_gop": False,
        "pts": array("q", pts),
        "end": pts[-1] + last,
        "held": len(pts) * last,
        "certain": True,
    }
    plain.update(changes)
    return VideoPackets(**plain)


def sounds(stream: int = 1, start: Fraction = Fraction(0), **changes: object) -> AudioPackets:
    plain: dict[str, Any] = {
        "stream": stream,
        "rate": 48000,
        "packets": 25,
        "discarded": 0,
        "corrupt": 0,
        "samples": 48000,
        "start": start,
        "end": start + 1,
        "gaps": 0,
    }
    plain.update(changes)
    return AudioPackets(**plain)


def probed(
    *streams: Stream, container: str = "mov,mp4,m4a,3gp,3g2,mj2", tags: Mapping[str, str] | None = None
) -> ProbeResult:
    return ProbeResult(
        container=container,
        size=1000,
        start=Fraction(0),
        duration=Fraction(1),
        tags=dict(tags or {}),
        streams=streams or (video(),),
    )


def facts(*streams: Stream, **changes: object) -> SourceFacts:
    """Returns facts about an intact source whose first stream is its picture."""
    probe_result = probed(*(streams or (video(), audio())))
    plain: dict[str, Any] = {
        "uri": "/media/A001.mov",
        "size": 1000,
        "digest": "sha256:" + "0" * 64,
        "probed": probe_result,
        "stream": probe_result.videos[0],
        "frame": frame(),
        "pictures": pictures(),
        "sounds": {stream.index: sounds(stream.index) for stream in probe_result.audios},
    }
    plain.update(changes)
    return SourceFacts(**plain)
