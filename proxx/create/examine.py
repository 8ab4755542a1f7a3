"""Looks at one source file, once: probe, sha256 of the whole, packets counted. A file that changes is refused."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from os import stat_result
from pathlib import Path

from proxx.contracts.errors import SourceChanged, SourceMissing, SourceUnreadable, SourceUnsupported
from proxx.contracts.fingerprint import digest_stream
from proxx.decide.clip import SourceFacts
from proxx.decide.picture import decide_pick, pick_video
from proxx.ffmpeg.probe import first_frame, packet_tables, probe
from proxx.ffmpeg.process import lines
from proxx.ffmpeg.streams import FORMAT_WHITELIST, AudioPackets, FirstFrame, VideoPackets, VideoStream

_PROBE_CANNOT = frozenset({"av1", "exr", "png", "apng"})
"""Codecs that the `full` toolchain's ffmpeg decodes and the ffprobe of both toolchains does not (no zlib, dav1d)."""

_RGB = frozenset({"exr", "png", "apng"})  # whose pixel format only a decoder could tell: full-range RGB

_DECODE_SECONDS = 86_400  # a whole decode of a long clip on a slow machine ends within a day


def examine_source(
    path: Path,
    ffprobe: Path,
    decoders: frozenset[str],
    *,
    uri: str = "",
    accept_damage: bool,
    sound: bool,
    on_read: Callable[[int, int], None],
) -> SourceFacts:
    """The facts of one file. Raises the ClipFailure that says why not.

    uri: its full place, where that is not its path. on_read is told (bytes hashed, size).

    decoders: codecs the toolchain's ffmpeg decodes; what it cannot is refused before the file is read to its end.
    """
    before = _stat(path)
    probed = probe(path, ffprobe)
    stream = pick_video(probed)
    decide_pick(stream, decoders)
    frame = _as_declared(stream) if stream.codec in _PROBE_CANNOT else first_frame(path, stream.index, ffprobe)
    digest = _digest(path, before.st_size, on_read)
    audios = [audio for audio in probed.audios if sound and audio.rate > 0 and audio.channels > 0]
    tables = packet_tables(path, [stream, *audios], ffprobe)
    pictures = next(table for table in tables if isinstance(table, VideoPackets))
    if accept_damage:
        pictures = _decoded(path, stream, pictures, ffprobe)
    after = _stat(path)
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise SourceChanged(
            message="It changed while it was read: is it still being copied?",
            stage="examine",
            remedy="Wait until nothing writes to the file, then create the job again.",
        )
    return SourceFacts(
        uri=uri or str(path),
        size=before.st_size,
        digest=digest,
        probed=probed,
        stream=stream,
        frame=frame,
        pictures=pictures,
        sounds={table.stream: table for table in tables if isinstance(table, AudioPackets)},
    )


def _as_declared(stream: VideoStream) -> FirstFrame:
    """The container's word, where ffprobe has no decoder to ask."""
    return FirstFrame(
        width=stream.width,
        height=stream.height,
        sar=stream.sar,
        pixel_format=stream.pixel_format or ("gbrp" if stream.codec in _RGB else None),
        colour=stream.colour,
        interlaced=stream.interlaced,
        top_field_first=stream.field_order in ("tt", "tb"),
        side_data=frozenset(),
    )


def _stat(path: Path) -> stat_result:
    try:
        return path.stat()
    except FileNotFoundError as why:
        raise SourceMissing(message="There is no such file.", stage="examine") from why
    except OSError as why:
        raise SourceUnreadable(message=f"It cannot be looked at: {why.strerror}.", stage="examine") from why


def _digest(path: Path, size: int, on_read: Callable[[int, int], None]) -> str:
    try:
        with path.open("rb") as stream:
            return digest_stream(stream, lambda done: on_read(done, size)).digest
    except OSError as why:
        raise SourceUnreadable(message=f"It cannot be read to its end: {why.strerror}.", stage="examine") from why


def _decoded(path: Path, stream: VideoStream, table: VideoPackets, ffprobe: Path) -> VideoPackets:
    """The table with the frames that one thread really decodes: what a damaged track gives cannot be counted."""
    pts = array("q")
    limits = ("-v", "quiet", "-protocol_whitelist", "file", "-format_whitelist", FORMAT_WHITELIST, "-threads", "1")
    what = ("-select_streams", str(stream.index), "-show_entries", "frame=best_effort_timestamp")
    count = 0

    def take(line: bytes) -> None:
        nonlocal count
        text = line.strip().rstrip(b"|")
        count += bool(text)
        if text.lstrip(b"-").isdigit():
            pts.append(int(text))

    done = lines(
        [str(ffprobe), *limits, *what, "-of", "compact=p=0:nk=1", "-i", f"file:{path}"], take, timeout=_DECODE_SECONDS
    )
    if done.ending != "exited" or done.exit < 0:
        raise SourceUnreadable(message="It cannot be decoded to its end.", exit=done.exit, stage="examine")
    if not pts or (table.pts and min(pts) > table.pts[0]):
        raise SourceUnsupported(
            message="Its first frames cannot be decoded, so timecode would be wrong: accepting that is no way on.",
            stage="examine",
        )
    return replace(
        table, pts=array("q", sorted(pts)), without_pts=count - len(pts), end=_end(pts, table), certain=True
    )


def _end(pts: array[int], table: VideoPackets) -> int | None:
    return max(pts) if pts and (table.end is None or max(pts) > table.end) else table.end
