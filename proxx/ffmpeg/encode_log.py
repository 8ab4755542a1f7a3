"""Parses ffmpeg's log: how much it read and wrote, and, if the encode failed, which failure it is.

The log is that of `-loglevel level+verbose` of ffmpeg 8 and 9: one summary line per stream at the end, and the line
with which `-xerror` gives up. How far a failed encode got is not recorded: that depends on a race between threads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from proxx.contracts.error_bases import ClipFailure, JobStopped, ProxxError
from proxx.contracts.errors import (
    DecodeFailed,
    DiskFull,
    EncodeFailed,
    EncoderCrashed,
    OutputUnwritable,
    SourceMissing,
    SourceTruncated,
    SourceUnreadable,
    ToolchainMismatch,
)
from proxx.ffmpeg.process import decode_signal

SIGILL: Final = -4
NO_SPACE: Final = 256 - 28  # ffmpeg exits with its error number, here minus ENOSPC

_SUMMARY: Final = re.compile(
    r"\[(?:in|out)#\d+/[^\]]* @ 0x[0-9a-f]+\] \[verbose\]   "
    r"(Input|Output) stream #(\d+):(\d+) \((?:video|audio)\): (.*)"
)
_READ: Final = re.compile(
    r"(\d+) packets read \(\d+ bytes\); (\d+) frames decoded; (\d+) decode errors(?: \((\d+) samples\))?; "
)
_WRITTEN: Final = re.compile(r"(\d+) frames encoded(?: \((\d+) samples\))?; (\d+) packets muxed \((\d+) bytes\); ")
# The whole prefix must match, because the log also holds text from the source: its file name, titles and comments.
_ORIGIN: Final = r"(?:\[[^\]\n]* @ 0x[0-9a-f]+\] )+"
_CORRUPT_PACKET: Final = re.compile(_ORIGIN + r"\[\w+\] corrupt input packet\b.*")
_CORRUPT_FRAME: Final = re.compile(_ORIGIN + r"\[\w+\] corrupt decoded frame\b.*")
# These two decoders return the remaining part of a damaged frame and exit with 0: a slice was skipped (NAL types 0
# to 31 hold picture), or the scan broke off. Their other messages, for example about an odd header, mean no lost
# picture.
_LOST_PICTURE: Final = re.compile(
    r"\[hevc @ 0x[0-9a-f]+\] \[warning\] Skipping invalid undecodable NALU: (?:[12]?\d|3[01])"
    r"|\[mjpeg @ 0x[0-9a-f]+\] \[error\] (?:overread |error count: |error y=|mjpeg_decode_dc: bad vlc).*"
)
_TROUBLE: Final = re.compile(rf"(?:{_ORIGIN})?\[(?:error|fatal)\] .*")
_SIGNAL: Final = re.compile(r"(?:\[\w+\] )?Exiting normally, received signal \d+\.")
_ADDRESS: Final = re.compile(r" @ 0x[0-9a-f]+")
_TROUBLES_KEPT: Final = 200  # a damaged file can cause thousands of them; the cause is among the first
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DecodedStream:
    """One source stream: packets read from the file, frames decoded from them, decoder calls that failed."""

    packets: int
    frames: int
    errors: int


@dataclass(frozen=True, kw_only=True)
class EncodedStream:
    """One proxy stream: frames given to the encoder, samples per channel (sound), packets written, their bytes."""

    frames: int
    samples: int | None
    packets: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class EncodeEvidence:
    """What ffmpeg reported about one encode. read: by source stream; written: by proxy stream.

    looped: frames that were decoded again from the encoder's packets. corrupt_packets, corrupt_frames: what the
    demuxer and the decoders marked as damaged but returned. troubles: the lines that show the cause of a failure,
    without memory addresses.
    """

    read: dict[int, DecodedStream] = field(default_factory=dict)
    written: dict[int, EncodedStream] = field(default_factory=dict)
    looped: int | None = None
    corrupt_packets: int = 0
    corrupt_frames: int = 0
    troubles: tuple[str, ...] = ()


def read_encode_log(log: Path) -> EncodeEvidence:
    """Returns what ffmpeg reported in `log`, the file that holds its stderr."""
    with log.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        return parse_encode_log(line.rstrip("\r\n") for line in lines)


def parse_encode_log(lines: Iterable[str]) -> EncodeEvidence:
    """Returns what ffmpeg reported in these lines. A stream with two different summaries (one forged) is left out."""
    read, written, looped = (
        dict[int, DecodedStream | None](),
        dict[int, EncodedStream | None](),
        dict[int, EncodedStream | None](),
    )
    packets, frames, lost = 0, 0, False
    troubles: dict[str, None] = {}
    for line in lines:
        packets += _CORRUPT_PACKET.fullmatch(line) is not None
        frames += _CORRUPT_FRAME.fullmatch(line) is not None
        lost = lost or _LOST_PICTURE.fullmatch(line) is not None
        if _TROUBLE.fullmatch(line):
            if len(troubles) < _TROUBLES_KEPT:
                troubles[_ADDRESS.sub("", line)] = None
        elif _SIGNAL.fullmatch(line):
            troubles[line] = None
        match = _SUMMARY.fullmatch(line)
        if not match:
            continue
        kind, file, stream, rest = match[1], int(match[2]), int(match[3]), match[4]
        if kind == "Input" and file == 0 and (counts := _READ.match(rest)):
            _record(read, stream, DecodedStream(packets=int(counts[1]), frames=int(counts[2]), errors=int(counts[3])))
        elif kind == "Output" and file < 2 and (counts := _WRITTEN.match(rest)):
            samples = int(counts[2]) if counts[2] else None
            summary = EncodedStream(
                frames=int(counts[1]), samples=samples, packets=int(counts[3]), bytes=int(counts[4])
            )
            _record(written if file == 0 else looped, stream, summary)
    loop = looped.get(0)
    return EncodeEvidence(
        read={stream: decoded for stream, decoded in read.items() if decoded is not None},
        written={stream: encoded for stream, encoded in written.items() if encoded is not None},
        looped=loop.frames if loop else None,
        corrupt_packets=packets,
        corrupt_frames=frames + lost,  # `lost` counts once: ffmpeg prints repeated lines only once
        troubles=tuple(troubles),
    )


def _record(summaries: dict[int, T | None], stream: int, value: T) -> None:
    """Adds a summary; a stream with two different ones is set to None."""
    summaries[stream] = value if summaries.get(stream, value) == value else None


# --- classifying a failure -------------------------------------------------------------------------------


def encode_failure(exit_: int, encoded: EncodeEvidence) -> ProxxError:
    """Returns the failure of an encode with a nonzero exit status. Its message is the same on every machine."""
    stage = "encode"
    if exit_ == SIGILL:
        message = "the encoder used an instruction that this CPU does not have; see cpu_flags in the profile"
        return ToolchainMismatch(message=message, exit=exit_, stage=stage)
    if exit_ < 0 or _reports(encoded, "received signal"):
        signal = decode_signal(exit_) or "a signal that asked it to stop"
        return EncoderCrashed(message=f"ffmpeg was ended by {signal}", exit=exit_, stage=stage)
    if exit_ == NO_SPACE or _reports(encoded, "No space left on device", "Disk quota exceeded"):
        return DiskFull(message="the disk became full while the proxy was being written", stage=stage)
    failure = _output_failure(encoded) or _source_failure(encoded)
    if failure is not None:
        failure.stage = stage
        return failure
    return EncodeFailed(message=f"ffmpeg failed with exit status {exit_}", exit=exit_, stage=stage)


def _output_failure(encoded: EncodeEvidence) -> ClipFailure | JobStopped | None:
    if _reports(encoded, "Error opening output", where="[out#0"):
        return OutputUnwritable(message="ffmpeg cannot open the proxy for writing")
    return None


def _source_failure(encoded: EncodeEvidence) -> ClipFailure | None:
    """Returns the earliest cause: the source is opened before it is read, and read before it is decoded."""
    if _reports(encoded, "Error opening input", where="[in#0"):
        if _reports(encoded, "No such file or directory", where="[in#0"):
            return SourceMissing(message="the source file does not exist")
        if _reports(encoded, "Permission denied", where="[in#0"):
            return SourceUnreadable(message="this user has no permission to read the source file")
        return SourceUnreadable(message="ffmpeg cannot open the source as a media file")
    if _reports(encoded, "Input/output error", "Stale file handle", where="[in#0"):
        return SourceUnreadable(message="the storage of the source failed while it was read")
    if encoded.corrupt_packets and _reports(encoded, "corrupt input packet", where="[in#0/mov"):
        return SourceTruncated(message="the source is cut off or has a gap in the middle of a packet")
    if encoded.corrupt_packets or encoded.corrupt_frames or _reports(encoded, *_DECODER_ERRORS, where="ist#0:"):
        return DecodeFailed(message="part of the source's picture or sound is damaged and cannot be decoded")
    return None


_DECODER_ERRORS: Final = (
    "Error submitting packet to decoder",
    "Error processing packet",
    "Decode error rate",
    "rror while decoding",
)


def _reports(encoded: EncodeEvidence, *texts: str, where: str = "") -> bool:
    """Returns whether a trouble line contains one of `texts`, and `where`: the part of ffmpeg that wrote it."""
    return any(where in line and text in line for line in encoded.troubles for text in texts)
