"""What ffmpeg's log says it did, as numbers; and of a failed encode, which of our failures it is.

The lines are those of `-loglevel level+verbose` of ffmpeg 8 and 9: one summary a stream at the end, and the one
line with which `-xerror` gives up. How far a failed encode got is not recorded: its threads race for that.
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
NO_SPACE: Final = 256 - 28  # ffmpeg exits with the error number it ended by: ENOSPC

_SUMMARY: Final = re.compile(
    r"\[(?:in|out)#\d+/[^\]]* @ 0x[0-9a-f]+\] \[verbose\]   "
    r"(Input|Output) stream #(\d+):(\d+) \((?:video|audio)\): (.*)"
)
_READ: Final = re.compile(
    r"(\d+) packets read \(\d+ bytes\); (\d+) frames decoded; (\d+) decode errors(?: \((\d+) samples\))?; "
)
_WRITTEN: Final = re.compile(r"(\d+) frames encoded(?: \((\d+) samples\))?; (\d+) packets muxed \((\d+) bytes\); ")
# Whole prefixes, because the log also holds what a source calls itself: its file name, its titles and comments.
_FROM: Final = r"(?:\[[^\]\n]* @ 0x[0-9a-f]+\] )+"
_CORRUPT_PACKET: Final = re.compile(_FROM + r"\[\w+\] corrupt input packet\b.*")
_CORRUPT_FRAME: Final = re.compile(_FROM + r"\[\w+\] corrupt decoded frame\b.*")
# These two decoders give out what is left of a frame and end with 0: a slice of it was skipped (type 0 to 31 holds
# picture), or its scan broke off. Words about anything else, as an odd header, mean no lost picture.
_LOST_PICTURE: Final = re.compile(
    r"\[hevc @ 0x[0-9a-f]+\] \[warning\] Skipping invalid undecodable NALU: (?:[12]?\d|3[01])"
    r"|\[mjpeg @ 0x[0-9a-f]+\] \[error\] (?:overread |error count: |error y=|mjpeg_decode_dc: bad vlc).*"
)
_TROUBLE: Final = re.compile(rf"(?:{_FROM})?\[(?:error|fatal)\] .*")
_SIGNAL: Final = re.compile(r"(?:\[\w+\] )?Exiting normally, received signal \d+\.")
_ADDRESS: Final = re.compile(r" @ 0x[0-9a-f]+")
_TROUBLES_KEPT: Final = 200  # a damaged file can say the same thousand times; the cause is among the first
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DecodedStream:
    """One source stream: packets taken from the file, frames decoded from them, decoder calls that failed."""

    packets: int
    frames: int
    errors: int


@dataclass(frozen=True, kw_only=True)
class EncodedStream:
    """One proxy stream: frames given to the encoder, samples a channel (sound), packets written, their bytes."""

    frames: int
    samples: int | None
    packets: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class EncodeEvidence:
    """What one run says of itself. read: by source stream; written: by proxy stream.

    looped: frames that came out of the decoder set on the encoder's packets. corrupt_packets and corrupt_frames:
    what the demuxer and the decoders marked as damaged but gave out. troubles: the lines that tell a failure's
    cause, without addresses.
    """

    read: dict[int, DecodedStream] = field(default_factory=dict)
    written: dict[int, EncodedStream] = field(default_factory=dict)
    looped: int | None = None
    corrupt_packets: int = 0
    corrupt_frames: int = 0
    troubles: tuple[str, ...] = ()


def read_encode_log(log: Path) -> EncodeEvidence:
    """From the file ffmpeg's stderr went to."""
    with log.open(encoding="utf-8", errors="replace", newline="\n") as words:
        return parse_encode_log(line.rstrip("\r\n") for line in words)


def parse_encode_log(lines: Iterable[str]) -> EncodeEvidence:
    """From the lines of the log. A stream that is summed up twice differently (a forged line) is left out."""
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
        if kind == "Input" and file == 0 and (told := _READ.match(rest)):
            _note(read, stream, DecodedStream(packets=int(told[1]), frames=int(told[2]), errors=int(told[3])))
        elif kind == "Output" and file < 2 and (told := _WRITTEN.match(rest)):
            samples = int(told[2]) if told[2] else None
            summary = EncodedStream(frames=int(told[1]), samples=samples, packets=int(told[3]), bytes=int(told[4]))
            _note(written if file == 0 else looped, stream, summary)
    loop = looped.get(0)
    return EncodeEvidence(
        read={stream: one for stream, one in read.items() if one is not None},
        written={stream: two for stream, two in written.items() if two is not None},
        looped=loop.frames if loop else None,
        corrupt_packets=packets,
        corrupt_frames=frames + lost,  # not each line: those that repeat each other are printed once
        troubles=tuple(troubles),
    )


def _note(told: dict[int, T | None], stream: int, value: T) -> None:
    told[stream] = value if told.get(stream, value) == value else None


# --- which failure it is ---------------------------------------------------------------------------------


def encode_failure(exit_: int, encoded: EncodeEvidence) -> ProxxError:
    """The failure of an encode that did not exit with 0. Its message is the same on every machine."""
    stage = "encode"
    if exit_ == SIGILL:
        message = "the encoder used an instruction this CPU does not have; the profile's cpu_flags name what it needs"
        return ToolchainMismatch(message=message, exit=exit_, stage=stage)
    if exit_ < 0 or _said(encoded, "received signal"):
        return EncoderCrashed(message=decode_signal(exit_) or "asked to end from outside", exit=exit_, stage=stage)
    if exit_ == NO_SPACE or _said(encoded, "No space left on device", "Disk quota exceeded"):
        return DiskFull(message="there is no space left where the clip was being written", stage=stage)
    found = _of_output(encoded) or _of_source(encoded)
    if found is not None:
        found.stage = stage
        return found
    return EncodeFailed(message=f"ffmpeg ended with exit status {exit_}", exit=exit_, stage=stage)


def _of_output(encoded: EncodeEvidence) -> ClipFailure | JobStopped | None:
    if _said(encoded, "Error opening output", where="[out#0"):
        return OutputUnwritable(message="the working file cannot be opened for writing")
    return None


def _of_source(encoded: EncodeEvidence) -> ClipFailure | None:
    """Opening comes before reading, and reading before decoding: the earliest cause counts."""
    if _said(encoded, "Error opening input", where="[in#0"):
        if _said(encoded, "No such file or directory", where="[in#0"):
            return SourceMissing(message="the source is not there")
        if _said(encoded, "Permission denied", where="[in#0"):
            return SourceUnreadable(message="the source may not be read by this user")
        return SourceUnreadable(message="the source cannot be opened as a media file")
    if _said(encoded, "Input/output error", "Stale file handle", where="[in#0"):
        return SourceUnreadable(message="the source's storage failed while it was read")
    if encoded.corrupt_packets and _said(encoded, "corrupt input packet", where="[in#0/mov"):
        return SourceTruncated(message="the source ends, or has a hole, inside a packet")
    if encoded.corrupt_packets or encoded.corrupt_frames or _said(encoded, *_DECODER_WORDS, where="ist#0:"):
        return DecodeFailed(message="a packet of the source is damaged and does not decode whole")
    return None


_DECODER_WORDS: Final = (
    "Error submitting packet to decoder",
    "Error processing packet",
    "Decode error rate",
    "rror while decoding",
)


def _said(encoded: EncodeEvidence, *words: str, where: str = "") -> bool:
    return any(where in line and word in line for line in encoded.troubles for word in words)
