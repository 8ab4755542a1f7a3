"""Reads with ffprobe what a source file contains; a file that cannot be used raises an error that says why."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NoReturn

from proxx.contracts.errors import NoVideo, SourceMissing, SourceTruncated, SourceUnreadable, SourceUnsupported
from proxx.contracts.measures import parse_integer
from proxx.ffmpeg import sniff
from proxx.ffmpeg.ffprobe_json import parse_first_frame, parse_probe
from proxx.ffmpeg.packets import AudioCounter, Packet, VideoCounter
from proxx.ffmpeg.printed import compact_fields
from proxx.ffmpeg.process import FinishedProcess, capture, decode_signal, lines
from proxx.ffmpeg.streams import (
    FORMAT_WHITELIST,
    AudioStream,
    FirstFrame,
    PacketTable,
    ProbeResult,
    Stream,
    VideoStream,
)

PROBE_SECONDS: Final = 300  # for reading headers, on slow shared storage too
PASS_SECONDS: Final = 86_400  # for one pass over a whole file
JSON_LIMIT: Final = 16 << 20  # bytes that ffprobe may print
FIRST_PACKETS: Final = "%+#8"  # enough to decode one frame: a decoder may hold the first ones back
_HARDWARE: Final = ("_qsv", "_cuvid", "_v4l2m2m", "_mediacodec", "_amf", "_oh", "_rkmpp", "_mmal")


def probe(path: Path, ffprobe: Path, *, need_video: bool = True) -> ProbeResult:
    """Returns the container and streams of a source file.

    Raises SourceMissing, SourceUnreadable, SourceUnsupported, SourceTruncated, or NoVideo (if `need_video`).
    """
    head = _read_head(path)
    raw = sniff.camera_raw(path.name, head)
    if raw is not None:
        raise _camera_raw(raw, path)
    ended = _ffprobe(ffprobe, path, ("-show_format", "-show_streams", "-of", "json"))
    if not ended.succeeded:
        _refuse(path, head, ended)
    probed = parse_probe(ended.stdout)
    _check_pictures(probed, head, path, need_video)
    return probed


def first_frame(path: Path, stream: int, ffprobe: Path) -> FirstFrame:
    """Decodes the first frame of a picture track and returns its colour, size and fields as the decoder reports them.

    Raises SourceUnreadable if no frame can be decoded.
    """
    options = ("-select_streams", str(stream), "-show_frames", "-read_intervals", FIRST_PACKETS, "-of", "json")
    ended = _ffprobe(ffprobe, path, options)
    frame = parse_first_frame(ended.stdout) if ended.succeeded else None
    if frame is None:
        message = f"no frame of stream {stream} can be decoded"
        raise SourceUnreadable(message=message, detail=_stderr_end(ended), exit=ended.exit, stage="probe")
    return frame


def packet_tables(path: Path, streams: Iterable[Stream], ffprobe: Path) -> tuple[PacketTable, ...]:
    """Counts the packets of picture and sound tracks in one pass; returns the tables in the order of `streams`.

    Raises SourceUnreadable if the file cannot be read to its end.
    """
    selected = tuple(streams)
    counters = {stream.index: _counter(stream) for stream in selected}

    def count(line: bytes) -> None:
        index, packet = _packet(line)
        if index in counters:
            counters[index].add(packet)

    select = ("-select_streams", str(selected[0].index)) if len(selected) == 1 else ()
    entries = "packet=stream_index,pts,dts,duration,size,flags:packet_side_data=skip_samples,discard_padding"
    argv = _argv(ffprobe, path, (*select, "-show_entries", entries, "-of", "compact=p=0"))
    ended = lines(argv, count, timeout=PASS_SECONDS)
    if not ended.succeeded:
        raise SourceUnreadable(
            message="the file cannot be read to its end",
            detail=_stderr_end(ended),
            exit=ended.exit,
            stage="probe",
        )
    return tuple(counters[stream.index].finish() for stream in selected)


def decoders(ffmpeg: Path) -> frozenset[str]:
    """Returns the codecs that this ffmpeg decodes without special hardware, by codec name as in `Stream.codec`."""
    ended = capture([str(ffmpeg), "-hide_banner", "-v", "error", "-decoders"], stdout_limit=1 << 20, timeout=60)
    codecs = set[str]()
    for line in ended.stdout.decode("utf-8", "replace").splitlines():
        match = re.fullmatch(r" [VAS][F.][S.][X.][B.][D.] (\S+)\s+(.*)", line)
        if match and match[1] != "=" and not match[1].endswith(_HARDWARE):
            codec = re.search(r"\(codec (\S+)\)$", match[2])
            if codec or match[1] != "av1":  # ffmpeg's own av1 decoder only drives hardware
                codecs.add(codec[1] if codec else match[1])
    return frozenset(codecs)


# --- checking the file itself ----------------------------------------------------------------------------


def _read_head(path: Path) -> bytes:
    """Returns the first bytes of a file after checking that it is regular, readable and not cut off.

    Opening a pipe or device would block forever, so the kind of file is checked first.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            kind = "a folder" if stat.S_ISDIR(info.st_mode) else "a pipe, socket or device"
            raise SourceUnreadable(message=f"this is {kind}, not a media file", detail=str(path), stage="probe")
        if info.st_size == 0:
            raise SourceUnreadable(message="the file is empty (0 bytes)", detail=str(path), stage="probe")
        with path.open("rb") as file:
            head = file.read(sniff.HEAD)
            damage = None if sniff.camera_raw(path.name, head) else sniff.cut_off(file, info.st_size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceMissing(message="the file does not exist", detail=str(path), stage="probe") from error
    except PermissionError as error:
        message = "this user has no permission to read the file"
        raise SourceUnreadable(message=message, detail=str(path), stage="probe") from error
    except OSError as error:
        message = f"reading the file failed: {os.strerror(error.errno or 0)}"
        raise SourceUnreadable(message=message, detail=str(path), stage="probe") from error
    if damage is not None:
        raise SourceTruncated(message=f"the file is incomplete: {damage}", detail=str(path), stage="probe")
    return head


def _refuse(path: Path, head: bytes, ended: FinishedProcess) -> NoReturn:
    """Raises the failure that explains why ffprobe could not read the file."""
    if ended.ending == "timeout":
        message = f"ffprobe did not finish reading the file's header within {PROBE_SECONDS} seconds"
    elif ended.exit < 0:
        message = f"ffprobe was ended by a signal while reading the file: {decode_signal(ended.exit)}"
    elif not path.exists():
        raise SourceMissing(message="the file disappeared while it was read", detail=str(path), stage="probe")
    else:
        message = f"this is not a media file that proxx can read: it looks like {sniff.describe(head)}"
    raise SourceUnreadable(message=message, detail=_stderr_end(ended), exit=ended.exit, stage="probe")


def _check_pictures(probed: ProbeResult, head: bytes, path: Path, need_video: bool) -> None:
    if not probed.videos and need_video:
        has_cover = any(isinstance(s, VideoStream) for s in probed.streams)
        kinds = f"{len(probed.audios)} sound and {len(probed.others)} other tracks"
        cover = ", and cover art" if has_cover else ""
        raise NoVideo(message=f"there is no picture track: {kinds}{cover}", detail=str(path), stage="probe")
    if probed.videos and all(s.codec is None for s in probed.videos):
        tag = probed.videos[0].tag
        raw = sniff.camera_raw_codec(tag, head)
        if raw:
            raise _camera_raw(raw, path)
        message = f"the codec of the picture track is unknown (tag: {tag or 'none'})"
        raise SourceUnsupported(message=message, detail=str(path), stage="probe")


def _camera_raw(raw: str, path: Path) -> SourceUnsupported:
    """Returns the refusal of camera raw. Its message names the maker's program, so the remedy names no other way."""
    return SourceUnsupported(
        message=f"this is {raw}", detail=str(path), stage="probe", remedy="Or leave it out with --leave-out-refused."
    )


# --- calling ffprobe -------------------------------------------------------------------------------------


def _argv(ffprobe: Path, path: Path, options: Iterable[str]) -> list[str]:
    """Returns the command. ffprobe never applies QuickTime's clean aperture: it needs no `-apply_cropping codec`."""
    limits = ("-protocol_whitelist", "file", "-format_whitelist", FORMAT_WHITELIST)
    return [str(ffprobe), "-v", "error", *limits, *options, "-i", f"file:{path.absolute()}"]


def _ffprobe(ffprobe: Path, path: Path, options: Iterable[str]) -> FinishedProcess:
    return capture(_argv(ffprobe, path, options), stdout_limit=JSON_LIMIT, timeout=PROBE_SECONDS)


def _stderr_end(ended: FinishedProcess) -> str:
    """Returns the end of what ffprobe wrote to stderr, on one line."""
    return " ".join(ended.stderr.decode("utf-8", "replace").split())[-500:]


def _counter(stream: Stream) -> VideoCounter | AudioCounter:
    if isinstance(stream, VideoStream):
        return VideoCounter(stream)
    if isinstance(stream, AudioStream):
        return AudioCounter(stream)
    raise ValueError(f"stream {stream.index} is neither picture nor sound")


def _packet(line: bytes) -> tuple[int | None, Packet]:
    """Parses `stream_index=0|pts=1|dts=N/A|duration=1|size=9|flags=KD_|side_datum/skip_samples:skip_samples=9|…`.

    Returns the packet and the index of its stream, None for a line that is not a packet.
    """
    fields = compact_fields(line)
    flags = fields.get(b"flags", b"")
    return parse_integer(fields.get(b"stream_index")), Packet(
        pts=parse_integer(fields.get(b"pts")),
        dts=parse_integer(fields.get(b"dts")),
        duration=parse_integer(fields.get(b"duration")) or 0,
        size=parse_integer(fields.get(b"size")) or 0,
        key=b"K" in flags,
        discard=b"D" in flags,
        corrupt=b"C" in flags,
        skip=parse_integer(fields.get(b"side_datum/skip_samples:skip_samples")) or 0,
        padding=parse_integer(fields.get(b"side_datum/skip_samples:discard_padding")) or 0,
    )
