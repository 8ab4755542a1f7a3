"""What must not become a proxy does not: refused at creation, or failed by name in a run that makes the others.

After each refusal the output folder is what it was, to the inode; no final name appears; no original is touched.
"""

from __future__ import annotations

import ast
import hashlib
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import pytest

from proxx.contracts.error_bases import Problem
from proxx.contracts.error_codes import ERROR_CLASSES
from proxx.contracts.errors import OutputClaimed, PreflightRefused, ToolchainMismatch
from proxx.contracts.event import this_worker
from proxx.contracts.job import Clip, JobContent, JobSpec, seal, spec_bytes
from proxx.contracts.profile import find_profile, pinned_threads
from proxx.contracts.result import ClipFailed, ExecutionResult
from proxx.create.jobs import create_jobs
from proxx.create.request import CreateRequest
from proxx.engine.execute import RunEnvironment, execute
from proxx.engine.steps import ClipProgress, ClipStage, Step, Watcher, silent
from proxx.ffmpeg.probe import decoders
from proxx.ffmpeg.toolchain import find_toolchain
from proxx.store.opening import open_store
from tests.support.jobs import create, half_second
from tests.support.makemedia import make, picture, sound

TESTS: Final = Path(__file__).parent.parent
PROFILE: Final = "prores_proxy_half"

Shape = dict[str, tuple[int, int, int, str]]


def shape(folder: Path) -> Shape:
    """Everything in a folder by name: inode, time of writing, mode, content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        seen = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(seen.st_mode) else ""
        found[str(path.relative_to(folder))] = (seen.st_ino, seen.st_mtime_ns, seen.st_mode, content)
    return found


def good(folder: Path, name: str = "good.mov") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(half_second("good.mov"), folder / name))


@pytest.fixture
def proxies(tmp_path: Path) -> Path:
    """An output folder that somebody uses already."""
    folder = tmp_path / "proxies"
    folder.mkdir()
    (folder / "somebody's.mov").write_bytes(b"somebody's")
    (folder / "folder").mkdir()
    return folder


# --- at creation -----------------------------------------------------------------------------------------

LONG: Final = (*picture("320x180", seconds="1"), *sound("stereo", seconds="1"))
X264: Final = ("-c:v", "libx264", "-threads", "1", "-g", "12", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le")


def whole(kind: str) -> bytes:
    return {
        "moov last": lambda: make("a.mov", *LONG, *X264),
        "moov first": lambda: make("a.mov", *LONG, *X264, "-movflags", "+faststart"),
        "mxf": lambda: make(
            "a.mxf", *LONG, "-c:v", "dnxhd", "-profile:v", "dnxhr_lb", "-pix_fmt", "yuv422p", "-c:a", "pcm_s16le"
        ),
        "ts": lambda: make("a.ts", *LONG, *X264[:-2], "-c:a", "ac3"),
    }[kind]().read_bytes()


def cut(kind: str, percent: int) -> bytes:
    data = whole(kind)
    return data[: len(data) * percent // 100]


def holed_ts() -> bytes:
    data = bytearray(whole("ts"))
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 188 * 40] = bytes(188 * 40)
    return bytes(data)


XML: Final = '<?xml version="1.0"?><xmeml version="4"><sequence><name>a</name></sequence></xmeml>'
EDL: Final = "TITLE: a\nFCM: NON-DROP FRAME\n001  A001 V C 01:00:00:00 01:00:01:00 01:00:00:00 01:00:01:00\n"

# What stands under the name of a camera file: content, code, a word of the sentence.
NOT_MEDIA: Final[dict[str, tuple[bytes | Callable[[], bytes], str, str]]] = {
    "hls": (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ngood.mov\n#EXT-X-ENDLIST\n", "UNREADABLE", "playlist"),
    "hls of file urls": (b"#EXTM3U\n#EXTINF:1,\nfile:///{good}\n#EXT-X-ENDLIST\n", "UNREADABLE", "playlist"),
    "hls master": (b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ngood.mov\n", "UNREADABLE", "playlist"),
    "hls after a mark": (b"\xef\xbb\xbf#EXTM3U\n#EXTINF:1,\ngood.mov\n", "UNREADABLE", "playlist"),
    "ffconcat": (b"ffconcat version 1.0\nfile good.mov\n", "UNREADABLE", "concat list"),
    "ffconcat, whole path": (b"ffconcat version 1.0\nfile '{good}'\n", "UNREADABLE", "concat list"),
    "concat list": (b"file 'good.mov'\n", "UNREADABLE", "plain text"),
    "dash": (b'<?xml version="1.0"?><MPD><BaseURL>good.mov</BaseURL></MPD>', "UNREADABLE", "XML"),
    "fcp xml": (XML.encode(), "UNREADABLE", "XML"),
    "edl": (EDL.encode(), "UNREADABLE", "plain text"),
    "sdp": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", "UNREADABLE", "plain text"),
    "web page": (b"<!DOCTYPE html><p>404", "UNREADABLE", "web page"),
    "json": (b'{"error": "no such file"}', "UNREADABLE", "JSON"),
    "text": (b"to do\n", "UNREADABLE", "plain text"),
    "empty": (b"", "UNREADABLE", "empty"),
    "one byte": (b"\0", "UNREADABLE", ""),
    "zeros": (bytes(1 << 20), "UNREADABLE", "zeros"),
    "noise": (random.Random(1).randbytes(1 << 16), "UNREADABLE", "no format that cameras write"),  # noqa: S311
    "macOS twin": (bytes.fromhex("00051607") + bytes(4092), "UNREADABLE", "macOS"),
    "zip": (b"PK\3\4" + bytes(1000), "UNREADABLE", "zip"),
    "sound only": (lambda: make("s.mov", *sound(), "-c:a", "pcm_s16le").read_bytes(), "NO_VIDEO", "no picture"),
    "moov first, cut": (lambda: cut("moov first", 60), "TRUNCATED", "mdat"),
    "moov first, a byte short": (lambda: whole("moov first")[:-1], "TRUNCATED", "mdat"),
    "moov missing": (lambda: cut("moov last", 90), "TRUNCATED", "no index"),
    "moov cut": (lambda: whole("moov last")[:-9], "TRUNCATED", "moov"),
    "mxf, cut": (lambda: cut("mxf", 60), "TRUNCATED", "footer"),
    "ts, holed": (holed_ts, "DECODE_FAILED", "damaged"),
    "red": (b"\0\0\0\0RED2" + bytes(1000), "UNSUPPORTED", "REDCINE-X"),
    "braw by name": (b"\0\0\0\x08wide" + bytes(1000), "", ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind in NOT_MEDIA if NOT_MEDIA[kind][1]])
def test_what_is_no_whole_camera_file_is_refused(kind: str, tmp_path: Path, proxies: Path) -> None:
    content, code, word = NOT_MEDIA[kind]
    data = content() if callable(content) else content
    card = tmp_path / "card"
    there = good(card)
    source = card / "clip.mov"
    source.write_bytes(data.replace(b"{good}", str(there).encode()))
    problem = refused_alone(source, proxies)
    assert problem.code.removeprefix("SOURCE_") == code
    assert word in problem.message
    assert problem.remedy


def refused_alone(source: Path, proxies: Path) -> Problem:
    """Creation refuses it, and nothing is written or changed anywhere."""
    folders = [source.parent, proxies]
    before = [shape(folder) for folder in folders]
    with pytest.raises(PreflightRefused) as caught:
        create((source,), proxies, PROFILE)
    assert [shape(folder) for folder in folders] == before
    problem = caught.value.problems[0]
    assert problem.message.endswith(".")
    return problem


def test_a_folder_with_the_name_of_a_clip_holds_no_clip(tmp_path: Path, proxies: Path) -> None:
    (tmp_path / "card" / "clip.mov").mkdir(parents=True)
    assert "no media file" in refused_alone(tmp_path / "card" / "clip.mov", proxies).message


@pytest.mark.parametrize("make_it", [os.mkfifo, lambda path: Path(path).symlink_to("nowhere")])
def test_what_is_no_file_is_refused(tmp_path: Path, proxies: Path, make_it: Callable[[Path], None]) -> None:
    (tmp_path / "card").mkdir()
    make_it(tmp_path / "card" / "clip.mov")
    assert refused_alone(tmp_path / "card" / "clip.mov", proxies).code in ("SOURCE_UNREADABLE", "SOURCE_MISSING")


UNPRIVILEGED: Final = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def test_a_source_that_may_not_be_read(tmp_path: Path, proxies: Path) -> None:
    """Root reads everything, so it gives that right away first."""
    source = good(tmp_path / "card")
    source.chmod(0)
    before = shape(proxies)
    launcher = UNPRIVILEGED if os.geteuid() == 0 else ()
    argv = [*launcher, sys.executable, "-c", "from proxx.cli.main import main; main()", "create", str(source)]
    argv += ["--profile", PROFILE, "--output", str(proxies), "--spec", str(tmp_path / "job.json")]
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 3, done.stderr
    assert "SOURCE_UNREADABLE" in done.stderr
    assert "may be read by this user" in done.stderr
    assert not (tmp_path / "job.json").exists()
    assert shape(proxies) == before


# --- in a run --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A job of three clips; the second is the one something happens to."""

    root: Path
    job: JobSpec

    @property
    def source(self) -> Path:
        return Path(self.job.clips[1].source.files[0].uri)

    def output(self, index: int) -> Path:
        return Path(self.job.clips[index].outputs[0].uri)

    def run(
        self, watch: Watcher = silent, attempt: int = 1, work: Path | None = None, launcher: tuple[str, ...] = ()
    ) -> ExecutionResult:
        site = RunEnvironment(
            store=open_store(str(self.root / "store")),
            worker=this_worker(),
            run_id="refused",
            attempt=attempt,
            watch=watch,
            work=work,
            launcher=launcher,
        )
        return execute(spec_bytes(self.job), site)


def scene(root: Path, second: bytes | None = None, name: str = "b.mov", out: Path | None = None) -> Scene:
    card = root / "card"
    sources = [good(card, "a.mov"), good(card, name), good(card, "c.mov")]
    if second is not None:
        sources[1].write_bytes(second)
    return Scene(root, create(tuple(sources), out or root / "proxies", PROFILE))


@contextmanager
def only_the_second_fails(here: Scene, code: str) -> Iterator[list[ExecutionResult]]:
    """The block appends the result. The first and third clip are made; nothing else appears or changes."""
    folder = here.output(0).parent
    folder.mkdir(exist_ok=True)
    (folder / "somebody's.mov").write_bytes(b"somebody's")
    originals = {Path(clip.source.files[0].uri) for clip in here.job.clips} - {here.source}
    card = {path: shape(path.parent)[path.name] for path in originals}
    before = shape(folder)
    results: list[ExecutionResult] = []
    yield results
    (result,) = results
    assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "COMPLETED"]
    failed = result.clips[1]
    assert isinstance(failed, ClipFailed)
    assert failed.failure.code == code, failed.failure
    assert failed.failure.remedy.endswith(".")
    assert str(here.root) not in failed.failure.message
    assert result.stopped is None
    after = shape(folder)
    made = {here.output(0).name, here.output(2).name}
    assert {name: seen for name, seen in after.items() if name not in made} == before
    assert {path: shape(path.parent)[path.name] for path in originals} == card
    assert set(after) == set(before) | made


def damaged(data: bytes, places: int, length: int, seed: int = 2) -> bytes:
    """Zeroed at `places` places, between the header and the last tenth."""
    found, chance = bytearray(data), random.Random(seed)  # noqa: S311  (the same every time)
    for _ in range(places):
        at = chance.randrange(len(found) // 5, len(found) * 9 // 10 - length)
        found[at : at + length] = bytes(length)
    assert found != data, "only padding was hit"
    return bytes(found)


def flipped(data: bytes, bits: int, seed: int = 1) -> bytes:
    found, chance = bytearray(data), random.Random(seed)  # noqa: S311  (the same every time)
    for _ in range(bits):
        found[chance.randrange(len(found) // 5, len(found) * 9 // 10)] ^= 1 << chance.randrange(8)
    return bytes(found)


SILENT_X264: Final = ("-c:v", "libx264", "-threads", "1", "-g", "12", "-pix_fmt", "yuv420p")
PICTURES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "h264": ("b.mov", SILENT_X264),
    "h264 intra": ("b.mp4", (*SILENT_X264[:-4], "-g", "1", *SILENT_X264[-2:])),
    "prores": ("b.mov", ("-c:v", "prores_ks", "-profile:v", "2")),
    "dnxhr in mxf": ("b.mxf", ("-c:v", "dnxhd", "-profile:v", "dnxhr_sq", "-pix_fmt", "yuv422p")),
    "mpeg2 in mxf": ("b.mxf", ("-c:v", "mpeg2video", "-g", "12", "-b:v", "20M")),
    "hevc": (
        "b.mov",
        ("-c:v", "libx265", "-x265-params", "pools=1:frame-threads=1:log-level=none:keyint=12", "-tag:v", "hvc1"),
    ),
    "mjpeg": ("b.mov", ("-c:v", "mjpeg", "-q:v", "3")),
}


def clip_of(codec: str) -> tuple[str, bytes]:
    name, arguments = PICTURES[codec]
    return name, make(name, *picture("640x360", seconds="1"), *arguments).read_bytes()


@pytest.mark.clause("A4")
@pytest.mark.parametrize("codec", PICTURES)
def test_a_hole_in_the_picture_fails_its_clip_only(codec: str, tmp_path: Path) -> None:
    name, data = clip_of(codec)
    here = scene(tmp_path, damaged(data, 3, 4096), name)
    with only_the_second_fails(here, "DECODE_FAILED") as results:
        results.append(here.run())


@pytest.mark.parametrize("codec", PICTURES)
def test_flipped_bits_fail_their_clip_only(codec: str, tmp_path: Path) -> None:
    name, data = clip_of(codec)
    here = scene(tmp_path, flipped(data, 200), name)
    with only_the_second_fails(here, "DECODE_FAILED") as results:
        results.append(here.run())


def test_a_stream_that_is_cut_fails_its_clip_only(tmp_path: Path) -> None:
    """A transport stream does not say how long it is; cut between its packets, the last picture shows it."""
    data = make("b.ts", *picture("640x360", seconds="1"), *SILENT_X264).read_bytes()
    here = scene(tmp_path, data[: len(data) // 2 // 188 * 188], "b.ts")
    with only_the_second_fails(here, "DECODE_FAILED") as results:
        results.append(here.run())


@pytest.mark.clause("I4")
def test_whether_damage_is_seen_is_not_left_to_chance(tmp_path: Path) -> None:
    """By two threads ffmpeg hands an H.264 picture on before it is decoded; damage then goes unseen by chance."""
    data = make("b.ts", *picture("640x360", seconds="1"), *SILENT_X264).read_bytes()
    folder = tmp_path / "card"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.ts").write_bytes(data[: len(data) // 2 // 188 * 188])
    result = Scene(tmp_path, create(tuple(sorted(folder.iterdir())), tmp_path / "proxies", PROFILE)).run()
    assert [isinstance(clip, ClipFailed) and clip.failure.code for clip in result.clips] == ["DECODE_FAILED"] * 12


def test_damage_that_was_accepted_is_made_and_gives_the_same_bytes(tmp_path: Path) -> None:
    """The one way on, and the spec says so."""
    name, data = clip_of("h264")
    (tmp_path / name).write_bytes(damaged(data, 3, 4096))
    toolchain = find_toolchain("static")
    request = CreateRequest(
        sources=(tmp_path / name,),
        profile=find_profile(PROFILE),
        toolchain=toolchain.identity,
        output=str(tmp_path / "proxies"),
        name=None,
        template="{source_name}",
        clips_per_job=None,
        leave_out_refused=False,
        accept_damage=(name,),
        date="2026-01-02",
    )
    (job,) = create_jobs(request, ffprobe=toolchain.ffprobe, decoders=decoders(toolchain.ffmpeg)).jobs
    assert job.clips[0].recipe.decode_errors == "accept"
    digests = []
    for number in range(2):
        site = RunEnvironment(
            store=open_store(str(tmp_path / f"store{number}")), worker=this_worker(), run_id="refused"
        )
        result = execute(spec_bytes(job), site)
        assert result.status == "COMPLETED", result.clips[0].failure
        digests.append(result.clips[0].output_sha256)
        shutil.rmtree(tmp_path / "proxies")
    assert digests[0] == digests[1]


# --- the source is not what it was -----------------------------------------------------------------------


def other_size(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def other_bytes(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        stream.write(bytes(4096))


def other_clip(path: Path) -> None:
    """Another whole clip of the same name."""
    path.unlink()
    shutil.copy(half_second("other.mov", "02:00:00:00"), path)


def only_its_time(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.clause("A1")
@pytest.mark.parametrize("change", [other_size, other_bytes, other_clip])
def test_a_source_that_changed_before_the_run(tmp_path: Path, change: Callable[[Path], None]) -> None:
    here = scene(tmp_path)
    change(here.source)
    with only_the_second_fails(here, "SOURCE_CHANGED") as results:
        results.append(here.run())


@pytest.mark.clause("A1")
@pytest.mark.parametrize("when", ["encode", "frames"])
@pytest.mark.parametrize("change", [other_size, other_bytes, other_clip, only_its_time])
def test_a_source_that_changes_during_the_encode(tmp_path: Path, change: Callable[[Path], None], when: str) -> None:
    """What the encoder says of it does not matter: that it changed explains everything."""
    here = scene(tmp_path)
    done = False

    def watch(step: Step) -> None:
        nonlocal done
        now = isinstance(step, ClipStage) and step.stage == "encode" if when == "encode" else is_writing(step)
        if now and step.index == 1 and not done:
            change(here.source)
            done = True

    with only_the_second_fails(here, "SOURCE_CHANGED") as results:
        results.append(here.run(watch))
    assert done


def is_writing(step: Step) -> bool:
    return isinstance(step, ClipProgress) and step.frame > 0


def test_the_time_of_a_source_is_no_part_of_it(tmp_path: Path) -> None:
    """A card that was copied again has the same bytes at other times."""
    here = scene(tmp_path)
    only_its_time(here.source)
    assert here.run().status == "COMPLETED"


def test_a_source_that_vanished(tmp_path: Path) -> None:
    here = scene(tmp_path)
    here.source.unlink()
    with only_the_second_fails(here, "SOURCE_MISSING") as results:
        results.append(here.run())


def test_a_folder_in_the_place_of_a_source(tmp_path: Path) -> None:
    here = scene(tmp_path)
    here.source.unlink()
    here.source.mkdir()
    with only_the_second_fails(here, "SOURCE_UNREADABLE") as results:
        results.append(here.run())


# --- the output's place ----------------------------------------------------------------------------------


def a_file(path: Path) -> None:
    path.write_bytes(b"somebody's")


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def a_link_to_a_file(path: Path) -> None:
    (path.parent / "target").write_bytes(b"somebody's")
    path.symlink_to("target")


@pytest.mark.clause("A4")
@pytest.mark.parametrize("there", [a_file, Path.touch, Path.mkdir, os.mkfifo, a_link_to_nowhere, a_link_to_a_file])
@pytest.mark.parametrize("when", ["before", "during"])
def test_what_stands_at_an_outputs_place_is_left_alone(
    tmp_path: Path, there: Callable[[Path], None], when: str
) -> None:
    here = scene(tmp_path)
    target = here.output(1)
    target.parent.mkdir()
    seen: Shape = {}

    def put() -> None:
        there(target)
        seen.update(shape(target.parent))

    def watch(step: Step) -> None:
        if isinstance(step, ClipStage) and (step.index, step.stage) == (1, "verify"):
            put()

    if when == "before":
        put()
        assert not (result := here.run()).clips[1].argv, "work was begun for it"
    else:
        result = here.run(watch)
    assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "COMPLETED"]
    failed = result.clips[1]
    assert isinstance(failed, ClipFailed)
    assert failed.failure.code == "OUTPUT_EXISTS"
    assert {name: shape(target.parent)[name] for name in seen} == seen
    assert set(shape(target.parent)) == set(seen) | {here.output(0).name, here.output(2).name}


def test_other_bytes_of_this_jobs_own_are_a_conflict(tmp_path: Path) -> None:
    """Published by an earlier attempt, so the job's own; this attempt makes others: an encoder that is not itself."""
    here = scene(tmp_path)
    assert here.run().status == "COMPLETED"
    reference = here.output(1).read_bytes()
    store = tmp_path / "store"
    forged = reference + b"\0"
    digest = hashlib.sha256(reference).hexdigest()
    other = hashlib.sha256(forged).hexdigest()
    (event,) = [
        path
        for path in store.rglob("events/*.json")
        if f'"sha256":"sha256:{digest}"'.encode() in path.read_bytes() and b"publishing" in path.read_bytes()
        and b'"clip":1' in path.read_bytes()
    ]  # fmt: skip
    event.chmod(0o644)
    event.write_bytes(event.read_bytes().replace(digest.encode(), other.encode()))
    here.output(1).write_bytes(forged)
    before = shape(here.output(1).parent)
    result = here.run(attempt=2)
    assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "COMPLETED"]
    failed = result.clips[1]
    assert isinstance(failed, ClipFailed)
    assert failed.failure.code == "OUTPUT_CONFLICT"
    assert shape(here.output(1).parent) == before


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "proxies").write_bytes(b"somebody's")
    before = shape(tmp_path)["proxies"]
    here = scene(tmp_path, out=tmp_path / "proxies" / "night")
    result = here.run()
    failures = [clip.failure.code for clip in result.clips if clip.failure is not None]
    assert failures == ["OUTPUT_UNWRITABLE"] * 3
    assert shape(tmp_path)["proxies"] == before


@contextmanager
def disk(place: Path, *options: str) -> Iterator[Path]:
    """A file system of its own."""
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT ALLOWED TO MOUNT: jobs onto full and read-only disks were not tested")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.clause("T6")
def test_an_output_on_a_read_only_disk(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "ro") as place:
        here = scene(tmp_path, out=place / "night")
        result = here.run()
        assert [clip.status for clip in result.clips] == ["FAILED"] * 3
        assert {clip.failure.code for clip in result.clips if clip.failure} == {"OUTPUT_UNWRITABLE"}
        assert list(place.iterdir()) == []


def test_a_disk_that_fills_stops_the_job(tmp_path: Path) -> None:
    """Room for one proxy of the three: the second cannot be whole, so it does not appear."""
    size = proxy_size(tmp_path / "measure")
    with disk(tmp_path / "disk", f"size={(size * 3 // 2) >> 10}k") as place:
        here = scene(tmp_path, out=place / "night")
        result = here.run()
        assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "NOT_RUN"]
        assert result.stopped is not None
        assert result.stopped.code == "DISK_FULL"
        assert "Free space" in result.stopped.remedy
        assert set(shape(place / "night")) == {here.output(0).name}
        here.output(0).unlink()  # a person makes room
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        again = here.run(attempt=2)
        assert again.status == "COMPLETED"
        assert again.clips[0].output_sha256 == result.clips[0].output_sha256


def test_a_working_disk_that_fills_stops_the_job(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=64k") as place:
        here = scene(tmp_path)
        result = here.run(work=place)
        assert [clip.status for clip in result.clips] == ["FAILED", "NOT_RUN", "NOT_RUN"]
        assert result.stopped is not None
        assert result.stopped.code == "DISK_FULL"
        assert not here.output(0).parent.exists()
        assert list(place.iterdir()) == []


def proxy_size(root: Path) -> int:
    here = scene(root)
    here.run()
    return here.output(0).stat().st_size


# --- the store, the encoder, the spec --------------------------------------------------------------------


@pytest.mark.clause("V2")
@pytest.mark.parametrize("hit", ["read-only", "replaced by a file"])
def test_a_store_that_fails_in_the_middle_stops_the_job(tmp_path: Path, hit: str) -> None:
    """An unlogged action does not happen: nothing is published that the store could not be told of."""
    root = tmp_path / "place"
    with disk(root, "size=64m"):
        here = Scene(root, scene(tmp_path).job)
        store = root / "store"

        def watch(step: Step) -> None:
            if not (isinstance(step, ClipStage) and (step.index, step.stage) == (1, "verify")):
                return
            if hit == "read-only":
                subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
            else:
                shutil.rmtree(store)
                store.write_bytes(b"not a store")

        result = here.run(watch)
        assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "NOT_RUN"]
        assert result.stopped is not None
        assert result.stopped.code == "LEDGER_FAILED"
        assert [here.output(index).exists() for index in range(3)] == [True, False, False]
        assert set(shape(here.output(0).parent)) == {here.output(0).name}


def ffmpeg_of(folder: Path) -> psutil.Process:
    """The encoder that works for this scene."""
    for child in psutil.Process().children(recursive=True):
        if "ffmpeg" in child.name() and any(str(folder) in word for word in child.cmdline()):
            return child
    raise AssertionError("no encoder is running")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_an_encoder_that_is_killed_fails_its_clip_only(tmp_path: Path, number: signal.Signals) -> None:
    """By the kernel when memory runs out, by its own fault, by somebody's hand."""
    long = make("b.mov", *picture("1280x720", seconds="20"), *SILENT_X264, "-preset", "ultrafast").read_bytes()
    here = scene(tmp_path, long)  # long enough that the encoder still works when its first progress is read
    hit = False

    def watch(step: Step) -> None:
        nonlocal hit
        if is_writing(step) and step.index == 1 and not hit:
            ffmpeg_of(here.root).send_signal(number)
            hit = True

    with only_the_second_fails(here, "ENCODER_CRASHED") as results:
        results.append(here.run(watch))


def with_second(job: JobSpec, change: Callable[[Clip], Clip]) -> JobSpec:
    """The job sealed anew with its second clip changed: what another version's decisions might be."""
    clips = (job.clips[0], change(job.clips[1]), *job.clips[2:])
    parts = {name: getattr(job, name) for name in JobContent.model_fields}
    return seal(JobContent(**{**parts, "clips": clips}))


def expecting(**changes: object) -> Callable[[Clip], Clip]:
    def change(clip: Clip) -> Clip:
        return clip.model_copy(update={"expect": clip.expect.model_copy(update=changes)})

    return change


def a_decoder_that_is_not_there(clip: Clip) -> Clip:
    video = clip.recipe.video.model_copy(update={"decoder": "nosuchdecoder"})
    threads = pinned_threads(find_profile(PROFILE).threads, "nosuchdecoder", "refuse")
    return clip.model_copy(update={"recipe": clip.recipe.model_copy(update={"video": video, "threads": threads})})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (a_decoder_that_is_not_there, "ENCODE_FAILED"),
        (expecting(packets=13), "FRAMES_MISMATCH"),
        (expecting(frames=11), "FRAMES_MISMATCH"),
        (expecting(output_frames=13), "FRAMES_MISMATCH"),
        (expecting(timecode=90026), "TIMECODE_MISMATCH"),
        (expecting(side_data=("Mastering display metadata",)), "FORMAT_MISMATCH"),
    ],
)
def test_what_turns_out_otherwise_than_expected_is_not_published(
    tmp_path: Path, change: Callable[[Clip], Clip], code: str
) -> None:
    plain = scene(tmp_path)
    here = Scene(tmp_path, with_second(plain.job, change))
    with only_the_second_fails(here, code) as results:
        results.append(here.run())


LIAR: Final = """
import os, sys
words = sys.argv[1:]
if any(word.endswith("/b.mov") for word in words):
    words = [word.replace({old!r}, {new!r}) for word in words]
os.execv(words[0], words)
"""


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("pcm_s24le", "pcm_s32le", "AUDIO_MISMATCH"),
        ("01:00:00:00", "01:00:00:01", "TIMECODE_MISMATCH"),
        ("reel_name=A001", "reel_name=A002", "TIMECODE_MISMATCH"),
        ("PTS-STARTPTS", "PTS-STARTPTS+1/TB", "FRAMES_MISMATCH"),
        ("smpte170m", "bt709", "FORMAT_MISMATCH"),
        ("w=160", "w=164", "FORMAT_MISMATCH"),
        ("prores_aw", "nosuchencoder", "ENCODE_FAILED"),
    ],
)
def test_an_encoder_that_does_other_than_it_was_told_is_found_out(
    tmp_path: Path, old: str, new: str, code: str
) -> None:
    here = scene(tmp_path)
    liar = tmp_path / "liar.py"
    liar.write_text(LIAR.format(old=old, new=new))
    with only_the_second_fails(here, code) as results:
        results.append(here.run(launcher=(sys.executable, str(liar))))


def test_a_job_of_another_encoder_touches_nothing(tmp_path: Path) -> None:
    plain = scene(tmp_path)
    parts = {name: getattr(plain.job, name) for name in JobContent.model_fields}
    other = plain.job.toolchain.model_copy(update={"ffmpeg_sha256": "sha256:" + "0" * 64})
    here = Scene(tmp_path, seal(JobContent(**{**parts, "toolchain": other})))
    with pytest.raises(ToolchainMismatch):
        here.run()
    assert not (tmp_path / "proxies").exists()


def test_outputs_of_another_job_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    first = scene(tmp_path)
    parts = {name: getattr(first.job, name) for name in JobContent.model_fields}
    second = Scene(tmp_path, seal(JobContent(**{**parts, "name": "another"})))
    assert first.run().status == "COMPLETED"
    before = shape(tmp_path / "proxies")
    with pytest.raises(OutputClaimed):
        second.run()
    assert shape(tmp_path / "proxies") == before


# --- every code is produced for real ---------------------------------------------------------------------

# Where each is produced by a real job or a real command, not by a made-up value.
PRODUCED: Final = {
    "SOURCE_MISSING": "media/test_refused.py::test_a_source_that_vanished",
    "SOURCE_CHANGED": "media/test_refused.py::test_a_source_that_changes_during_the_encode",
    "SOURCE_UNREADABLE": "media/test_refused.py::test_a_source_that_may_not_be_read",
    "SOURCE_UNSUPPORTED": "media/test_refused.py::test_what_is_no_whole_camera_file_is_refused",
    "NO_VIDEO": "media/test_refused.py::test_what_is_no_whole_camera_file_is_refused",
    "DECODE_FAILED": "media/test_refused.py::test_a_hole_in_the_picture_fails_its_clip_only",
    "ENCODE_FAILED": "media/test_refused.py::test_what_turns_out_otherwise_than_expected_is_not_published",
    "ENCODER_CRASHED": "media/test_refused.py::test_an_encoder_that_is_killed_fails_its_clip_only",
    "SOURCE_TRUNCATED": "media/test_refused.py::test_what_is_no_whole_camera_file_is_refused",
    "FRAMES_MISMATCH": "media/test_refused.py::test_what_turns_out_otherwise_than_expected_is_not_published",
    "TIMECODE_MISMATCH": "media/test_refused.py::test_what_turns_out_otherwise_than_expected_is_not_published",
    "AUDIO_MISMATCH": "media/test_refused.py::test_an_encoder_that_does_other_than_it_was_told_is_found_out",
    "FORMAT_MISMATCH": "media/test_refused.py::test_what_turns_out_otherwise_than_expected_is_not_published",
    "OUTPUT_EXISTS": "media/test_refused.py::test_what_stands_at_an_outputs_place_is_left_alone",
    "OUTPUT_CONFLICT": "media/test_refused.py::test_other_bytes_of_this_jobs_own_are_a_conflict",
    "OUTPUT_UNWRITABLE": "media/test_refused.py::test_an_output_folder_that_is_a_file",
    "DISK_FULL": "media/test_refused.py::test_a_disk_that_fills_stops_the_job",
    "OUTPUT_CLAIMED": "media/test_refused.py::test_outputs_of_another_job_are_refused_before_anything_is_made",
    "LOCKED": "cli/test_run.py::test_a_killed_worker_is_held_until_an_operator_decides",
    "ATTEMPT_CLOSED": "cli/test_run.py::test_an_attempt_that_has_ended_is_4_and_names_the_next",
    "LOCK_LOST": "faults/test_kill.py::test_a_stopped_worker_publishes_nothing_after_an_unlock",
    "STORE_MISMATCH": "engine/test_execute.py::test_another_store_is_refused",
    "SPEC_INVALID": "cli/test_main.py::test_a_spec_that_is_not_there_is_3",
    "SPEC_ALTERED": "engine/test_execute.py::test_an_edited_spec_is_refused_and_nothing_is_written",
    "TOOLCHAIN_MISMATCH": "media/test_refused.py::test_a_job_of_another_encoder_touches_nothing",
    "LEDGER_FAILED": "media/test_refused.py::test_a_store_that_fails_in_the_middle_stops_the_job",
    "INTERRUPTED": "engine/test_execute.py::test_a_job_stops_on_request",
}


@pytest.mark.parametrize("code", PRODUCED)
def test_every_code_has_a_test_that_produces_it(code: str) -> None:
    assert code in ERROR_CLASSES
    file, _, name = PRODUCED[code].partition("::")
    text = (TESTS / file).read_text()
    functions = {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    assert name in functions
