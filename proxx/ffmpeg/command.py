"""Builds the whole ffmpeg command of a clip, as data: a pure function of profile and clip that runs nothing.

The argv is portable: the three elements that differ from machine to machine are `{ffmpeg}`, `file:{source}` and
`file:{output}`, and `bind_paths` replaces them. Everything that ffmpeg would otherwise choose itself (streams,
decoders, threads, conversions, layouts, rates, tags) is given explicitly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Final, Protocol, Self, cast

import ffmpeg

from proxx.contracts.job import Clip
from proxx.contracts.measures import Rate, timecode_label
from proxx.contracts.options import Option
from proxx.contracts.profile import ProfileSpec
from proxx.contracts.recipe import Recipe, TimecodeDecision
from proxx.ffmpeg.filters import PLANAR, Filter, picture_filters, sound_filters, sound_stream
from proxx.ffmpeg.languages import carried_language
from proxx.ffmpeg.streams import FORMAT_WHITELIST

FFMPEG: Final = "{ffmpeg}"
SOURCE: Final = "file:{source}"
OUTPUT: Final = "file:{output}"
SOUND_SCALE: Final = 48000  # a clip without sound has a movie time scale that is a multiple of this


@dataclass(frozen=True)
class CommandPlan:
    """The command of a clip. argv: with placeholders for paths; `bind_paths` makes it runnable."""

    argv: tuple[str, ...]


def plan_command(profile: ProfileSpec, clip: Clip) -> CommandPlan:
    """Returns the command that encodes `clip` and decodes every packet it writes, to prove that it decodes."""
    graph = cast("list[str]", ffmpeg.get_args(_graph(profile, clip)))
    argv = (FFMPEG, *_global_options(profile, clip.recipe), *graph, *_loopback_decoder(profile))
    return CommandPlan(argv=tuple(intern(item) for item in argv))  # most are the same in each clip of a job


def bind_paths(argv: Sequence[str], ffmpeg_path: Path, source: Path, output: Path) -> tuple[str, ...]:
    """Returns the argv with paths for its placeholders. Raises ValueError if a path is not absolute.

    Only whole elements are replaced, and only once: a file called `{output}` keeps its name.
    """
    for path in (ffmpeg_path, source, output):
        if not path.is_absolute():
            raise ValueError(f"{str(path)!r} is not absolute")
    paths = {FFMPEG: str(ffmpeg_path), SOURCE: f"file:{source}", OUTPUT: f"file:{output}"}
    return tuple(paths.get(item, item) for item in argv)


def proxy_label(timecode: TimecodeDecision, picture: Rate) -> tuple[int, str] | None:
    """Returns the proxy's first timecode as frame number and label, counted at the picture's rate; None if absent.

    ffmpeg writes timecode at the picture's rate only: if the source counts at half of it (50p counted at 25), the
    same instant gets its label at the picture's rate. Raises ValueError if the rates do not divide.
    """
    if timecode.state == "absent" or timecode.rate is None or timecode.start_frame is None:
        return None
    times = picture.fraction / timecode.rate.fraction
    if times.denominator != 1:
        raise ValueError(f"timecode at {timecode.rate} cannot be counted at a picture rate of {picture}")
    number = timecode.start_frame * times.numerator
    return number, timecode_label(number, picture, bool(timecode.drop))


# --- the parts of the command ----------------------------------------------------------------------------


def _global_options(profile: ProfileSpec, recipe: Recipe) -> tuple[str, ...]:
    threads = str(recipe.threads.filter)
    return (
        *("-nostdin", "-nostats", "-hide_banner", "-loglevel", "level+verbose", "-progress", "pipe:1"),
        *(("-xerror",) if recipe.decode_errors == "refuse" else ()),
        *("-cpuflags", "+".join(profile.cpu_flags)),
        "-noauto_conversion_filters",
        *("-filter_threads", threads, "-filter_complex_threads", threads),
    )


class _Node(Protocol):
    """The methods used of a node of ffmpeg-python, which has no type annotations."""

    def filter(self, name: str, /, **options: str) -> Self: ...
    def filter_multi_output(self, name: str, /, **options: str) -> dict[int, Self]: ...
    def __getitem__(self, stream: str) -> Self: ...


def _graph(profile: ProfileSpec, clip: Clip) -> _Node:
    recipe = clip.recipe
    source = cast("_Node", ffmpeg.input(SOURCE, **_input_options(recipe)))
    sound = _sound_sources(source, recipe, clip.outputs[0].tracks)
    streams = [_chain(source[str(recipe.video.stream)], picture_filters(profile, clip))]
    for index in clip.outputs[0].tracks:
        streams.append(_chain(sound[index], sound_filters(recipe, index, clip.expect.samples[index])))
    return cast("_Node", ffmpeg.output(*streams, OUTPUT, **_output_options(profile, clip)))


def _sound_sources(source: _Node, recipe: Recipe, tracks: Sequence[int]) -> dict[int, _Node]:
    """Returns the planes that each track is made from; a stream that several tracks use is decoded once and split."""
    sources: dict[int, _Node] = {}
    for stream in sorted({sound_stream(recipe, index) for index in tracks}):
        users = [index for index in tracks if sound_stream(recipe, index) == stream]
        planes = _chain(source[str(stream)], (PLANAR,))
        if len(users) == 1:
            sources[users[0]] = planes
        else:
            split = planes.filter_multi_output("asplit", outputs=str(len(users)))
            sources |= {index: split[branch] for branch, index in enumerate(users)}
    return sources


def _chain(stream: _Node, filters: Iterable[Filter]) -> _Node:
    for name, options in filters:
        stream = stream.filter(name, **options)
    return stream


def _input_options(recipe: Recipe) -> dict[str, str | None]:
    accept = recipe.decode_errors == "accept"
    picture = recipe.video.stream
    options: dict[str, str | None] = {
        "protocol_whitelist": "file",
        "format_whitelist": FORMAT_WHITELIST,
        "apply_cropping": "codec",
        "noautorotate": None,
        "guess_layout_max": "0",
        "max_error_rate": "1" if accept else "0",
        f"c:{picture}": recipe.video.decoder,
        f"threads:{picture}": str(recipe.threads.decode),
    }
    if accept:
        options["err_detect"] = "ignore_err"
    if recipe.conform.mode != "cfr":  # each source frame becomes one proxy frame, however its time stamp was rounded
        options[f"r:{picture}"] = str(recipe.conform.rate)
    for decoder in recipe.audio_decoders:
        options[f"c:{decoder.stream}"] = decoder.decoder
        options[f"threads:{decoder.stream}"] = "1"
    return options


def _output_options(profile: ProfileSpec, clip: Clip) -> dict[str, str | None]:
    recipe, tracks = clip.recipe, clip.outputs[0].tracks
    interlaced = clip.expect.scan == "interlaced"
    colour = recipe.colour_out
    options: dict[str, str | None] = {
        "format": profile.container,
        "map_metadata": "-1",
        "map_chapters": "-1",
        "dn": None,
        "sn": None,
        "fps_mode": "passthrough",
        "c:v": profile.video.encoder,
        "pix_fmt": profile.video.pixel_format,
        "threads:v": str(recipe.threads.encode),
        "color_range": colour.range.value,
        "colorspace": colour.matrix.value,
        "color_primaries": colour.primaries.value,
        "color_trc": colour.transfer.value,
        "field_order": (clip.expect.field_order or "progressive") if interlaced else "progressive",
        "fflags": "+bitexact",
        "flags:v": "+bitexact+ildct" if interlaced else "+bitexact",
        "disposition:v:0": "default",
        **_as_mapping(profile.video.options),
        **_as_mapping(profile.container_options),
        **_timecode_and_reel(profile, clip),
    }
    if tracks:
        options |= {"c:a": profile.audio.encoder, "flags:a": "+bitexact", **_as_mapping(profile.audio.options)}
    for position, index in enumerate(tracks):
        track = recipe.audio[index]
        options[f"disposition:a:{position}"] = "default"  # every track is enabled, not only the first
        language = carried_language(profile.container, track.language)
        if language:
            options[f"metadata:s:a:{position}"] = f"language={language}"
        if track.title:  # an option can be given only once, so this names the stream by its number in the file
            options[f"metadata:s:{position + 1}"] = f"title={track.title}"
    if profile.container != "mxf":
        rate = recipe.conform.rate
        scales = sorted({recipe.audio[index].rate for index in tracks}) or [SOUND_SCALE]
        options["video_track_timescale"] = str(rate.num)
        options["movie_timescale"] = str(_common_scale(rate.num, scales))
    return options


def _timecode_and_reel(profile: ProfileSpec, clip: Clip) -> dict[str, str]:
    options = {}
    label = proxy_label(clip.recipe.timecode, clip.recipe.conform.rate)
    if label is not None:
        options["timecode"] = label[1]
    if clip.expect.reel is not None:
        match profile.reel.carried:
            case "stream":
                options["metadata:s:v:0"] = f"reel_name={clip.expect.reel}"
            case "global":
                options["metadata"] = f"reel_name={clip.expect.reel}"
            case "none":
                raise ValueError(f"profile {profile.name} carries no reel, but the clip expects one")
    return options


def _common_scale(first: int, others: Iterable[int]) -> int:
    """Returns the smallest time scale in which all lengths are whole; rates that would pass 31 bits are left out."""
    scale = first
    for other in others:
        common = math.lcm(scale, other)
        scale = common if common < 1 << 31 else scale
    return scale


def _as_mapping(options: Iterable[Option]) -> Mapping[str, str]:
    return {option.name: option.value for option in options}


def _loopback_decoder(profile: ProfileSpec) -> tuple[str, ...]:
    """Returns the options that decode the encoder's own packets: a frame that does not decode was not encoded."""
    return (
        *("-threads", str(profile.threads.decode), "-c:v", profile.video.codec, "-dec", "0:0"),
        *("-filter_complex", "[dec:0]null[decoded]", "-map", "[decoded]"),
        *("-fps_mode", "passthrough", "-f", "null", "-"),
    )
