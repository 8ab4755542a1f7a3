"""The clips whose argv is kept in `tests/golden/argv`: one for each kind of decision that shapes a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from proxx.contracts.job import Clip
from proxx.contracts.measures import Rate, Ratio, Size
from proxx.contracts.profile import ProfileSpec, find_profile, pinned_threads
from proxx.contracts.recipe import AudioTrack, ChannelPick, Crop
from tests.support import specs


def change(clip: Clip, *, recipe: Mapping[str, Any] | None = None, expect: Mapping[str, Any] | None = None) -> Clip:
    """Returns the clip with some fields of its recipe and expectation replaced."""
    return clip.model_copy(
        update={
            "recipe": clip.recipe.model_copy(update=recipe or {}),
            "expect": clip.expect.model_copy(update=expect or {}),
        }
    )


def with_tracks(clip: Clip, tracks: tuple[AudioTrack, ...], offsets: tuple[int, ...] | None = None) -> Clip:
    """Returns the clip with other sound tracks of 48000 samples each."""
    count = len(tracks)
    changed = change(
        clip,
        recipe={"audio": tracks, "audio_offset": offsets or (0,) * count},
        expect={"samples": (48000,) * count},
    )
    output = clip.outputs[0].model_copy(update={"tracks": tuple(range(count))})
    return changed.model_copy(update={"outputs": (output,)})


def track(profile: ProfileSpec, layout: str, channels: tuple[int, ...], stream: int = 1) -> AudioTrack:
    return AudioTrack(
        codec=profile.audio.codec,
        rate=48000,
        bits=profile.audio.bits,
        layout=layout,
        labels=(),
        language="eng",
        title=None,
        map=tuple(ChannelPick(file=0, stream=stream, channel=channel) for channel in channels),
    )


def clip_for(profile: ProfileSpec, layout: str = "stereo", channels: int = 2) -> Clip:
    """Returns the sample clip as this profile makes it."""
    indexes = tuple(range(channels))
    groups = [(index,) for index in indexes] if profile.audio.mode == "mono" else [indexes]
    tracks = tuple(track(profile, "mono" if len(group) == 1 else layout, group) for group in groups)
    clip = with_tracks(specs.clip(), tracks)
    reel = None if profile.reel.carried == "none" else "A001"
    return change(clip, recipe={"threads": pinned_threads(profile.threads, "h264", "refuse")}, expect={"reel": reel})


def _interlaced(name: str, keep: bool) -> tuple[ProfileSpec, Clip]:
    profile = find_profile(name)
    fields = {"scan": "interlaced", "field_order": "tt"}
    kept = fields if keep else {}
    return profile, change(clip_for(profile), recipe={**fields, "deinterlace": not keep}, expect=kept)


def _rotated() -> tuple[ProfileSpec, Clip]:
    profile = find_profile("prores_proxy_1080")
    inner, outer = Size(width=608, height=1080), Size(width=1920, height=1080)
    return profile, change(
        clip_for(profile),
        recipe={
            "rotation": 90,
            "crop": Crop(left=2, top=4, right=6, bottom=8),
            "scaled": inner,
            "size": outer,
            "sar": Ratio(num=4, den=3),
        },
        expect={"size": outer, "sar": Ratio(num=4, den=3)},
    )


def _damaged() -> tuple[ProfileSpec, Clip]:
    profile = find_profile("h264_half")
    return profile, change(clip_for(profile), recipe={"decode_errors": "accept"})


def _conformed() -> tuple[ProfileSpec, Clip]:
    profile = find_profile("h264_1080")
    rate = Rate(num=30000, den=1001)
    clip = clip_for(profile)
    conform = clip.recipe.conform.model_copy(update={"mode": "cfr", "rate": rate})
    timecode = clip.recipe.timecode.model_copy(update={"rate": rate, "nominal_fps": 30, "drop": True})
    return profile, change(
        clip,
        recipe={"conform": conform, "timecode": timecode},
        expect={"rate": rate},
    )


def _offsets() -> tuple[ProfileSpec, Clip]:
    profile = find_profile("prores_lt")
    tracks = (
        track(profile, "discrete", tuple(range(8)), stream=2),
        track(profile, "5.1", tuple(range(6)), stream=3).model_copy(update={"title": "Mix: a|b, {output}"}),
        track(profile, "mono", (0,)),
    )
    return profile, with_tracks(clip_for(profile), tracks, (480, -960, 0))


def _silent() -> tuple[ProfileSpec, Clip]:
    profile = find_profile("dnxhr_sq")
    clip = with_tracks(clip_for(profile), ())
    return profile, change(clip, recipe={"audio_decoders": ()})


CASES: Final[Mapping[str, tuple[ProfileSpec, Clip]]] = {
    **{
        name: (find_profile(name), clip_for(find_profile(name)))
        for name in ("prores_proxy", "prores_ks_proxy", "dnxhr_lb", "dnxhr_lb_mxf", "h264_half", "h264_review_mp4")
    },
    "interlaced_kept": _interlaced("prores_proxy", keep=True),
    "deinterlaced": _interlaced("prores_proxy_half", keep=False),
    "rotated_cropped_padded": _rotated(),
    "damage_accepted": _damaged(),
    "conformed_drop_frame": _conformed(),
    "sound_offsets_and_layouts": _offsets(),
    "silent": _silent(),
}
