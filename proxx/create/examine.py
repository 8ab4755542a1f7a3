"""Examines one source file, once: probes it, hashes all its bytes and counts its packets. Refuses a changing file."""

from __future__ import annotations

import errno
import traceback
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import stat_result
from pathlib import Path
from typing import Final

from proxx.contracts.error_bases import ProxxError
from proxx.contracts.errors import SourceChanged, SourceMissing, SourceUnreadable, SourceUnsupported
from proxx.contracts.fingerprint import digest_stream
from proxx.decide.clip import SourceFacts
from proxx.decide.picture import decide_pick, pick_video
from proxx.ffmpeg.probe import first_frame, packet_tables, probe
from proxx.ffmpeg.process import lines
from proxx.ffmpeg.streams import FORMAT_WHITELIST, AudioPackets, FirstFrame, VideoPackets, VideoStream

_NO_DECODER: Final = frozenset({"av1", "exr", "png", "apng"})
"""Codecs that the `full` toolchain's ffmpeg decodes and the ffprobe of both toolchains does not (no zlib, dav1d)."""

_RGB: Final = frozenset({"exr", "png", "apng"})
"""Codecs whose pixel format only a decoder could report; they are full-range RGB."""

_DECODE_SECONDS: Final = 86_400  # decoding a whole long clip on a slow machine takes less than a day

_MACHINE_ERRORS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EDQUOT}
)
"""Errors of the operating system that concern the whole machine or process, whichever file is examined."""


class UnexpectedFileError(SourceUnreadable):
    """A source raised an error that no check expects: its structure is damaged or unknown."""

    remedy = "Copy it again from the card. If the copy is whole, report this message and use --leave-out-refused."


@contextmanager
def refuse_on_unexpected_error() -> Iterator[None]:
    """Raises UnexpectedFileError in place of any error in the block that says nothing about other files.

    So one damaged file does not stop the examination of a whole card. Expected failures (ProxxError), lack of memory
    and errors of the whole machine are raised unchanged.
    """
    try:
        yield
    except (ProxxError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _MACHINE_ERRORS:
            raise
        raise _unexpected(error) from error


def _unexpected(error: Exception) -> UnexpectedFileError:
    """Returns the failure for the error. Its detail has the error's own text and the line that raised it."""
    kind = type(error).__qualname__
    if type(error).__module__ != "builtins":
        kind = f"{type(error).__module__}.{kind}"
    cause = "its structure is damaged or unknown"
    if isinstance(error, OSError) and error.strerror:
        cause = error.strerror
    frames = traceback.extract_tb(error.__traceback__)
    line = f", raised at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return UnexpectedFileError(
        message=f"The file could not be read: {cause} ({kind}).", stage="examine", detail=f"{error}{line}"
    )


@refuse_on_unexpected_error()
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
    """Returns the facts about one file. Raises the ClipFailure that describes why it cannot be used.

    decoders: codecs that the toolchain's ffmpeg decodes; a file with another codec is refused before all of it is
    read. uri: the source's name in the spec, if that is not its path. accept_damage: count the frames that really
    decode instead of the packets. sound: count the packets of the sound too. on_read: called with (bytes hashed,
    size).
    """
    before = _stat(path)
    probed = probe(path, ffprobe)
    stream = pick_video(probed)
    decide_pick(stream, decoders)
    frame = _declared_frame(stream) if stream.codec in _NO_DECODER else first_frame(path, stream.index, ffprobe)
    digest = _digest(path, before.st_size, on_read)
    audios = [audio for audio in probed.audios if sound and audio.rate > 0 and audio.channels > 0]
    tables = packet_tables(path, [stream, *audios], ffprobe)
    pictures = next(table for table in tables if isinstance(table, VideoPackets))
    if accept_damage:
        pictures = _decoded_table(path, stream, pictures, ffprobe)
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


def _declared_frame(stream: VideoStream) -> FirstFrame:
    """Returns the first frame as the container declares it, for a codec that ffprobe cannot decode."""
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
    except FileNotFoundError as error:
        raise SourceMissing(message="There is no such file.", stage="examine") from error
    except OSError as error:
        raise SourceUnreadable(message=f"It cannot be accessed: {error.strerror}.", stage="examine") from error


def _digest(path: Path, size: int, on_read: Callable[[int, int], None]) -> str:
    try:
        with path.open("rb") as stream:
            return digest_stream(stream, lambda done: on_read(done, size)).digest
    except OSError as error:
        raise SourceUnreadable(message=f"It cannot be read to its end: {error.strerror}.", stage="examine") from error


def _decoded_table(path: Path, stream: VideoStream, table: VideoPackets, ffprobe: Path) -> VideoPackets:
    """Returns the table with the frames that one thread decodes; counting packets does not give that number.

    Raises SourceUnreadable if the decode does not finish, SourceUnsupported if the first frames are lost.
    """
    pts = array("q")
    limits = ("-v", "quiet", "-protocol_whitelist", "file", "-format_whitelist", FORMAT_WHITELIST, "-threads", "1")
    entries = ("-select_streams", str(stream.index), "-show_entries", "frame=best_effort_timestamp")
    count = 0

    def add_frame(line: bytes) -> None:
        nonlocal count
        text = line.strip().rstrip(b"|")
        count += bool(text)
        if text.lstrip(b"-").isdigit():
            pts.append(int(text))

    finished = lines(
        [str(ffprobe), *limits, *entries, "-of", "compact=p=0:nk=1", "-i", f"file:{path}"],
        add_frame,
        timeout=_DECODE_SECONDS,
    )
    if finished.ending != "exited" or finished.exit < 0:
        raise SourceUnreadable(message="It cannot be decoded to its end.", exit=finished.exit, stage="examine")
    if not pts or (table.pts and min(pts) > table.pts[0]):
        raise SourceUnsupported(
            message="Its first frames cannot be decoded: timecode would be wrong, so this damage cannot be accepted.",
            stage="examine",
        )
    return replace(
        table, pts=array("q", sorted(pts)), without_pts=count - len(pts), end=_end(pts, table), certain=True
    )


def _end(pts: array[int], table: VideoPackets) -> int | None:
    return max(pts) if pts and (table.end is None or max(pts) > table.end) else table.end
