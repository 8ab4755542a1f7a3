"""ffmpeg's log is parsed into counts, and every failed encode becomes the right failure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from proxx.contracts.error_bases import ProxxError
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
from proxx.contracts.profile import find_profile
from proxx.contracts.recipe import VideoPick
from proxx.ffmpeg.command import bind_paths, plan_command
from proxx.ffmpeg.encode_log import (
    DecodedStream,
    EncodedStream,
    EncodeEvidence,
    encode_failure,
    parse_encode_log,
    read_encode_log,
)
from proxx.ffmpeg.process import run_encoder
from tests.support.argvs import change, clip_for, with_tracks
from tests.support.makemedia import FFMPEG, make, picture

IN = "[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x7f7a1e2e3040] [verbose]   Input stream #0:"
OUT = "[out#0/mov @ 0x7f7a1e304180] [verbose]   Output stream #0:"
LOG = (
    f"{IN}0 (video): 15 packets read (199047 bytes); 14 frames decoded; 1 decode errors; ",
    f"{IN}1 (audio): 24 packets read (11092 bytes); 24 frames decoded; 0 decode errors (24576 samples); ",
    f"{OUT}0 (video): 15 frames encoded; 15 packets muxed (248979 bytes); ",
    f"{OUT}1 (audio): 24 frames encoded (24576 samples); 24 packets muxed (147456 bytes); ",
    "[out#1/null @ 0x7f7a1e2dc700] [verbose]   Output stream #1:0 (video): "
    "13 frames encoded; 13 packets muxed (5088 bytes); ",
    "[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame",
    "[in#0/mov @ 0x3] [warning] corrupt input packet in stream 0",
    "[verbose] Exiting with exit code 0",
)


def test_summary_lines_are_parsed() -> None:
    assert parse_encode_log(LOG) == EncodeEvidence(
        read={0: DecodedStream(packets=15, frames=14, errors=1), 1: DecodedStream(packets=24, frames=24, errors=0)},
        written={
            0: EncodedStream(frames=15, samples=None, packets=15, bytes=248979),
            1: EncodedStream(frames=24, samples=24576, packets=24, bytes=147456),
        },
        looped=13,
        corrupt_packets=1,
        corrupt_frames=1,
    )


@pytest.mark.parametrize(
    ("line", "frames"),
    [
        ("[hevc @ 0x7f4804b7ec40] [warning] Skipping invalid undecodable NALU: 21", 1),
        ("[hevc @ 0x7f4804b7ec40] [warning] Skipping invalid undecodable NALU: 1", 1),
        ("[hevc @ 0x7f4804b7ec40] [warning] Skipping invalid undecodable NALU: 39", 0),  # metadata, not picture
        ("[mjpeg @ 0x7f630edfc00] [error] overread 8", 1),
        ("[mjpeg @ 0x7f630edfc00] [error] error count: 64", 1),
        ("[mjpeg @ 0x7f630edfc00] [error] error y=15 x=26", 1),
        ("[mjpeg @ 0x7f630edfc00] [error] mjpeg_decode_dc: bad vlc: 0 (0x7f630)", 1),
        ("[mjpeg @ 0x7f630edfc00] [error] unable to decode APP fields: Invalid data", 0),
    ],
)
def test_picture_that_a_decoder_skips_without_failing_is_counted(line: str, frames: int) -> None:
    assert parse_encode_log([line, line]).corrupt_frames == frames
    assert parse_encode_log([f"    title           : {line}"]).corrupt_frames == 0


def test_text_from_the_source_is_not_evidence() -> None:
    texts = ("corrupt input packet", "corrupt decoded frame", "] [error] No space left", "received signal 15")
    lines = [f"Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:/card/{text}.mov':" for text in texts]
    lines += [f"    title           : {text}" for text in texts]
    assert parse_encode_log(lines) == EncodeEvidence()


def test_a_stream_with_two_different_summaries_is_left_out() -> None:
    forged = LOG[2].replace("15 frames", "16 frames")
    assert parse_encode_log((*LOG, forged)).written.keys() == {1}
    assert parse_encode_log((*LOG, LOG[2])) == parse_encode_log(LOG)


def test_an_empty_log_gives_no_counts() -> None:
    assert parse_encode_log(()) == EncodeEvidence()


def test_at_most_200_error_lines_are_kept() -> None:
    lines = (f"[error] trouble {number}" for number in range(10_000))
    assert len(parse_encode_log(lines).troubles) == 200


@pytest.mark.clause("I4")
@pytest.mark.parametrize(
    ("exit_", "line", "failure"),
    [
        (-4, "", ToolchainMismatch),
        (-9, "", EncoderCrashed),
        (-6, "[fatal] something", EncoderCrashed),
        (255, "[info] Exiting normally, received signal 15.", EncoderCrashed),
        (228, "", DiskFull),
        (1, "[out#0/mov @ 0x1] [error] Error writing trailer: No space left on device", DiskFull),
        (254, "[out#0/mov @ 0x1] [fatal] Error opening output /x: No such file or directory", OutputUnwritable),
        (254, "[in#0 @ 0x1] [error] Error opening input: No such file or directory", SourceMissing),
        (243, "[in#0 @ 0x1] [error] Error opening input: Permission denied", SourceUnreadable),
        (235, "[in#0 @ 0x1] [error] Error opening input: Is a directory", SourceUnreadable),
        (183, "[in#0 @ 0x1] [error] Error opening input: Invalid data found when processing input", SourceUnreadable),
        (251, "[in#0/mov @ 0x1] [error] Error during demuxing: Input/output error", SourceUnreadable),
        (183, "[in#0/mov,mp4 @ 0x1] [fatal] corrupt input packet in stream 0", SourceTruncated),
        (183, "[in#0/mpegts @ 0x1] [fatal] corrupt input packet in stream 0", DecodeFailed),
        (183, "[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [fatal] corrupt decoded frame", DecodeFailed),
        (183, "[aist#0:1/aac @ 0x1] [dec:aac @ 0x2] [error] Error submitting packet to decoder: Bad", DecodeFailed),
        (234, "[fatal] Stream map '' matches no streams.", EncodeFailed),
        (234, "[vost#0:0/x @ 0x1] [error] Error submitting packet to decoder: Bad", EncodeFailed),
    ],
)
def test_each_failure_has_its_class_and_the_same_message_everywhere(
    exit_: int, line: str, failure: type[ProxxError]
) -> None:
    actual = encode_failure(exit_, parse_encode_log([line]))
    assert type(actual) is failure
    assert actual.message == encode_failure(exit_, parse_encode_log([line.replace("0x1", "0xffff")])).message
    assert actual.stage == "encode"
    assert "0x" not in actual.message and "/x" not in actual.message


# --- with the encoder itself -----------------------------------------------------------------------------


def _good_source() -> Path:
    return make("whole.mp4", *picture(seconds="2"), "-c:v", "libx264", "-g", "5", "-movflags", "+faststart")


def _encode(source: Path, folder: Path, output: Path | None = None) -> tuple[int, EncodeEvidence]:
    profile = find_profile("prores_proxy")
    pick = VideoPick(file=0, stream=0, view=None, codec="h264", decoder="h264")
    clip = change(with_tracks(clip_for(profile), ()), recipe={"video": pick, "audio_decoders": ()})
    argv = bind_paths(plan_command(profile, clip).argv, FFMPEG, source, output or folder / "out.mov")
    done = run_encoder(argv, cwd=folder, log=folder / "log")
    return done.exit, read_encode_log(folder / "log")


def test_a_good_source_is_encoded_and_decoded_again(tmp_path: Path) -> None:
    exit_, encoded = _encode(_good_source(), tmp_path)
    assert exit_ == 0
    assert (encoded.read[0].packets, encoded.read[0].frames, encoded.looped) == (50, 50, 50)


@pytest.mark.parametrize("damage", ["cut", "hole", "empty", "text", "missing", "folder"])
def test_a_damaged_source_gives_the_right_failure(damage: str, tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    data = bytearray(_good_source().read_bytes())
    match damage:
        case "cut":
            source.write_bytes(data[: len(data) * 3 // 4])
        case "hole":
            data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
            source.write_bytes(data)
        case "empty":
            source.write_bytes(b"")
        case "text":
            source.write_text("#EXTM3U\nother.ts\n")
        case "folder":
            source.mkdir()
    exit_, encoded = _encode(source, tmp_path)
    expected = {"cut": SourceTruncated, "hole": DecodeFailed, "missing": SourceMissing}.get(damage, SourceUnreadable)
    assert exit_ != 0
    assert type(encode_failure(exit_, encoded)) is expected


def test_an_output_that_cannot_be_opened_is_unwritable(tmp_path: Path) -> None:
    exit_, encoded = _encode(_good_source(), tmp_path, tmp_path / "none" / "out.mov")
    assert type(encode_failure(exit_, encoded)) is OutputUnwritable


def test_a_full_disk_is_recognised(tmp_path: Path) -> None:
    profile = find_profile("prores_proxy")
    clip = change(with_tracks(clip_for(profile), ()), recipe={"audio_decoders": ()})
    argv = bind_paths(plan_command(profile, clip).argv, FFMPEG, _good_source(), Path("/dev/full"))
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run([*argv[:1], "-y", *argv[1:]], stderr=log, stdout=subprocess.DEVNULL, check=False)
    assert type(encode_failure(done.returncode, read_encode_log(tmp_path / "log"))) is DiskFull
