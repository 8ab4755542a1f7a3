"""Unusable sources give no proxy: `create` refuses them, or their clip fails in a run that makes the others.

After each refusal the output folder is unchanged, even its inodes; no final name appears; no original is touched.
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
from proxx.contracts.errors import OutputClaimed, PreflightRefused, ToolchainMismatch
from proxx.contracts.errors_by_code import ERROR_CLASSES
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
    """Returns inode, modification time, mode and content of everything in a folder, by name."""
    entries = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(info.st_mode) else ""
        entries[str(path.relative_to(folder))] = (info.st_ino, info.st_mtime_ns, info.st_mode, content)
    return entries


def good(folder: Path, name: str = "good.mov") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(half_second("good.mov"), folder / name))


@pytest.fixture
def proxies(tmp_path: Path) -> Path:
    """An output folder that already holds other files."""
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

# Files with the name of a camera file: content, code, a word of the message.
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
    "noise": (random.Random(1).randbytes(1 << 16), "UNREADABLE", "a format that no camera writes"),  # noqa: S311
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
def test_a_file_that_is_not_a_complete_clip_is_refused(kind: str, tmp_path: Path, proxies: Path) -> None:
    content, code, word = NOT_MEDIA[kind]
    data = content() if callable(content) else content
    card = tmp_path / "card"
    good_clip = good(card)
    source = card / "clip.mov"
    source.write_bytes(data.replace(b"{good}", str(good_clip).encode()))
    problem = refused_alone(source, proxies)
    assert problem.code.removeprefix("SOURCE_") == code
    assert word in problem.message
    assert problem.remedy


def refused_alone(source: Path, proxies: Path) -> Problem:
    """Checks that `create` refuses it and that nothing is written or changed; returns the problem."""
    folders = [source.parent, proxies]
    before = [shape(folder) for folder in folders]
    with pytest.raises(PreflightRefused) as caught:
        create((source,), proxies, PROFILE)
    assert [shape(folder) for folder in folders] == before
    problem = caught.value.problems[0]
    assert problem.message.endswith(".")
    return problem


def test_a_folder_with_the_name_of_a_clip_is_refused(tmp_path: Path, proxies: Path) -> None:
    (tmp_path / "card" / "clip.mov").mkdir(parents=True)
    assert "No media file" in refused_alone(tmp_path / "card" / "clip.mov", proxies).message


@pytest.mark.parametrize("make_it", [os.mkfifo, lambda path: Path(path).symlink_to("nowhere")])
def test_a_pipe_or_a_broken_link_is_refused(tmp_path: Path, proxies: Path, make_it: Callable[[Path], None]) -> None:
    (tmp_path / "card").mkdir()
    make_it(tmp_path / "card" / "clip.mov")
    assert refused_alone(tmp_path / "card" / "clip.mov", proxies).code in ("SOURCE_UNREADABLE", "SOURCE_MISSING")


UNPRIVILEGED: Final = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def test_a_source_without_read_permission_is_refused(tmp_path: Path, proxies: Path) -> None:
    """Root can read everything, so the command first drops that capability."""
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
    assert "this user may read it" in done.stderr
    assert not (tmp_path / "job.json").exists()
    assert shape(proxies) == before


# --- in a run --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A job of three clips; the tests do something to the second."""

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


def make_scene(root: Path, second: bytes | None = None, name: str = "b.mov", out: Path | None = None) -> Scene:
    card = root / "card"
    sources = [good(card, "a.mov"), good(card, name), good(card, "c.mov")]
    if second is not None:
        sources[1].write_bytes(second)
    return Scene(root, create(tuple(sources), out or root / "proxies", PROFILE))


@contextmanager
def second_clip_fails(scene: Scene, code: str) -> Iterator[list[ExecutionResult]]:
    """Checks the result that the block appends: two proxies are made, nothing else appears or changes."""
    folder = scene.output(0).parent
    folder.mkdir(exist_ok=True)
    (folder / "somebody's.mov").write_bytes(b"somebody's")
    originals = {Path(clip.source.files[0].uri) for clip in scene.job.clips} - {scene.source}
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
    assert str(scene.root) not in failed.failure.message
    assert result.stopped is None
    after = shape(folder)
    made = {scene.output(0).name, scene.output(2).name}
    assert {name: seen for name, seen in after.items() if name not in made} == before
    assert {path: shape(path.parent)[path.name] for path in originals} == card
    assert set(after) == set(before) | made


def damaged(data: bytes, places: int, length: int, seed: int = 2) -> bytes:
    """Returns the data zeroed in `places` places, between the header and the last tenth."""
    damaged_data, chance = bytearray(data), random.Random(seed)  # noqa: S311  (the same every time)
    for _ in range(places):
        at = chance.randrange(len(damaged_data) // 5, len(damaged_data) * 9 // 10 - length)
        damaged_data[at : at + length] = bytes(length)
    assert damaged_data != data, "only padding was overwritten"
    return bytes(damaged_data)


def flipped(data: bytes, bits: int, seed: int = 1) -> bytes:
    damaged_data, chance = bytearray(data), random.Random(seed)  # noqa: S311  (the same every time)
    for _ in range(bits):
        damaged_data[chance.randrange(len(damaged_data) // 5, len(damaged_data) * 9 // 10)] ^= 1 << chance.randrange(
            8
        )
    return bytes(damaged_data)


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
def test_a_gap_in_the_picture_fails_its_clip_only(codec: str, tmp_path: Path) -> None:
    name, data = clip_of(codec)
    scene = make_scene(tmp_path, damaged(data, 3, 4096), name)
    with second_clip_fails(scene, "DECODE_FAILED") as results:
        results.append(scene.run())


@pytest.mark.parametrize("codec", PICTURES)
def test_flipped_bits_fail_their_clip_only(codec: str, tmp_path: Path) -> None:
    name, data = clip_of(codec)
    scene = make_scene(tmp_path, flipped(data, 200), name)
    with second_clip_fails(scene, "DECODE_FAILED") as results:
        results.append(scene.run())


def test_a_transport_stream_that_is_cut_fails_its_clip_only(tmp_path: Path) -> None:
    """A transport stream declares no length; if it is cut between packets, only the last frame shows it."""
    data = make("b.ts", *picture("640x360", seconds="1"), *SILENT_X264).read_bytes()
    scene = make_scene(tmp_path, data[: len(data) // 2 // 188 * 188], "b.ts")
    with second_clip_fails(scene, "DECODE_FAILED") as results:
        results.append(scene.run())


@pytest.mark.clause("I4")
def test_damage_is_found_every_time(tmp_path: Path) -> None:
    """With two threads ffmpeg passes an H.264 frame on before it is decoded and can miss damage by chance."""
    data = make("b.ts", *picture("640x360", seconds="1"), *SILENT_X264).read_bytes()
    folder = tmp_path / "card"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.ts").write_bytes(data[: len(data) // 2 // 188 * 188])
    result = Scene(tmp_path, create(tuple(sorted(folder.iterdir())), tmp_path / "proxies", PROFILE)).run()
    assert [isinstance(clip, ClipFailed) and clip.failure.code for clip in result.clips] == ["DECODE_FAILED"] * 12


def test_accepted_damage_gives_the_same_bytes(tmp_path: Path) -> None:
    """The spec records that damage was accepted."""
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
    """Replaces it with another good clip of the same name."""
    path.unlink()
    shutil.copy(half_second("other.mov", "02:00:00:00"), path)


def only_its_time(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.clause("A1")
@pytest.mark.parametrize("change", [other_size, other_bytes, other_clip])
def test_a_source_that_changed_before_the_run_fails(tmp_path: Path, change: Callable[[Path], None]) -> None:
    scene = make_scene(tmp_path)
    change(scene.source)
    with second_clip_fails(scene, "SOURCE_CHANGED") as results:
        results.append(scene.run())


@pytest.mark.clause("A1")
@pytest.mark.parametrize("when", ["encode", "frames"])
@pytest.mark.parametrize("change", [other_size, other_bytes, other_clip, only_its_time])
def test_a_source_that_changes_during_the_encode_fails(
    tmp_path: Path, change: Callable[[Path], None], when: str
) -> None:
    """Whatever the encoder reports: the change of the source is the cause."""
    scene = make_scene(tmp_path)
    done = False

    def watch(step: Step) -> None:
        nonlocal done
        now = isinstance(step, ClipStage) and step.stage == "encode" if when == "encode" else is_writing(step)
        if now and step.index == 1 and not done:
            change(scene.source)
            done = True

    with second_clip_fails(scene, "SOURCE_CHANGED") as results:
        results.append(scene.run(watch))
    assert done


def is_writing(step: Step) -> bool:
    return isinstance(step, ClipProgress) and step.frame > 0


def test_the_modification_time_of_a_source_does_not_matter(tmp_path: Path) -> None:
    """A card that is copied again has the same bytes with other modification times."""
    scene = make_scene(tmp_path)
    only_its_time(scene.source)
    assert scene.run().status == "COMPLETED"


def test_a_source_that_vanished_is_missing(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    scene.source.unlink()
    with second_clip_fails(scene, "SOURCE_MISSING") as results:
        results.append(scene.run())


def test_a_folder_in_place_of_a_source_is_unreadable(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    scene.source.unlink()
    scene.source.mkdir()
    with second_clip_fails(scene, "SOURCE_UNREADABLE") as results:
        results.append(scene.run())


# --- the output's place ----------------------------------------------------------------------------------


def a_file(path: Path) -> None:
    path.write_bytes(b"somebody's")


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def a_link_to_a_file(path: Path) -> None:
    (path.parent / "target").write_bytes(b"somebody's")
    path.symlink_to("target")


@pytest.mark.clause("A4")
@pytest.mark.parametrize(
    "create_entry", [a_file, Path.touch, Path.mkdir, os.mkfifo, a_link_to_nowhere, a_link_to_a_file]
)
@pytest.mark.parametrize("when", ["before", "during"])
def test_an_existing_file_at_an_output_is_not_touched(
    tmp_path: Path, create_entry: Callable[[Path], None], when: str
) -> None:
    scene = make_scene(tmp_path)
    target = scene.output(1)
    target.parent.mkdir()
    seen: Shape = {}

    def put() -> None:
        create_entry(target)
        seen.update(shape(target.parent))

    def watch(step: Step) -> None:
        if isinstance(step, ClipStage) and (step.index, step.stage) == (1, "verify"):
            put()

    if when == "before":
        put()
        assert not (result := scene.run()).clips[1].argv, "an encode was started for it"
    else:
        result = scene.run(watch)
    assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "COMPLETED"]
    failed = result.clips[1]
    assert isinstance(failed, ClipFailed)
    assert failed.failure.code == "OUTPUT_EXISTS"
    assert {name: shape(target.parent)[name] for name in seen} == seen
    assert set(shape(target.parent)) == set(seen) | {scene.output(0).name, scene.output(2).name}


def test_other_bytes_published_by_the_same_job_are_a_conflict(tmp_path: Path) -> None:
    """An earlier attempt of this job published other bytes than this one makes: the encoder is not reproducible."""
    scene = make_scene(tmp_path)
    assert scene.run().status == "COMPLETED"
    reference = scene.output(1).read_bytes()
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
    scene.output(1).write_bytes(forged)
    before = shape(scene.output(1).parent)
    result = scene.run(attempt=2)
    assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "COMPLETED"]
    failed = result.clips[1]
    assert isinstance(failed, ClipFailed)
    assert failed.failure.code == "OUTPUT_CONFLICT"
    assert shape(scene.output(1).parent) == before


def test_an_output_folder_that_is_a_file_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "proxies").write_bytes(b"somebody's")
    before = shape(tmp_path)["proxies"]
    scene = make_scene(tmp_path, out=tmp_path / "proxies" / "night")
    result = scene.run()
    failures = [clip.failure.code for clip in result.clips if clip.failure is not None]
    assert failures == ["OUTPUT_UNWRITABLE"] * 3
    assert shape(tmp_path)["proxies"] == before


@contextmanager
def disk(place: Path, *options: str) -> Iterator[Path]:
    """Mounts a separate file system."""
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT ALLOWED TO MOUNT: jobs on full and read-only disks were not tested")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.clause("T6")
def test_an_output_on_a_read_only_disk_is_unwritable(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "ro") as place:
        scene = make_scene(tmp_path, out=place / "night")
        result = scene.run()
        assert [clip.status for clip in result.clips] == ["FAILED"] * 3
        assert {clip.failure.code for clip in result.clips if clip.failure} == {"OUTPUT_UNWRITABLE"}
        assert list(place.iterdir()) == []


def test_a_disk_that_fills_stops_the_job(tmp_path: Path) -> None:
    """There is room for one proxy of three: the second cannot be complete, so it does not appear."""
    size = proxy_size(tmp_path / "measure")
    with disk(tmp_path / "disk", f"size={(size * 3 // 2) >> 10}k") as place:
        scene = make_scene(tmp_path, out=place / "night")
        result = scene.run()
        assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "NOT_RUN"]
        assert result.stopped is not None
        assert result.stopped.code == "DISK_FULL"
        assert "Free space" in result.stopped.remedy
        assert set(shape(place / "night")) == {scene.output(0).name}
        scene.output(0).unlink()  # the operator frees space
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        again = scene.run(attempt=2)
        assert again.status == "COMPLETED"
        assert again.clips[0].output_sha256 == result.clips[0].output_sha256


def test_a_working_disk_that_fills_stops_the_job(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=64k") as place:
        scene = make_scene(tmp_path)
        result = scene.run(work=place)
        assert [clip.status for clip in result.clips] == ["FAILED", "NOT_RUN", "NOT_RUN"]
        assert result.stopped is not None
        assert result.stopped.code == "DISK_FULL"
        assert not scene.output(0).parent.exists()
        assert list(place.iterdir()) == []


def proxy_size(root: Path) -> int:
    scene = make_scene(root)
    scene.run()
    return scene.output(0).stat().st_size


# --- the store, the encoder, the spec --------------------------------------------------------------------


@pytest.mark.clause("V2")
@pytest.mark.parametrize("hit", ["read-only", "replaced by a file"])
def test_a_store_that_fails_in_the_middle_stops_the_job(tmp_path: Path, hit: str) -> None:
    """An unlogged action does not happen: nothing is published unless the store has recorded it."""
    root = tmp_path / "place"
    with disk(root, "size=64m"):
        scene = Scene(root, make_scene(tmp_path).job)
        store = root / "store"

        def watch(step: Step) -> None:
            if not (isinstance(step, ClipStage) and (step.index, step.stage) == (1, "verify")):
                return
            if hit == "read-only":
                subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
            else:
                shutil.rmtree(store)
                store.write_bytes(b"not a store")

        result = scene.run(watch)
        assert [clip.status for clip in result.clips] == ["COMPLETED", "FAILED", "NOT_RUN"]
        assert result.stopped is not None
        assert result.stopped.code == "LEDGER_FAILED"
        assert [scene.output(index).exists() for index in range(3)] == [True, False, False]
        assert set(shape(scene.output(0).parent)) == {scene.output(0).name}


def ffmpeg_of(folder: Path) -> psutil.Process:
    """Returns the running encoder of this scene."""
    for child in psutil.Process().children(recursive=True):
        if "ffmpeg" in child.name() and any(str(folder) in word for word in child.cmdline()):
            return child
    raise AssertionError("no encoder is running")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_an_encoder_that_is_killed_fails_its_clip_only(tmp_path: Path, number: signal.Signals) -> None:
    """By the kernel when memory runs out, by a crash, by an operator."""
    long = make("b.mov", *picture("1280x720", seconds="20"), *SILENT_X264, "-preset", "ultrafast").read_bytes()
    scene = make_scene(
        tmp_path, long
    )  # long enough that the encoder is still running when its first progress is read
    hit = False

    def watch(step: Step) -> None:
        nonlocal hit
        if is_writing(step) and step.index == 1 and not hit:
            ffmpeg_of(scene.root).send_signal(number)
            hit = True

    with second_clip_fails(scene, "ENCODER_CRASHED") as results:
        results.append(scene.run(watch))


def with_second(job: JobSpec, change: Callable[[Clip], Clip]) -> JobSpec:
    """Returns the job sealed again with its second clip changed, as another version might decide it."""
    clips = (job.clips[0], change(job.clips[1]), *job.clips[2:])
    parts = {name: getattr(job, name) for name in JobContent.model_fields}
    return seal(JobContent(**{**parts, "clips": clips}))


def expecting(**changes: object) -> Callable[[Clip], Clip]:
    def change(clip: Clip) -> Clip:
        return clip.model_copy(update={"expect": clip.expect.model_copy(update=changes)})

    return change


def unknown_decoder(clip: Clip) -> Clip:
    video = clip.recipe.video.model_copy(update={"decoder": "nosuchdecoder"})
    threads = pinned_threads(find_profile(PROFILE).threads, "nosuchdecoder", "refuse")
    return clip.model_copy(update={"recipe": clip.recipe.model_copy(update={"video": video, "threads": threads})})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (unknown_decoder, "ENCODE_FAILED"),
        (expecting(packets=13), "FRAMES_MISMATCH"),
        (expecting(frames=11), "FRAMES_MISMATCH"),
        (expecting(output_frames=13), "FRAMES_MISMATCH"),
        (expecting(timecode=90026), "TIMECODE_MISMATCH"),
        (expecting(side_data=("Mastering display metadata",)), "FORMAT_MISMATCH"),
    ],
)
def test_a_proxy_that_differs_from_the_expectation_is_not_published(
    tmp_path: Path, change: Callable[[Clip], Clip], code: str
) -> None:
    plain = make_scene(tmp_path)
    scene = Scene(tmp_path, with_second(plain.job, change))
    with second_clip_fails(scene, code) as results:
        results.append(scene.run())


DEVIATING_ENCODER: Final = """
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
def test_an_encoder_that_deviates_from_its_command_is_detected(tmp_path: Path, old: str, new: str, code: str) -> None:
    scene = make_scene(tmp_path)
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(DEVIATING_ENCODER.format(old=old, new=new))
    with second_clip_fails(scene, code) as results:
        results.append(scene.run(launcher=(sys.executable, str(wrapper))))


def test_a_job_for_another_encoder_build_is_refused(tmp_path: Path) -> None:
    plain = make_scene(tmp_path)
    parts = {name: getattr(plain.job, name) for name in JobContent.model_fields}
    other = plain.job.toolchain.model_copy(update={"ffmpeg_sha256": "sha256:" + "0" * 64})
    scene = Scene(tmp_path, seal(JobContent(**{**parts, "toolchain": other})))
    with pytest.raises(ToolchainMismatch):
        scene.run()
    assert not (tmp_path / "proxies").exists()


def test_outputs_of_another_job_are_refused_before_any_encode(tmp_path: Path) -> None:
    first = make_scene(tmp_path)
    parts = {name: getattr(first.job, name) for name in JobContent.model_fields}
    second = Scene(tmp_path, seal(JobContent(**{**parts, "name": "another"})))
    assert first.run().status == "COMPLETED"
    before = shape(tmp_path / "proxies")
    with pytest.raises(OutputClaimed):
        second.run()
    assert shape(tmp_path / "proxies") == before


# --- every code is produced by a real job ---------------------------------------------------------------------

# The test that produces each code with a real job or command.
PRODUCED: Final = {
    "SOURCE_MISSING": "media/test_refused.py::test_a_source_that_vanished_is_missing",
    "SOURCE_CHANGED": "media/test_refused.py::test_a_source_that_changes_during_the_encode_fails",
    "SOURCE_UNREADABLE": "media/test_refused.py::test_a_source_without_read_permission_is_refused",
    "SOURCE_UNSUPPORTED": "media/test_refused.py::test_a_file_that_is_not_a_complete_clip_is_refused",
    "NO_VIDEO": "media/test_refused.py::test_a_file_that_is_not_a_complete_clip_is_refused",
    "DECODE_FAILED": "media/test_refused.py::test_a_gap_in_the_picture_fails_its_clip_only",
    "ENCODE_FAILED": "media/test_refused.py::test_a_proxy_that_differs_from_the_expectation_is_not_published",
    "ENCODER_CRASHED": "media/test_refused.py::test_an_encoder_that_is_killed_fails_its_clip_only",
    "SOURCE_TRUNCATED": "media/test_refused.py::test_a_file_that_is_not_a_complete_clip_is_refused",
    "FRAMES_MISMATCH": "media/test_refused.py::test_a_proxy_that_differs_from_the_expectation_is_not_published",
    "TIMECODE_MISMATCH": "media/test_refused.py::test_a_proxy_that_differs_from_the_expectation_is_not_published",
    "AUDIO_MISMATCH": "media/test_refused.py::test_an_encoder_that_deviates_from_its_command_is_detected",
    "FORMAT_MISMATCH": "media/test_refused.py::test_a_proxy_that_differs_from_the_expectation_is_not_published",
    "OUTPUT_EXISTS": "media/test_refused.py::test_an_existing_file_at_an_output_is_not_touched",
    "OUTPUT_CONFLICT": "media/test_refused.py::test_other_bytes_published_by_the_same_job_are_a_conflict",
    "OUTPUT_UNWRITABLE": "media/test_refused.py::test_an_output_folder_that_is_a_file_is_unwritable",
    "DISK_FULL": "media/test_refused.py::test_a_disk_that_fills_stops_the_job",
    "OUTPUT_CLAIMED": "media/test_refused.py::test_outputs_of_another_job_are_refused_before_any_encode",
    "LOCKED": "cli/test_run.py::test_a_killed_worker_is_held_until_an_operator_decides",
    "ATTEMPT_CLOSED": "cli/test_run.py::test_an_ended_attempt_is_refused_and_the_next_one_named",
    "LOCK_LOST": "faults/test_kill.py::test_a_stopped_worker_publishes_nothing_after_an_unlock",
    "STORE_MISMATCH": "engine/test_execute.py::test_another_store_is_refused",
    "SPEC_INVALID": "cli/test_main.py::test_a_missing_spec_is_exit_status_3",
    "SPEC_ALTERED": "engine/test_execute.py::test_an_edited_spec_is_refused_and_nothing_is_written",
    "TOOLCHAIN_MISMATCH": "media/test_refused.py::test_a_job_for_another_encoder_build_is_refused",
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
