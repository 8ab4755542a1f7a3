"""Asks ffprobe what a file holds, safely, and says in one sentence what is wrong with one that cannot be used."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NoReturn

from proxx.contracts.errors import NoVideo, SourceMissing, SourceTruncated, SourceUnreadable, SourceUnsupported
from proxx.ffmpeg import sniff
from proxx.ffmpeg.ffprobe_json import parse_first_frame, parse_probe
from proxx.ffmpeg.packets import AudioCounter, Packet, VideoCounter
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

PROBE_SECONDS: Final = 300  # header reading on slow shared storage; a whole pass over a file has a day
PASS_SECONDS: Final = 86_400
_ANSWER_LIMIT: Final = 16 << 20  # bytes of JSON
_HARDWARE: Final = ("_qsv", "_cuvid", "_v4l2m2m", "_mediacodec", "_amf", "_oh", "_rkmpp", "_mmal")


def probe(path: Path, ffprobe: Path, *, need_video: bool = True) -> ProbeResult:
    """What the file holds. Raises SourceMissing, SourceUnreadable, SourceUnsupported, SourceTruncated, NoVideo."""
    head = _look(path)
    raw = sniff.camera_raw(path.name, head)
    if raw is not None:
        raise SourceUnsupported(message=f"this is {raw}", detail=str(path), stage="probe")
    done = _ffprobe(ffprobe, path, ("-show_format", "-show_streams", "-of", "json"))
    if not done.succeeded:
        _refuse(path, head, done)
    found = parse_probe(done.stdout)
    _check_pictures(found, head, path, need_video)
    return found


def first_frame(path: Path, stream: int, ffprobe: Path) -> FirstFrame:
    """Decode the first picture of a track: its colour, size and fields as the decoder has them."""
    what = ("-select_streams", str(stream), "-show_frames", "-read_intervals", "%+#8", "-of", "json")
    done = _ffprobe(ffprobe, path, what)
    frame = parse_first_frame(done.stdout) if done.succeeded else None
    if frame is None:
        message = f"no picture of stream {stream} can be decoded"
        raise SourceUnreadable(message=message, detail=_words(done), exit=done.exit, stage="probe")
    return frame


def packet_table(path: Path, stream: Stream, ffprobe: Path) -> PacketTable:
    """The counted packets of one picture or sound track. Reads the whole track once."""
    return packet_tables(path, (stream,), ffprobe)[0]


def packet_tables(path: Path, streams: Iterable[Stream], ffprobe: Path) -> tuple[PacketTable, ...]:
    """The counted packets of several tracks in one pass over the file, in the order asked for."""
    wanted = tuple(streams)
    counters = {stream.index: _counter(stream) for stream in wanted}

    def count(line: bytes) -> None:
        read = _packet(line)
        if read is not None and read[0] in counters:
            counters[read[0]].add(read[1])

    select = ("-select_streams", str(wanted[0].index)) if len(wanted) == 1 else ()
    entries = "packet=stream_index,pts,dts,duration,size,flags:packet_side_data=skip_samples,discard_padding"
    argv = _argv(ffprobe, path, (*select, "-show_entries", entries, "-of", "compact=p=0"))
    done = lines(argv, count, timeout=PASS_SECONDS)
    if not done.succeeded:
        raise SourceUnreadable(
            message="reading the packets stopped before the end of the file",
            detail=_words(done),
            exit=done.exit,
            stage="probe",
        )
    return tuple(counters[stream.index].finish() for stream in wanted)


def decoded_samples(path: Path, stream: AudioStream, ffprobe: Path) -> int:
    """Samples a channel by decoding the track: for the codecs whose packets do not tell."""
    total = 0

    def count(line: bytes) -> None:
        nonlocal total
        total += int(line) if line.isdigit() else 0

    what = ("-select_streams", str(stream.index), "-show_entries", "frame=nb_samples", "-of", "default=nw=1:nk=1")
    done = lines(_argv(ffprobe, path, what), count, timeout=PASS_SECONDS)
    if not done.succeeded:
        raise SourceUnreadable(
            message=f"the sound of stream {stream.index} cannot be decoded",
            detail=_words(done),
            exit=done.exit,
            stage="probe",
        )
    return total


def decoders(ffmpeg: Path) -> frozenset[str]:
    """The codecs (by ffmpeg's codec names, as in `Stream.codec`) this ffmpeg decodes without special hardware."""
    done = capture([str(ffmpeg), "-hide_banner", "-v", "error", "-decoders"], stdout_limit=1 << 20, timeout=60)
    found = set[str]()
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        match = re.fullmatch(r" [VAS][F.][S.][X.][B.][D.] (\S+)\s+(.*)", line)
        if match and match[1] != "=" and not match[1].endswith(_HARDWARE):
            codec = re.search(r"\(codec (\S+)\)$", match[2])
            if codec or match[1] != "av1":  # ffmpeg's own av1 only drives hardware
                found.add(codec[1] if codec else match[1])
    return frozenset(found)


def undecodable(streams: Iterable[Stream], known: frozenset[str]) -> tuple[int, ...]:
    """The picture and sound tracks for which there is no decoder in `known`."""
    return tuple(s.index for s in streams if isinstance(s, VideoStream | AudioStream) and s.codec not in known)


# --- reading the file itself -----------------------------------------------------------------------------


def _look(path: Path) -> bytes:
    """The first bytes of a regular, readable, whole file; opening a pipe or device would block for ever."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            what = "a folder" if stat.S_ISDIR(info.st_mode) else "no regular file"
            raise SourceUnreadable(message=f"this is {what}, not a media file", detail=str(path), stage="probe")
        if info.st_size == 0:
            raise SourceUnreadable(message="the file is empty (0 bytes)", detail=str(path), stage="probe")
        with path.open("rb") as file:
            head = file.read(sniff.HEAD)
            cut = None if sniff.camera_raw(path.name, head) else sniff.cut_off(file, info.st_size)
    except (FileNotFoundError, NotADirectoryError) as why:
        raise SourceMissing(message="the file is not there", detail=str(path), stage="probe") from why
    except PermissionError as why:
        raise SourceUnreadable(message="this user may not read it", detail=str(path), stage="probe") from why
    except OSError as why:
        words = f"reading it failed: {os.strerror(why.errno or 0)}"
        raise SourceUnreadable(message=words, detail=str(path), stage="probe") from why
    if cut is not None:
        raise SourceTruncated(message=f"the file is not whole: {cut}", detail=str(path), stage="probe")
    return head


def _refuse(path: Path, head: bytes, done: FinishedProcess) -> NoReturn:
    if done.ending == "timeout":
        message = f"probing it did not end within {PROBE_SECONDS} seconds"
    elif done.exit < 0:
        message = f"probing it ended ffprobe: {decode_signal(done.exit)}"
    elif not path.exists():
        raise SourceMissing(message="the file went away while it was probed", detail=str(path), stage="probe")
    else:
        message = f"this is not a media file we read: it looks like {sniff.describe(head)}"
    raise SourceUnreadable(message=message, detail=_words(done), exit=done.exit, stage="probe")


def _check_pictures(found: ProbeResult, head: bytes, path: Path, need_video: bool) -> None:
    if not found.videos and need_video:
        covers = any(isinstance(s, VideoStream) for s in found.streams)
        kinds = f"{len(found.audios)} sound and {len(found.others)} other tracks"
        extra = ", and a picture that is only its cover" if covers else ""
        raise NoVideo(message=f"there is no picture track: {kinds}{extra}", detail=str(path), stage="probe")
    if found.videos and all(s.codec is None for s in found.videos):
        tag = found.videos[0].tag
        raw = sniff.camera_raw_codec(tag, head)
        message = f"this is {raw}" if raw else f"the codec of its picture is not known ({tag or 'no tag'})"
        raise SourceUnsupported(message=message, detail=str(path), stage="probe")


# --- asking ffprobe --------------------------------------------------------------------------------------


def _argv(ffprobe: Path, path: Path, what: Iterable[str]) -> list[str]:
    """(ffprobe never applies QuickTime's clean aperture, so it needs no `-apply_cropping codec` as ffmpeg does.)"""
    limits = ("-protocol_whitelist", "file", "-format_whitelist", FORMAT_WHITELIST)
    return [str(ffprobe), "-v", "error", *limits, *what, "-i", f"file:{path.absolute()}"]


def _ffprobe(ffprobe: Path, path: Path, what: Iterable[str]) -> FinishedProcess:
    return capture(_argv(ffprobe, path, what), stdout_limit=_ANSWER_LIMIT, timeout=PROBE_SECONDS)


def _words(done: FinishedProcess) -> str:
    """The last words of ffprobe, for people."""
    return " ".join(done.stderr.decode("utf-8", "replace").split())[-500:]


def _counter(stream: Stream) -> VideoCounter | AudioCounter:
    if isinstance(stream, VideoStream):
        return VideoCounter(stream)
    if isinstance(stream, AudioStream):
        return AudioCounter(stream)
    raise ValueError(f"stream {stream.index} is neither picture nor sound")


def _packet(line: bytes) -> tuple[int, Packet] | None:
    """`stream_index=0|pts=1|dts=N/A|duration=1|size=9|flags=KD_|side_datum/skip_samples:skip_samples=9|…`."""
    fields = dict(item.partition(b"=")[::2] for item in line.split(b"|"))
    if b"stream_index" not in fields:
        return None
    flags = fields.get(b"flags", b"")
    return int(fields[b"stream_index"]), Packet(
        pts=_number(fields.get(b"pts")),
        dts=_number(fields.get(b"dts")),
        duration=_number(fields.get(b"duration")) or 0,
        size=_number(fields.get(b"size")) or 0,
        key=b"K" in flags,
        discard=b"D" in flags,
        corrupt=b"C" in flags,
        skip=_number(fields.get(b"side_datum/skip_samples:skip_samples")) or 0,
        padding=_number(fields.get(b"side_datum/skip_samples:discard_padding")) or 0,
    )


def _number(text: bytes | None) -> int | None:
    return int(text) if text is not None and text.lstrip(b"-").isdigit() else None
